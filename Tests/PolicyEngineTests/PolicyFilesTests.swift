import Configuration
import Glibc
import Policy
import Resolver
import Testing

@testable import PolicyEngine

@Suite("Policy engine: text files without a database")
struct PolicyFilesTests {
    private final class Fixture {
        let scratch: Scratch
        let files: PolicyFiles
        var now: Int64 = 0

        init() throws {
            scratch = try Scratch()
            mkdir("\(scratch.path)/db", 0o755)
            files = PolicyFiles(folder: "\(scratch.path)/db", log: scratch.log)
        }

        /// Whether the domain is one of the policy, a second later; `nil`: there is no policy.
        func knows(_ domain: String) throws -> Bool? {
            now += 1000
            do throws(PolicyTrouble) {
                return try files.current(now: now).value(for: PolicyKey.domain(domain).octets) != nil
            } catch {
                return nil
            }
        }
    }

    @Test("no file at all is the built-in policy: nobody relays, nobody is ours")
    func none() throws {
        let fixture = try Fixture()
        #expect(try fixture.knows(".") == true)
        #expect(try fixture.knows("example.test") == false)
    }

    @Test("each file of policy-builder.sh is read, and each change of one is seen", arguments: PolicyMerge.files)
    func each(file: PolicyMerge.File) throws {
        let fixture = try Fixture()
        let line = file.kind == .source ? "\(PolicyMerge.boilerplate)new.test relaytarget +\n" : "new.test\n"
        #expect(try fixture.knows("new.test") == false)
        fixture.scratch.write(line, to: "db/\(file.name)")
        #expect(try fixture.knows("new.test") == true)
        fixture.scratch.write(line + "# nothing more\n", to: "db/\(file.name)")
        #expect(try fixture.knows("new.test") == true)
        #expect(fixture.scratch.logLines("policy-loaded").count == 3)
    }

    @Test("a file that vanishes is believed to be gone after three seconds: programs replace files in two steps")
    func vanishing() throws {
        let fixture = try Fixture()
        fixture.scratch.write("mx.test\n", to: "db/smtp-policy.mx")
        #expect(try fixture.knows("mx.test") == true)
        unlink("\(fixture.scratch.path)/db/smtp-policy.mx")
        #expect(try fixture.knows("mx.test") == true)
        fixture.scratch.write("mx.test\nother.test\n", to: "db/smtp-policy.mx")
        #expect(try fixture.knows("other.test") == true)
        unlink("\(fixture.scratch.path)/db/smtp-policy.mx")
        for _ in 0..<3 { #expect(try fixture.knows("other.test") == true) }
        #expect(try fixture.knows("other.test") == false)
    }

    @Test("a folder that is gone is trouble and not an empty policy; the policy before stays in use")
    func folder() throws {
        let fixture = try Fixture()
        fixture.scratch.write("mx.test\n", to: "db/smtp-policy.mx")
        #expect(rename("\(fixture.scratch.path)/db", "\(fixture.scratch.path)/away") == 0)
        #expect(try fixture.knows("mx.test") == nil)
        #expect(try fixture.knows("mx.test") == nil)
        #expect(fixture.scratch.logLines("policy-broken").count == 1)
        #expect(rename("\(fixture.scratch.path)/away", "\(fixture.scratch.path)/db") == 0)
        #expect(try fixture.knows("mx.test") == true)
        #expect(rename("\(fixture.scratch.path)/db", "\(fixture.scratch.path)/away") == 0)
        for _ in 0..<5 { #expect(try fixture.knows("mx.test") == true) }
        #expect(fixture.scratch.logLines("policy-broken").count == 2)
    }

    @Test("all mistakes of all files are named, with file and line")
    func mistakes() throws {
        let fixture = try Fixture()
        fixture.scratch.write("good.test\n\nbad.test relaytarget\n", to: "db/smtp-policy.mx")
        fixture.scratch.write("[300.0.0.1]/24\n", to: "db/smtp-policy.relay")
        #expect(try fixture.knows("good.test") == nil)
        let text = fixture.scratch.logText
        #expect(text.contains("smtp-policy.mx:3"))
        #expect(text.contains("smtp-policy.relay:1"))
    }

    @Test("router --check says what is wrong with files and database, and nothing when all is well")
    func check() throws {
        let scratch = try Scratch()
        for folder in ["var", "var/db"] { mkdir("\(scratch.path)/\(folder)", 0o755) }
        let configuration = try MailConfiguration(
            ZEnvironment(values: ["MAILVAR": "\(scratch.path)/var", "HOSTNAME": "mail.example.test"]))
        #expect(PolicyCheck.problems(configuration) == [])
        try build("ok.test relaytarget +\n", "\(scratch.path)/var/db/smtp-policy.gdbm")
        #expect(PolicyCheck.problems(configuration) == [])
        scratch.write("no database at all, whatever its name says\n", to: "var/db/smtp-policy.gdbm")
        scratch.write("bad.test relaytarget\nworse.test relaytarget perhaps\n", to: "var/db/smtp-policy.mx")
        let problems = PolicyCheck.problems(configuration)
        #expect(problems.count == 3)
        #expect(problems.contains { $0.contains("smtp-policy.gdbm") })
        #expect(problems.contains { $0.contains("smtp-policy.mx:2") })
    }
}

@Suite("Mail configuration: the resolver")
struct MailConfigurationTests {
    @Test("RESOLVER and RESOLVERZONES are what names are asked by")
    func resolver() throws {
        let scratch = try Scratch()
        scratch.write("zone example.test. static\n", to: "zones")
        let configuration = try MailConfiguration(
            ZEnvironment(values: [
                "HOSTNAME": "a.test", "RESOLVER": "127.0.0.1@5353", "RESOLVERZONES": "\(scratch.path)/zones",
            ]))
        #expect(configuration.resolver.forwarders == ["127.0.0.1@5353"])
        #expect(configuration.resolver.zones.zones.map(\.name) == ["example.test."])
    }

    @Test("zones that cannot be read or are wrong are a mistake of the configuration")
    func wrong() throws {
        let scratch = try Scratch()
        scratch.write("zone example.test.\n", to: "zones")
        for file in ["\(scratch.path)/zones", "\(scratch.path)/none"] {
            #expect(throws: ConfigurationErrors.self) {
                try MailConfiguration(ZEnvironment(values: ["HOSTNAME": "a.test", "RESOLVERZONES": file]))
            }
        }
    }
}
