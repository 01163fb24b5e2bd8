import Foundation
import Testing

/// `zmailer trace` over the logs of a whole system.
@Suite("zmailer trace")
struct TraceTests {
    /// The queue id in the reply to DATA.
    private static func send(_ instance: Instance, from sender: String, to recipient: String, id: String) throws
        -> String
    {
        let client = try Connection.greeted(port: instance.port)
        let reply = try client.transact(
            from: sender, to: [recipient], message: "Message-Id: <\(id)>\r\nSubject: traced\r\n\r\nbody\r\n")
        guard reply.code == 250, let queueID = reply.texts.last?.split(separator: " ").last else {
            throw HarnessError("not accepted: \(reply)")
        }
        return String(queueID)
    }

    /// Started in the foreground, the daemons log to standard error, which the harness keeps.
    private static func trace(
        _ instance: Instance, _ arguments: String...
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        try await instance.run(
            Programs.zmailer,
            ["trace"] + arguments + ["--log", "\(instance.directory)/zmailer.out", "-Z", instance.configuration])
    }

    @Test("a relayed message is found by every name that people have for it")
    func relayed() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run(RelayTests.settings(sink)) { instance in
            let id = try Self.send(instance, from: "a@client.test", to: "b@remote.test", id: "one@client.test")
            let other = try Self.send(instance, from: "a@client.test", to: "c@remote.test", id: "two@client.test")
            try await waitUntil("both are at the next hop", details: { instance.report }) { sink.messageCount == 2 }
            try await instance.waitForEmptySpool()
            let byID = try await Self.trace(instance, id)
            #expect(byID.status == .exited(0), "\(byID.output)")
            for text in [
                "accepted from <a@client.test>, client [127.0.0.1], recipients 1, ",
                "routed, recipients 1, Message-ID <one@client.test>",
                "<b@remote.test> by smtpx/[127.0.0.1]:\(sink.port): relayed", "is no longer in the spool",
            ] {
                #expect(byID.output.contains(text), "\(text) is missing in\n\(byID.output)")
            }
            #expect(!byID.output.contains(other))
            #expect(!byID.output.contains("two@client.test"))
            #expect(try await Self.trace(instance, "<one@client.test>").output == byID.output)
            #expect(
                try await Self.trace(instance, "--from", "A@client.test", "--to", "b@REMOTE.test").output == byID.output
            )
            let session = try #require(byID.output.firstMatch(of: /session ([0-9a-z]+)/)?.1)
            #expect(try await Self.trace(instance, String(session)).output == byID.output)

