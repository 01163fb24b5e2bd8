import Configuration
import Glibc
import ProgramKit
import Testing

@testable import Supervisor

@Suite("A new instance")
struct InstanceMakerTests {
    private static let repository = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    private func maker(_ directory: String, domain: String = "example.test") -> InstanceMaker {
        InstanceMaker(
            directory: directory, port: 2600, domain: domain, programs: "/opt/z/libexec", samples: Self.repository)
    }

    @Test(
        "its zmailer.conf is the sample with its own values, and can be read", arguments: ["/srv/mail", "/srv/my mail"])
    func settings(directory: String) throws {
        let sample = String(
            decoding: try FileOctets.read("\(Self.repository)/proto/zmailer.conf", limit: 1 << 20), as: UTF8.self)
        let text = try maker(directory).settings(sample: sample)
        let environment = try ZEnvironment.parse(text, file: "zmailer.conf")
        #expect(environment.postoffice == "\(directory)/postoffice")
        #expect(environment.mailbin == "/opt/z/libexec")
        #expect(environment["SMTPPORT"] == "2600")
        #expect(environment["MAILBOX"] == "maildir:\(directory)/mail/%u")
        #expect(environment["ACCOUNTS"] == "file:\(directory)/var/db/users")
        #expect(environment["TRUSTEDUSER"] == nil)
        #expect(text.contains("# The spool."), "the sample's comments stay")
    }

    @Test("it is made once, with its tables")
    func made() throws {
        var template = Array("/tmp/zm-init-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { removeTree(directory) }
        try maker(directory, domain: "mine.test").make()
        func lines(_ path: String) throws -> [String] {
            let text = String(decoding: try FileOctets.read("\(directory)/\(path)", limit: 1 << 20), as: UTF8.self)
            return text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
        }
        #expect(try lines("var/db/localnames") == ["mine.test"])
        #expect(try lines("var/db/users") == ["alice", "bob", "postmaster"])
        #expect(try lines("var/db/smtp-policy.relay") == [], "nobody relays unless listed")
        let defaults = try lines("var/db/smtp-policy.src").filter { $0.hasPrefix(". ") || $0.hasPrefix("[0.0.0.0]/0 ") }
        #expect(defaults.count == 2)
        #expect(defaults.allSatisfy { $0.hasSuffix(" relaycustomer - relaytarget -") }, "senders need no DNS")
        #expect(access("\(directory)/share/scheduler.conf", R_OK) == 0)
        #expect(throws: InstanceMaker.Failure.self) { try maker(directory).make() }
    }

    @Test("what is no domain is refused before anything is made", arguments: ["", "a..b", "exa mple", "x;y", ".test"])
    func domains(domain: String) {
        #expect(throws: InstanceMaker.Failure.self) { try maker("/nonexistent/zm", domain: domain).make() }
        #expect(access("/nonexistent/zm", F_OK) != 0)
    }

    @Test("values with blanks are quoted, those that cannot be are refused")
    func quoting() throws {
        #expect(try InstanceMaker.quoted("/a/b-c_1.d%u[1]") == "/a/b-c_1.d%u[1]")
        #expect(try InstanceMaker.quoted("/a b/$c") == "'/a b/$c'")
        #expect(throws: InstanceMaker.Failure.self) { try InstanceMaker.quoted("/a'b") }
        #expect(throws: InstanceMaker.Failure.self) { try InstanceMaker.quoted("/a\nb") }
    }

    private func removeTree(_ path: String) {
        for name in ProcFile.names(in: path) { removeTree("\(path)/\(name)") }
        if rmdir(path) != 0 { unlink(path) }
    }
}
