import AgentProtocol
import Configuration
import Glibc
import MailModel
import ProgramKit
import SASL
import SpoolFormat
import Telemetry
import Testing

@testable import SMTPAgent

@Suite("AUTH of the SMTP agent at smarthosts")
struct SMTPAgentAuthenticationTests {
    private static let password = "s3cret,=\u{e9}"

    private static func secrets(
        _ harness: SMTPAgentHarness, _ more: String = "", password: String = password, channel: String = "*"
    ) throws -> AuthSecrets {
        let user = Base64.encode(Array("alice".utf8))
        let line = "\(channel) \(harness.host) \(user) \(Base64.encode(Array(password.utf8))) \(more)\n"
        return try AuthSecrets(parsing: Array(line.utf8), file: "secrets")
    }

    /// A peer with TLS that offers mechanisms inside it.
    private static func harness(
        _ mechanisms: String, isImpostor: Bool = false, _ change: (inout SMTPAgentPeer.Script) -> Void = { _ in }
    ) throws -> SMTPAgentHarness {
        try SMTPAgentTLSTests.harness("verify") { script in
            script.keywordsInTLS = ["PIPELINING", "8BITMIME", "AUTH \(mechanisms)"]
            script.authentication = SMTPAgentPeerAuthentication.real(
                user: "alice", password: password, isPlusOffered: mechanisms.contains("PLUS"), isImpostor: isImpostor)
            change(&script)
        }
    }

