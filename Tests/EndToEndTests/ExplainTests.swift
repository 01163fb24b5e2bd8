import Foundation
import Testing

@Suite("Asking the policy")
struct ExplainTests {
    private static func settings() -> Instance.Settings {
        var settings = Instance.Settings()
        settings.prepare = { instance in
            try instance.append(["bob@example.test freeze +"], to: "var/db/smtp-policy.src")
        }
        return settings
    }

    private static let script = """
        EHLO client.test
        MAIL FROM:<>
        RCPT TO:<alice@example.test>
        RCPT TO:<someone@elsewhere.test>
        DATA
        QUIT

        """

    @Test("smtpserver -i -d 1 -T shows the way to each verdict in front of its reply, with no daemon and no trace")
    func testSession() async throws {
        let instance = try await Instance(Self.settings())
        defer { instance.destroy() }
        try instance.write(Self.script, to: "dialogue")
        let server = "\(Programs.libexec)/smtpserver"
        let (status, output) = try await instance.run(
            server, ["-i", "-d", "1", "-T", "[198.51.100.7]", "-Z", instance.configuration],
            input: "\(instance.directory)/dialogue")
        #expect(status == .exited(0), "\(output)")
        let texts = output.replacingOccurrences(of: "\r\n", with: "\n").split(separator: "\n").map(String.init)
        #expect(texts.first?.hasPrefix("000- ") == true, "\(output)")
        let greeting = try #require(texts.firstIndex { $0.hasPrefix("220 ") })
        #expect(texts[..<greeting].contains { $0.hasPrefix("000- chain: connect") })
        let replies = texts.filter { !$0.hasPrefix("000- ") && $0.dropFirst(3).first != "-" }
        #expect(
            replies.map { String($0.prefix(9)) }.suffix(5) == [
                "250 2.1.0", "250 2.1.5", "550 5.7.1", "554 5.7.1", "221 2.0.0",
            ])
        #expect(texts.contains { $0.hasPrefix("000- verdict: refuse: 550 5.7.1 ") && $0.contains("smtp-policy.src:") })
        #expect(instance.spoolFiles.isEmpty)

        let (bad, words) = try await instance.run(server, ["-i", "-T", "198.51.100.7", "-Z", instance.configuration])
        #expect(bad == .exited(64))
        #expect(words.contains("-T 198.51.100.7: no address literal") && words.contains("usage: smtpserver"))
    }

    @Test("zmailer explain says of the running service and by itself what a session then sees")
    func explain() async throws {
        let arguments = ["explain", "--from-ip", "127.0.0.1", "--helo", "client.test", "--mail-from", "", "--json"]
        try await Instance.run {
            $0 = Self.settings()
        } _: { instance in
            let client = try Connection.greeted(port: instance.port, as: "client.test")
            try client.command("MAIL FROM:<>")
            for (recipient, code, exit) in [
                ("alice@example.test", 250, Int32(0)), ("nobody-here@example.test", 550, 1),
                ("someone@elsewhere.test", 550, 1), ("bob@example.test", 250, 0),
            ] {
                let reply = try client.command("RCPT TO:<\(recipient)>")
                #expect(reply.code == code, "\(recipient): \(reply)")
                for mode in [[], ["--offline"]] {
                    let (status, output) = try await instance.run(
                        Programs.zmailer, arguments + ["--rcpt", recipient, "-Z", instance.configuration] + mode)
                    #expect(status == .exited(exit), "\(recipient) \(mode): \(output)")
                    let value = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
                    #expect(value?["source"] as? String == (mode.isEmpty ? "service" : "engine"))
                    let phases = value?["phases"] as? [[String: Any]] ?? []
                    #expect(phases.last?["reply"] as? [String] == reply.lines, "\(recipient) \(mode)")
                    let steps = phases.last?["steps"] as? [Any]
                    #expect((steps?.count ?? 0) > 0)
                }
            }
        }
    }

    @Test("frozen mail is accepted, waits in freezer/ where zmailer queue shows it, and goes its way when it is moved")
    func freezer() async throws {
        try await Instance.run {
            $0 = Self.settings()
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "", to: ["alice@example.test", "bob@example.test"], message: "Subject: cold\r\n\r\nbody\r\n")
            #expect(reply.code == 250, "\(reply)")
            let name = try #require(instance.spoolFiles["freezer"]?.first)
            #expect(instance.spoolFiles.keys.sorted() == ["freezer"])
            let (status, output) = try await instance.zmailer("queue")
            #expect(status == .exited(0))
            #expect(output.contains("(frozen: zmailer freezer list)") && output.contains(" Frozen: 1 "), "\(output)")
            try FileManager.default.moveItem(
                atPath: "\(instance.postoffice)/freezer/\(name)", toPath: "\(instance.postoffice)/router/\(name)")
            try await instance.waitForMail(of: "alice", count: 1)
            try await instance.waitForMail(of: "bob", count: 1)
        }
    }
}
