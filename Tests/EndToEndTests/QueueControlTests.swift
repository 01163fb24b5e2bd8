import Foundation
import Glibc
import Testing

/// What an operator does to a queue of real programs: `zmailer queue …`, `mailq`.
@Suite("The queue in an operator's hands")
struct QueueControlTests {
    /// `remote.test` goes to a port where nobody listens until a test makes a sink there.
    private static func settings(_ port: UInt16) -> (inout Instance.Settings) -> Void {
        { settings in
            settings.relayDomains = ["remote.test"]
            settings.routes = ["remote.test smtpx![127.0.0.1]:\(port)"]
            settings.retryInterval = "1h"
        }
    }

    /// Sends one message to each and waits until each was tried or waits; returns their queue ids by sender.
    private static func queue(_ instance: Instance, _ senders: [String]) async throws -> [String: String] {
        for sender in senders {
            let sent = try await instance.swaks(from: sender, to: "b@remote.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
        }
        for _ in 0..<500 {
            let listed = try await instance.zmailer("queue", "list", "--json")
            let messages = try objects(listed.output).filter { ($0["recipients"] as? [[String: Any]]) != nil }
            let states = messages.flatMap { message in
                (message["recipients"] as? [[String: Any]] ?? []).map { $0["state"] as? String ?? "" }
            }
            // No agent has any of it.
            if messages.count == senders.count, states.allSatisfy({ $0 == "deferred" || $0 == "suspended" }) {
                return Dictionary(
                    messages.map { ($0["sender"] as? String ?? "", $0["id"] as? String ?? "") },
                    uniquingKeysWith: { first, _ in first })
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw HarnessError("not queued\n\(instance.report)")
    }

    private static func objects(_ lines: String) throws -> [[String: Any]] {
        try lines.split(separator: "\n").compactMap {
            try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
        }
    }

    private func zmailer(_ instance: Instance, _ arguments: [String], code: Int32 = 0) async throws -> String {
        let result = try await instance.run(Programs.zmailer, arguments + ["-Z", instance.configuration])
        #expect(result.status == .exited(code), "\(arguments): \(result.output)")
        return result.output
    }

    @Test("held mail stays over a crash and goes when it is released; what is removed is gone; both are said")
    func holdAndRemove() async throws {
        let port = try FreePorts.take()
        try await Instance.run(Self.settings(port)) { instance in
            let ids = try await Self.queue(instance, ["keep@client.test", "junk@client.test", "junk@other.test"])
            let keep = try #require(ids["keep@client.test"])
            let held = try await zmailer(instance, ["queue", "hold", keep, "--reason", "ask bob"])
            #expect(held.contains("messages held: 1, recipients: 1"), "\(held)")
            let planned = try await zmailer(instance, ["queue", "remove", "--sender", "junk@*", "--dry-run"])
            #expect(planned.contains("messages would be removed: 2"), "\(planned)")
            let removed = try await zmailer(instance, ["queue", "remove", "--sender", "junk@*"])
            #expect(removed.contains("messages removed: 2"), "\(removed)")
            let none = try await zmailer(instance, ["queue", "remove", "--sender", "junk@*"])
            #expect(none.contains("nothing in the queue is meant"), "\(none)")
            instance.crash()
            try await instance.start()
            let sink = try Sink(port: port)
            defer { sink.stop() }
            var shown = ""
            for _ in 0..<500 {
                shown = try await instance.zmailer("queue", "show", keep).output
                if shown.contains("held by") { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(shown.contains("ask bob"), "\(shown)")
            _ = try await zmailer(instance, ["flush"])
            let top = try await zmailer(instance, ["queue", "top", "--once"])
            #expect(top.contains("smtpx/[127.0.0.1]:\(port)") && top.contains("Held: 1"), "\(top)")
            #expect(sink.messageCount == 0)
            _ = try await zmailer(instance, ["queue", "release", "--all"])
            try await waitUntil("delivery", details: { instance.report }) { sink.messageCount == 1 }
            try await instance.waitForEmptySpool()
            // What was removed just before the crash has not come back.
            #expect(sink.messageCount == 1)
        }
    }

    @Test("a bounce comes back with the operator's words, and a suspended host is left alone until it is resumed")
    func bounceAndSuspend() async throws {
        let port = try FreePorts.take()
        try await Instance.run(Self.settings(port)) { instance in
            let suspended = try await zmailer(
                instance,
                ["queue", "suspend", "--host", "?127.0.0.1?:\(port)", "--for", "1h", "--reason", "they asked"])
            #expect(suspended.contains("ends in"), "\(suspended)")
            _ = try await Self.queue(instance, ["alice@example.test", "bob@example.test"])
            let sink = try Sink(port: port)
            defer { sink.stop() }
            let listed = try await zmailer(instance, ["queue", "suspensions"])
            #expect(listed.contains("messages: 2, recipients: 2"), "\(listed)")
            let messages = try await zmailer(instance, ["queue", "list", "--status", "suspended"])
            #expect(messages.contains("they asked"), "\(messages)")
            let bounced = try await zmailer(
                instance, ["queue", "bounce", "--sender", "alice@*", "--reason", "please use the form"])
            #expect(bounced.contains("messages returned to their senders: 1"), "\(bounced)")
            try await instance.waitForMail(of: "alice", count: 1)
            #expect(sink.messageCount == 0)
            _ = try await zmailer(instance, ["queue", "resume", "--all"])
            try await waitUntil("delivery", details: { instance.report }) { sink.messageCount == 1 }
            try await instance.waitForEmptySpool()
        }
    }

    @Test(
        "mail is moved to another destination, routed again, exported and imported; none is lost and none comes twice")
    func moves() async throws {
        let port = try FreePorts.take()
        try await Instance.run(Self.settings(port)) { instance in
            let ids = try await Self.queue(
                instance, ["one@client.test", "two@client.test", "three@client.test"])
            let sink = try Sink()
            defer { sink.stop() }
            let one = try #require(ids["one@client.test"])
            _ = try await zmailer(instance, ["queue", "move", one, "--to", "smtpx/[127.0.0.1]:\(sink.port)"])
            try await waitUntil("the first", details: { instance.report }) { sink.messageCount == 1 }

            let folder = "\(instance.directory)/exported"
            let two = try #require(ids["two@client.test"])
            let exported = try await zmailer(instance, ["queue", "export", two, "--to", folder, "--remove"])
            #expect(exported.contains("\(folder)/\(two).mail"), "\(exported)")
            let gone = try await instance.zmailer("queue", "show", two)
            #expect(gone.status == .exited(66), "\(gone.output)")

            let routes = instance.read("var/db/routes").replacingOccurrences(
                of: "smtpx![127.0.0.1]:\(port)", with: "smtpx![127.0.0.1]:\(sink.port)")
            try instance.write(routes, to: "var/db/routes")
            let three = try #require(ids["three@client.test"])
            for _ in 0..<50 where sink.messageCount < 2 {
                // The router sees the new route within a second; what it routed by the old one is routed again.
                _ = try await instance.zmailer("reroute", "--all")
                try await Task.sleep(for: .milliseconds(500))
            }
            #expect(sink.messageCount == 2, "\(three): \(instance.report)")
            let imported = try await zmailer(instance, ["queue", "import", "--remove", folder])
            #expect(imported.contains("to be routed as"), "\(imported)")
            try await waitUntil("the third", details: { instance.report }) { sink.messageCount == 3 }
            try await instance.waitForEmptySpool()
            #expect(sink.messageCount == 3)
        }
    }

    @Test("mailq has ZMailer's flags; what is refused says what would be valid")
    func mailq() async throws {
        let port = try FreePorts.take()
        try await Instance.run(Self.settings(port)) { instance in
            _ = try await Self.queue(instance, ["a@client.test"])
            func mailq(_ arguments: String...) async throws -> String {
                try await instance.run(Programs.mailq, arguments + ["-Z", instance.configuration]).output
            }
            let sums = try await mailq("-s")
            #expect(sums.hasPrefix("Kids: ") && sums.contains("\nMsgs in 1 out 0 stored 1"), "\(sums)")
            #expect(try await mailq("-ss").split(separator: "\n").count == 1)
            let threads = try await mailq("-QQ")
            #expect(threads.contains("smtpx/[127.0.0.1]:\(port)/0") && threads.contains("N=1 "), "\(threads)")
            #expect(try await mailq("-c", "smtpx").contains("<b@remote.test>"))
            #expect(try await mailq("-c", "local").contains("messages: 0"))
            let nothing = try await zmailer(instance, ["queue", "remove"], code: 64)
            #expect(nothing.contains("nothing says which mail is meant; valid are --id"), "\(nothing)")
            let status = try await zmailer(instance, ["queue", "list", "--status", "asleep"], code: 64)
            #expect(status.contains("valid are waiting, deferred, held, active, suspended"), "\(status)")
        }
    }
}