    @Test(
        "the strongest mechanism that is offered is used, and the server is known to know the password",
        arguments: [
            ("PLAIN LOGIN", "AUTH PLAIN "), ("LOGIN", "AUTH LOGIN"),
            ("login plain SCRAM-SHA-256", "AUTH SCRAM-SHA-256 "),
            ("PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "AUTH SCRAM-SHA-256-PLUS "),
            ("CRAM-MD5 GSSAPI LOGIN", "AUTH LOGIN"),
        ])
    func mechanisms(offered: String, used: String) throws {
        var harness = try Self.harness(offered)
        harness.secrets = try Self.secrets(harness)
        #expect(try SMTPAgentTLSTests.deliver(harness).result == .ok)
        #expect(harness.peer.commands.filter { $0.hasPrefix("AUTH") }.count == 1)
        #expect(harness.peer.commands.contains { $0.hasPrefix(used) })
        #expect(!harness.peer.clearCommands.contains { $0.hasPrefix("AUTH") })
        #expect(harness.peer.messages.count == 1)
    }

    @Test(
        "what goes wrong makes mail wait, and never returns it",
        arguments: [
            ("535 5.7.8 who?", "4.7.8"), ("535 no", "4.7.8"), ("454 4.7.0 later", "4.7.0"),
            ("432 4.7.12 transition", "4.7.12"),
            ("530 5.7.0 no", "4.7.0"), ("500 5.5.1 what?", "4.5.1"), ("504 5.5.4 no", "4.5.4"),
            ("550 5.7.1 no", "4.7.1"),
            ("421 4.3.2 bye", "4.3.2"), ("334 ***", "4.7.0"), ("235 2.7.0 sure", "ok"),
        ])
    func failures(reply: String, status: String) throws {
        var harness = try Self.harness("PLAIN") { $0.authentication = SMTPAgentPeerAuthentication.saying(reply) }
        harness.secrets = try Self.secrets(harness)
        let report = try SMTPAgentTLSTests.deliver(harness)
        #expect(report.result == (status == "ok" ? .ok : .deferredAll))
        if status != "ok" { #expect(report.notary?.status == status) }
        #expect(harness.peer.messages.count == (status == "ok" ? 1 : 0))
    }

    @Test(
        "a server that cannot prove that it knows the password gets no mail",
        arguments: ["SCRAM-SHA-256", "SCRAM-SHA-256 SCRAM-SHA-256-PLUS"])
    func impostor(offered: String) throws {
        var harness = try Self.harness(offered, isImpostor: true)
        harness.secrets = try Self.secrets(harness)
        let report = try SMTPAgentTLSTests.deliver(harness)
        #expect(report.result == .deferredAll)
        #expect(report.message.contains("does not know the password"))
        #expect(harness.peer.messages.isEmpty)
        var liar = try Self.harness("SCRAM-SHA-256") {
            $0.authentication = SMTPAgentPeerAuthentication.saying("235 2.7.0 fine")
        }
        liar.secrets = try Self.secrets(liar)
        #expect(try SMTPAgentTLSTests.deliver(liar).result == .deferredAll)
        #expect(liar.peer.messages.isEmpty)
    }

    @Test("without TLS nothing is said of it, unless the file says cleartext", arguments: ["", "cleartext"])
    func clearText(keyword: String) throws {
        var script = SMTPAgentPeer.Script()
        script.keywords = ["AUTH PLAIN LOGIN SCRAM-SHA-256"]
        script.authentication = SMTPAgentPeerAuthentication.real(user: "alice", password: Self.password)
        var harness = try SMTPAgentHarness(script)
        harness.secrets = try Self.secrets(harness, keyword)
        let report = try SMTPAgentTLSTests.deliver(harness)
        #expect(report.result == (keyword.isEmpty ? .deferredAll : .ok))
        #expect(harness.peer.commands.contains { $0.hasPrefix("AUTH") } == !keyword.isEmpty)
        if keyword.isEmpty { #expect(report.message.contains("there is no TLS")) }
    }

    @Test("the file may leave mechanisms out")
    func allowedMechanisms() throws {
        var harness = try Self.harness("PLAIN LOGIN SCRAM-SHA-256")
        harness.secrets = try Self.secrets(harness, "mechanisms=login")
        #expect(try SMTPAgentTLSTests.deliver(harness).result == .ok)
        #expect(harness.peer.commands.contains("AUTH LOGIN"))
        var none = try Self.harness("PLAIN")
        none.secrets = try Self.secrets(none, "mechanisms=SCRAM-SHA-256")
        let report = try SMTPAgentTLSTests.deliver(none)
        #expect(report.message.contains("no mechanism that may be used: PLAIN"))
    }

    @Test("AUTH that is not offered any more is no reason to go without")
    func notOffered() throws {
        var harness = try Self.harness("PLAIN") { $0.keywordsInTLS = ["PIPELINING"] }
        harness.secrets = try Self.secrets(harness)
        let report = try SMTPAgentTLSTests.deliver(harness)
        #expect(report.result == .deferredAll && report.notary?.status == "4.7.0")
        #expect(!harness.peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test("other channels and hosts are not known by name", arguments: [("other", true), ("smtp", false)])
    func channels(channel: String, isUnknown: Bool) throws {
        var harness = try Self.harness("PLAIN")
        harness.secrets = try Self.secrets(harness, channel: channel)
        #expect(try SMTPAgentTLSTests.deliver(harness).result == .ok)
        #expect(harness.peer.commands.contains { $0.hasPrefix("AUTH") } != isUnknown)
    }

    @Test("a passing failure is no wrong password: the next message tries again")
    func passing() throws {
        var harness = try Self.harness("PLAIN") {
            $0.authentication = SMTPAgentPeerAuthentication.saying("454 4.7.0 later")
        }
        defer { harness.peer.stop() }
        harness.secrets = try Self.secrets(harness)
        let controls = try (0..<3).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        #expect(try harness.deliver(controls).map(\.result) == [.deferredAll, .deferredAll, .deferredAll])
        #expect(harness.peer.commands.filter { $0.hasPrefix("AUTH") }.count == 3)
    }

    @Test(
        "a server that repeats the password later gets it neither into the dialogue nor into a report",
        arguments: [SMTPAgentPeer.Stage.mail, .rcpt, .data, .content], [false, true])
    func repeated(stage: SMTPAgentPeer.Stage, inPieces: Bool) throws {
        let password = "s3cret-Passw0rd"
        let encoded = Base64.encode(Array("\0alice\0\(password)".utf8))
        var harness = try Self.harness("PLAIN") { script in
            script.authentication = SMTPAgentPeerAuthentication.saying("235 2.7.0 sure")
            let pieces = [
                "550-5.7.1 \(encoded.prefix(12))", "\(encoded.dropFirst(12))\r\n550 5.7.1 s3cre", "t-Passw0rd\r\n",
            ]
            script.always[stage] = inPieces ? .pieces(pieces) : .raw(pieces.joined())
        }
        defer { harness.peer.stop() }
        harness.secrets = try Self.secrets(harness, password: password)
        let (log, path) = try Self.log()
        defer { unlink(path) }
        harness.log = log
        harness.options.isVerbose = true
        let report = try SMTPAgentTLSTests.deliver(harness)
        #expect(report.result == .failed)
        let text = String(decoding: try FileOctets.read(path, limit: 1 << 20), as: UTF8.self)
        #expect(text.contains("(hidden: it repeats the password)"))
        // Other replies are shown.
        #expect(text.contains("250-STARTTLS"))
        for secret in ["s3cre", "Passw0rd", String(encoded.prefix(12)), String(encoded.dropFirst(12))] {
            #expect(!text.contains(secret) && !"\(report)".contains(secret), "\(secret)")
        }
    }

    @Test(
        "the beginning of a reply whose end never came is in the dialogue, without what the password begins with",
        arguments: [("421 4.3.2 clo", "421 4.3.2 clo"), ("550 5.7.1 no \u{fb}s3cret-Pa", "550 5.7.1 no ")])
    func cutOff(reply: String, shown: String) throws {
        let password = "\u{fb}s3cret-Passw0rd"
        var harness = try Self.harness("PLAIN") { script in
            script.authentication = SMTPAgentPeerAuthentication.saying("235 2.7.0 sure")
            script.always[.mail] = .rawAndDrop(reply)
        }
        defer { harness.peer.stop() }
        harness.secrets = try Self.secrets(harness, password: password)
        let (log, path) = try Self.log()
        defer { unlink(path) }
        harness.log = log
        harness.options.isVerbose = true
        _ = try SMTPAgentTLSTests.deliver(harness)
        let text = String(decoding: try FileOctets.read(path, limit: 1 << 20), as: UTF8.self)
        #expect(text.split(separator: "\n").contains { $0.contains("smtp-received") && $0.contains(shown) })
        #expect(!text.contains("s3cret"))
    }

    private static func log() throws -> (EventLog, String) {
        var template = Array("/tmp/agentlog.XXXXXX".utf8CString)
        let descriptor = template.withUnsafeMutableBufferPointer { mkstemp($0.baseAddress!) }
        try #require(descriptor >= 0)
        close(descriptor)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return (try EventLog(program: "smtp", destination: .file(path), level: .debug), path)
    }

    @Test("a wrong password is tried once for a queue, the operator is told once, and no log has it")
    func wrongPassword() throws {
        let (log, path) = try Self.log()
        defer { unlink(path) }
        let wrong = "wrong-Passw0rd"
        let encoded = Base64.encode(Array("\0alice\0\(wrong)".utf8))
        var harness = try Self.harness("PLAIN") {
            $0.authentication = SMTPAgentPeerAuthentication.saying("535 5.7.8 '\(encoded)' is wrong")
        }
        defer { harness.peer.stop() }
        harness.secrets = try Self.secrets(harness, password: wrong)
        harness.log = log
        harness.options.isVerbose = true
        let controls = try (0..<10).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        let reports = try harness.deliver(controls)
        #expect(reports.map(\.result) == Array(repeating: .deferredAll, count: 10))
        #expect(harness.peer.commands.filter { $0.hasPrefix("AUTH") }.count == 1)
        let text = String(decoding: try FileOctets.read(path, limit: 1 << 20), as: UTF8.self)
        #expect(text.components(of: "auth-failed") == 1)
        #expect(text.contains("AUTH PLAIN (hidden)"))
        for secret in [wrong, encoded, Base64.encode(Array(wrong.utf8))] {
            #expect(!text.contains(secret))
            #expect(!reports.contains { $0.message.contains(secret) || "\($0)".contains(secret) })
        }
        #expect(!"\(harness.secrets)".contains(wrong))
    }

    @Test(
        "secrets files that cannot be are refused, each mistake with its line and nothing of the secrets",
        arguments: [
            ("* h", "valid is: channel|*"), ("* a b c d", "third word"), ("* a@b YQ== YQ==", "second word"),
            ("* h YQ== ***", "fourth word"), ("* h YQ== AA==", "fourth word"),
            ("* h YQ== YQ== foo", "cleartext and mechanisms="),
            ("* h YQ== YQ== mechanisms=CRAM-MD5", "valid mechanisms are"), ("* h gICA YQ==", "third word"),
        ])
    func mistakes(line: String, reason: String) {
        do throws(ConfigurationErrors) {
            _ = try AuthSecrets(parsing: Array("# comment\n\n\(line)\n".utf8), file: "secrets")
            Issue.record("taken")
        } catch {
            #expect(error.description.contains("secrets:3"))
            #expect(error.description.contains(reason))
        }
    }

    @Test("the first line that fits holds, with a port before without")
    func lookup() throws {
        let text = "a mx.test YQ== YQ==\n* MX.test:587 Yg== YQ==\n* mx.test Yw== YQ==\n* [192.0.2.1] ZA== YQ==\n"
        let secrets = try AuthSecrets(parsing: Array(text.utf8), file: "f")
        func user(_ channel: String, _ host: String) -> String? {
            NextHop(host).flatMap { secrets.entry(channel: channel, hop: $0)?.credentials.user.text }
        }
        #expect(user("a", "mx.test") == "a" && user("b", "mx.test:587") == "b" && user("b", "mx.test") == "c")
        #expect(user("b", "mx.test:25") == "c" && user("b", "[192.0.2.1]:25") == "d" && user("b", "other.test") == nil)
    }

    @Test(
        "the file is read only where others cannot",
        arguments: [(0o600, true), (0o640, true), (0o644, false), (0o604, false), (0o660, false)])
    func mode(mode: Int, isRead: Bool) throws {
        var template = Array("/tmp/secrets.XXXXXX".utf8CString)
        let descriptor = template.withUnsafeMutableBufferPointer { mkstemp($0.baseAddress!) }
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        let line = Array("* h YQ== YQ==\n".utf8)
        try #require(write(descriptor, line, line.count) == line.count && fchmod(descriptor, mode_t(mode)) == 0)
        do throws(ConfigurationErrors) {
            let secrets = try AuthSecretsFile.read(path)
            #expect(isRead && secrets.entries.count == 1)
        } catch {
            #expect(!isRead && error.description.contains("chmod 600"))
        }
        #expect(throws: ConfigurationErrors.self) { try AuthSecretsFile.read(path + ".missing") }
    }
}

extension String {
    /// How often `part` stands in it.
    fileprivate func components(of part: String) -> Int { ranges(of: part).count }
}