            let json = try await Self.trace(instance, "--json", "--from", "a@client.test")
            let value = try #require(
                try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any], "\(json.output)")
            #expect(Set(value["messages"] as? [String] ?? []) == [id, other])
            let events = try #require(value["events"] as? [[String: Any]])
            for name in ["accepted", "routed", "delivery"] {
                #expect(events.count { $0["event"] as? String == name } == 2, "\(name)")
            }

            let unknown = try await Self.trace(instance, "7523422846721671169")
            #expect(unknown.status == .exited(1))
            #expect(unknown.output.contains("nothing is known of 7523422846721671169"))
            #expect(unknown.output.contains("zmailer.out"))
            #expect(try await Self.trace(instance, "no id").status == .exited(64))
        }
    }

    @Test("a notification is followed from its cause, and its cause from it, whoever wrote it")
    func notifications() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") ? "550 5.1.1 No such user here" : nil })
        defer { sink.stop() }
        let change: (inout Instance.Settings) -> Void = { settings in
            RelayTests.settings(sink)(&settings)
            settings.aliases = ["ghost: no-such-user"]
        }
        try await Instance.run(change) { instance in
            // The scheduler reports the one, errormail the other.
            let failed = try Self.send(
                instance, from: "alice@example.test", to: "gone@remote.test", id: "f@example.test")
            let ghost = try Self.send(
                instance, from: "bob@example.test", to: "ghost@example.test", id: "g@example.test")
            try await instance.waitForMail(of: "alice", count: 1)
            try await instance.waitForMail(of: "bob", count: 1)
            try await instance.waitForEmptySpool()
            for (id, sender) in [(failed, "alice"), (ghost, "bob")] {
                let trace = try await Self.trace(instance, id)
                let report = try #require(
                    trace.output.firstMatch(of: /notification (\d+) to <([a-z]+)@example.test>/), "\(trace.output)")
                #expect(String(report.2) == sender)
                #expect(trace.output.contains("<\(sender)@example.test>"), "\(trace.output)")
                #expect(trace.output.contains("by local/"), "the report's own delivery is missing in\n\(trace.output)")
                #expect(try await Self.trace(instance, String(report.1)).output == trace.output)
            }
        }
    }

    @Test("for what waits the next attempt, the expiry and the last answer are told")
    func queued() async throws {
        let port = try FreePorts.take()
        let change: (inout Instance.Settings) -> Void = { settings in
            settings.relayDomains = ["remote.test"]
            settings.routes = ["remote.test smtpx![127.0.0.1]:\(port)"]
            settings.retryInterval = "1h"
        }
        try await Instance.run(change) { instance in
            let id = try Self.send(instance, from: "a@client.test", to: "b@remote.test", id: "w@client.test")
            var output = ""
            for _ in 0..<500 {
                output = try await Self.trace(instance, id).output
                if output.contains("attempts 1, next in ") { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(output.contains("is queue/\(id): with the scheduler"), "\(output)")
            #expect(
                output.contains("<b@remote.test> smtpx/[127.0.0.1]:\(port) deferred, attempts 1, next in "), "\(output)"
            )
            #expect(output.contains("Connection refused"), "\(output)")
            // What has not been tried since the scheduler knows it stands in no line with its recipient.
            let byRecipient = try await Self.trace(instance, "--to", "b@remote.test")
            #expect(byRecipient.output.contains("accepted from <a@client.test>"), "\(byRecipient.output)")
        }
    }

    @Test("a refused recipient is found by its addresses")
    func refused() async throws {
        try await Instance.run { instance in
            let client = try Connection.greeted(port: instance.port)
            #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
            #expect(try client.command("RCPT TO:<nobody@example.test>").code == 550)
            #expect(try client.command("QUIT").code == 221)
            var found = try await Self.trace(instance, "--from", "a@client.test", "--to", "nobody@example.test")
            // Lines of refusals are written together.
            for _ in 0..<200 where found.status != .exited(0) {
                try await Task.sleep(for: .milliseconds(20))
                found = try await Self.trace(instance, "--from", "a@client.test", "--to", "nobody@example.test")
            }
            #expect(found.output.contains("refused RCPT TO:<nobody@example.test>: 550 5.1.1"), "\(found.output)")
        }
    }

    @Test("started detached, the logs of LOGDIR are enough, rotated ones too")
    func detached() async throws {
        try await Instance.run { instance in
            try await instance.stop()
            let start = try await instance.zmailer("start")
            #expect(start.status == .exited(0), "\(start.output)")
            let id = try Self.send(instance, from: "a@client.test", to: "alice@example.test", id: "d@client.test")
            try await instance.waitForMail(of: "alice", count: 1)
            try await instance.waitForEmptySpool()
            let files = FileManager.default
            for program in ["smtpserver", "router", "scheduler"] {
                try files.moveItem(
                    atPath: "\(instance.directory)/log/\(program)", toPath: "\(instance.directory)/log/\(program).1")
            }
            #expect(try await instance.zmailer("reload").status == .exited(0))
            let zipped = try await instance.run("/bin/gzip", ["\(instance.directory)/log/router.1"])
            #expect(zipped.status == .exited(0))
            let trace = try await instance.zmailer("trace", id)
            #expect(trace.status == .exited(0), "\(trace.output)")
            for text in [
                "accepted from <a@client.test>", "Message-ID <d@client.test>", "<alice@example.test>", "delivered",
            ] {
                #expect(trace.output.contains(text), "\(text) is missing in\n\(trace.output)")
            }
            #expect(try await instance.zmailer("stop").status == .exited(0))
        }
    }
}
