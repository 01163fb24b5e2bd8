import Foundation
import Glibc
import Testing

/// What options of the command line do to the running program.
@Suite("Flags of the server")
struct ServerFlagTests {
    private static let message = "From: <a@client.test>\r\nSubject: x\r\n\r\ntext\r\n"
    private var smtpserver: String { "\(Programs.libexec)/smtpserver" }

    @Test("-V tells the version that the greeting tells, and needs no configuration")
    func version() async throws {
        try await Instance.run { instance in
            let result = try await instance.run(smtpserver, ["-V", "-Z", "/nonexistent"])
            #expect(result.status == .exited(0), "\(result.output)")
            let version = try #require(result.output.firstMatch(of: /^ZMailer smtpserver (\S+)\n$/)?.1)
            let (_, greeting, _) = try instance.greeted()
            #expect(greeting.texts.first?.contains(" ZMailer Server \(version) ") == true, "\(greeting)")
        }
    }

    @Test("-C, -I, -P, -l and -S: a second server has a configuration, a pid file, a spool and logs of its own")
    func own() async throws {
        try await Instance.run { instance in
            try instance.write(
                instance.read("share/smtpserver.conf") + "PARAM hdr220 the other of %H\n", to: "other.conf")
            let spool = try instance.makeSpool("other")
            let first = try #require(instance.master)
            let common = ["-C", "\(instance.directory)/other.conf", "-P", spool]
            for (name, suffix) in [("by-client", "remote"), ("by-host", "local")] {
                let log = "\(instance.directory)/log/\(name)"
                let server = try await OtherServer(instance, name, common + ["-l", log, "-S", suffix])
                // -I, below -P: the second holds it, and the first has its own.
                #expect(instance.read("other/.pid.\(name)").filter(\.isNumber) == String(server.process.pid))
                #expect(instance.read("postoffice/.pid.smtpserver").filter(\.isNumber) == String(first))
                for source in ["127.0.0.2", "127.0.0.3"] {
                    let (client, greeting, _) = try instance.greeted(
                        port: server.port, from: source, as: "from-\(source.last!).test")
                    #expect(greeting.texts == ["the other of mail.example.test"])
                    let reply = try client.transact(
                        from: "a@client.test", to: ["alice@example.test"], message: Self.message)
                    #expect(reply.code == 250, "\(reply)")
                    #expect(try client.command("QUIT").code == 221)
                }
                try await server.stop()
            }
            // -P: nobody routes what is in the other spool, and the first server's has nothing of it.
            #expect(instance.waiting(in: "other").count == 4)
            #expect(instance.spoolFiles.isEmpty)
            #expect(instance.maildir("alice").count == 0)
            let logs = try FileManager.default.contentsOfDirectory(atPath: "\(instance.directory)/log")
            let own = logs.filter { $0.hasPrefix("by-") }.sorted()
            #expect(own == ["by-client.127.0.0.2", "by-client.127.0.0.3", "by-host.mail.example.test"])
            for (file, clients) in [
                ("by-client.127.0.0.2", ["2"]), ("by-client.127.0.0.3", ["3"]),
                ("by-host.mail.example.test", ["2", "3"]),
            ] {
                let text = instance.read("log/\(file)")
                let found = text.matches(of: /r\tEHLO from-(\d).test\n/).map { String($0.1) }
                #expect(found == clients, "\(file): \(text)")
                #expect(text.contains("w\t221 "), "\(file): \(text)")
            }
            let (_, greeting, _) = try instance.greeted()
            #expect(greeting.texts.first?.contains("the other of") == false, "\(greeting)")
        }
    }
}
