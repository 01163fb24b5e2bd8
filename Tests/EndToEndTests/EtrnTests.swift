import Foundation
import Glibc
import Testing

/// Mail that waits until its host asks for it.
@Suite("ETRN")
struct EtrnTests {
    /// `remote.test` goes to the host `mail.client.test`, which is the sink, and waits there for an ETRN.
    private static func settings(_ sink: Sink) -> (inout Instance.Settings) -> Void {
        { settings in
            settings.relayDomains = ["remote.test"]
            settings.routes = ["remote.test smtp-etrn!mail.client.test:\(sink.port)"]
            settings.zones += [
                "zone mail.client.test static", "data \"mail.client.test. 60 IN A 127.0.0.1\"",
            ]
        }
    }

    private static func sendAndWait(_ instance: Instance, subject: String) async throws {
        let client = try Connection.greeted(port: instance.port)
        let reply = try client.transact(
            from: "a@client.test", to: ["b@remote.test"], message: "Subject: \(subject)\r\n\r\n\r\n")
        #expect(reply.code == 250)
        for _ in 0..<500 {
            if try await instance.zmailer("queue").output.contains("<b@remote.test> smtp-etrn/mail.client.test") {
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw HarnessError("not queued\n\(instance.report)")
    }

    @Test("mail of a queue-only channel waits for zmailer etrn, and what comes later for the next one")
    func waits() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run(Self.settings(sink)) { instance in
            try await Self.sendAndWait(instance, subject: "first")
            let other = try await instance.zmailer("etrn", "other.test")
            #expect(other.status == .exited(0))
            #expect(other.output.contains("nothing waits for other.test"))
            let flushed = try await instance.zmailer("etrn", "Mail.Client.Test")
            #expect(flushed.output.contains("messages to be tried now: 1, destinations: 1"), "\(flushed.output)")
            try await waitUntil("the first is at its host", details: { instance.report }) { sink.messageCount == 1 }
            try await instance.waitForEmptySpool()

            try await Self.sendAndWait(instance, subject: "second")
            let json = try await instance.zmailer("etrn", "@client.test", "--json")
            #expect(json.output.contains("\"started\":1"), "\(json.output)")
            try await waitUntil("the second is at its host", details: { instance.report }) { sink.messageCount == 2 }
            try await instance.waitForEmptySpool()
            #expect(try await instance.zmailer("etrn", "a b").status == .exited(64))
        }
    }

    @Test("another node gives its ETRN over mailq; without an account it is refused")
    func cluster() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        let port = try FreePorts.take()
        let change: (inout Instance.Settings) -> Void = { settings in
            Self.settings(sink)(&settings)
            settings.prepare = { instance in
                let scheduler = instance.read("share/scheduler.conf")
                try instance.write(
                    """
                    PARAMauthfile = "${MAILSHARE}/scheduler.auth"
                    PARAMmailqsock = "TCP:\(port)@127.0.0.1"
                    \(scheduler)
                    """, to: "share/scheduler.conf")
                try instance.write("node:a secret word:ETRN:[127.0.0.1]\n", to: "share/scheduler.auth")
                chmod("\(instance.directory)/share/scheduler.auth", 0o600)
                try instance.write("a secret word\n", to: "right")
                try instance.write("another word\n", to: "wrong")
            }
        }
        try await Instance.run(change) { instance in
            try await Self.sendAndWait(instance, subject: "over the cluster")
            func etrn(_ file: String) async throws -> (status: TestProcess.ExitStatus, output: String) {
                try await instance.zmailer(
                    "etrn", "mail.client.test", "--node", "127.0.0.1/\(port)", "--user", "node", "--password-file",
                    "\(instance.directory)/\(file)")
            }
            let refused = try await etrn("wrong")
            #expect(refused.status == .exited(77), "\(refused.output)")
            #expect(sink.messageCount == 0)
            let taken = try await etrn("right")
            #expect(taken.status == .exited(0), "\(taken.output)")
            #expect(taken.output.contains("127.0.0.1/\(port): +OK; an ETRN started something."))
            try await waitUntil("the message is at its host", details: { instance.report }) { sink.messageCount == 1 }
            try await instance.waitForEmptySpool()
        }
    }

    @Test("ZMailer's file in transport/ is an ETRN, too")
    func file() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run(Self.settings(sink)) { instance in
            try await Self.sendAndWait(instance, subject: "by file")
            try instance.write("T mail.client.test 192.0.2.1\n", to: "postoffice/transport/4711-etrn")
            // Found by the scheduler's next look, at most 15 s later.
            try await waitUntil("the message is at its host", deadline: .seconds(60), details: { instance.report }) {
                sink.messageCount == 1
            }
            try await instance.waitForEmptySpool()
        }
    }
}
