import Foundation
import Glibc
import Testing

private enum Peer {
    static let procmail = "/usr/bin/procmail"
    static let python = "/usr/bin/python3"
}

/// Mail for programs of sm.conf, and mail that waits: from the network to what becomes of it.
@Suite("Programs of sm.conf, and mail that is held")
struct StreamAgentTests {
    /// Lines for sm.conf and scheduler.conf; `$DIR` is the instance's folder.
    private static func with(
        _ mailers: [String], _ clauses: [String]
    ) -> (Instance) throws -> Void {
        { instance in
            try instance.append(
                mailers.map { $0.replacing("$DIR", with: instance.directory) }, to: "share/sm.conf")
            try instance.append(clauses, to: "share/scheduler.conf")
        }
    }

    private static func send(_ instance: Instance, to recipients: [String], message: String) throws {
        let client = try Connection.greeted(port: instance.port)
        let reply = try client.transact(from: "sender@client.test", to: recipients, message: message)
        #expect(reply.code == 250, "\(reply)")
    }

    @Test("procmail delivers", .enabled(if: access(Peer.procmail, X_OK) == 0))
    func procmail() async throws {
        try await Instance.run { settings in
            settings.relayDomains = ["procmail.test"]
            settings.routes = ["procmail.test mailproc!folder"]
            settings.prepare = Self.with(
                ["mailproc 8snSPf \(Peer.procmail) procmail -Y -a $h DEFAULT=$DIR/procmail.mbox /dev/null"],
                ["mailproc/*", "        interval=1s", "        command=\"sm -c $channel\""])
        } _: { instance in
            try Self.send(
                instance, to: ["one@procmail.test", "two@procmail.test"], message: "Subject: a\r\n\r\nFrom me\r\n.\r\n")
            try await instance.waitForEmptySpool()
            let mbox = instance.read("procmail.mbox")
            #expect(mbox.split(separator: "Return-Path: <sender@client.test>\n").count == 3, "\(mbox)")
            #expect(mbox.hasPrefix("From sender@client.test "))
            #expect(mbox.contains("Subject: a\n\n>From me\n"))
            // One message with two recipients: only the copies at their end tell for whom they are.
            #expect(mbox.contains("one@procmail.test>") && mbox.contains("two@procmail.test>"), "\(mbox)")
            #expect(instance.read("log/scheduler").contains("delivered to mailproc"))
        }
    }

    @Test(
        "a batch of SMTP reaches its reader with what the sender wished", .enabled(if: access(Peer.python, X_OK) == 0))
    func batch() async throws {
        let reader = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read())"
        try await Instance.run { settings in
            settings.relayDomains = ["batch.test"]
            settings.routes = ["batch.test batch!gate"]
            settings.prepare = Self.with(
                ["batch BB8HRm \(Peer.python) python3 -c \"\(reader)\" $DIR/batch.$h"],
                ["batch/*", "        interval=1s", "        command=\"sm -c $channel\""])
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            #expect(try client.command("MAIL FROM:<sender@client.test> RET=HDRS ENVID=Q+2B1").code == 250)
            #expect(try client.command("RCPT TO:<a@batch.test> NOTIFY=SUCCESS ORCPT=rfc822;o@batch.test").code == 250)
            #expect(try client.command("RCPT TO:<b@batch.test> NOTIFY=NEVER").code == 250)
            #expect(try client.command("DATA").code == 354)
            #expect(try client.command("Subject: x\r\n\r\n..dot\r\n.").code == 250)
            try await instance.waitForEmptySpool()
            let text = instance.read("batch.gate")
            let lines = text.components(separatedBy: "\r\n")
            #expect(lines.first?.hasPrefix("EHLO ") == true)
            #expect(
                lines.contains {
                    $0.hasPrefix("MAIL FROM:<sender@client.test> SIZE=") && $0.hasSuffix(" RET=HDRS ENVID=Q+2B1")
                })
            #expect(lines.contains("RCPT TO:<a@batch.test> NOTIFY=SUCCESS ORCPT=rfc822;o@batch.test"))
            #expect(lines.contains { $0.hasPrefix("RCPT TO:<b@batch.test> NOTIFY=NEVER") })
            #expect(text.hasSuffix("\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"), "\(text)")
            // The wish for a report went along: none is made here.
            #expect(instance.maildir("postmaster").count == 0)
        }
    }

    @Test("held mail waits, tells for what, and is routed again when the time has come")
    func held() async throws {
        let time = Int(Date().timeIntervalSince1970) + 8
        try await Instance.run { settings in
            settings.relayDomains = ["later.test", "thrown.test"]
            settings.routes = ["later.test hold!timeout:\(time)!bob@example.test", "thrown.test bitbucket!-"]
        } _: { instance in
            try Self.send(
                instance, to: ["x@later.test", "y@thrown.test"], message: "Subject: later\r\n\r\nbody\r\n")
            try await waitUntil("the other recipient is done", details: { instance.report }) {
                instance.read("log/scheduler").contains("thrown away")
            }
            if Int(Date().timeIntervalSince1970) < time {
                #expect(instance.maildir("bob").count == 0)
                try await waitUntil("the queue tells for what it waits", details: { instance.report }) {
                    Int(Date().timeIntervalSince1970) >= time
                        || instance.read("log/scheduler").contains("waits until \(time)")
                }
            }
            try await instance.waitForMail(of: "bob", count: 1)
            #expect(Int(Date().timeIntervalSince1970) >= time)
            let text = try #require(instance.maildir("bob").texts.first)
            #expect(text.contains(" via suspension id ") && text.contains(" held for timeout:\(time)); "), "\(text)")
            #expect(text.contains("Return-Path: <sender@client.test>\n") && text.hasSuffix("Subject: later\n\nbody\n"))
            try await instance.waitForEmptySpool()
            // The sender has not asked to be told, and nothing has failed.
            #expect(instance.maildir("bob").count == 1)
        }
    }

    @Test("a route to hold without another address lets mail go to its own hosts afterwards")
    func heldForItself() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run { settings in
            settings.relayDomains = ["slow.test"]
            settings.routes = ["slow.test hold!age:2s"]
            settings.zones += ["zone slow.test static", "data \"slow.test. 60 IN A 127.0.0.1\""]
            settings.prepare = { instance in
                let text = instance.read("share/scheduler.conf")
                try instance.write(
                    text.replacing(
                        "smtp/*\n",
                        with: "smtp/slow.test\n        command=\"smtp -c $channel -x -p \(sink.port)\"\nsmtp/*\n"),
                    to: "share/scheduler.conf")
            }
        } _: { instance in
            try Self.send(instance, to: ["x@slow.test"], message: "Subject: slow\r\n\r\nbody\r\n")
            try await waitUntil("it has left", details: { instance.report }) { sink.messageCount == 1 }
            try await instance.waitForEmptySpool()
        }
    }
}
