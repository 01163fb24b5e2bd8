import Configuration
import Glibc
import MailModel
import Policy
import SpoolFormat
import Testing

@testable import SMTPServer

@Suite(.serialized) struct WorkerSessionTests {
    @Test("an accepted message stands in router/ with envelope, trace and its octets before 250 is read")
    func accepted() throws {
        let fixture = try WorkerFixture()
        let dialogue = try fixture.greeted()
        try dialogue.send("MAIL FROM:<a@b.example> BODY=8BITMIME RET=HDRS ENVID=x+41\r\n")
        try dialogue.expect("250 2.1.0 ")
        try dialogue.send("RCPT TO:<x@example.test> NOTIFY=SUCCESS ORCPT=rfc822;y@z\r\n")
        try dialogue.expect("250 2.1.5 ")
        try dialogue.send("DATA\r\n")
        try dialogue.expect("354 ")
        try dialogue.send("Subject: t\r\n\r\n..dot\r\nend\r\n.\r\n")
        let reply = try dialogue.expectReply("250")
        let id = try #require(reply.split(separator: " ").last.map(String.init))
        #expect(reply == "250 2.0.0 Message accepted; \(id)")
        #expect(fixture.messages == [id])
        let text = try fixture.message(id)
        let (envelope, start) = try MessageEnvelope.parse(Array(text.utf8))
        #expect(envelope.isExternal)
        #expect(envelope.sender == "a@b.example")
        #expect(envelope.bodyType == "8BITMIME")
        #expect(envelope.envelopeID == "x+41")
        #expect(envelope.notaryReturn == .headers)
        #expect(envelope.with == "ESMTP")
        #expect(envelope.submission == nil)
        #expect(
            envelope.recipients == [
                EnvelopeRecipient(address: "x@example.test", notify: .success, originalRecipient: "rfc822;y@z")
            ])
        let content = String(decoding: Array(text.utf8)[start...], as: UTF8.self)
        #expect(content.hasPrefix("Received: from [127.0.0.1] ([127.0.0.1]:"))
        #expect(content.contains("\r\n\tby mx.example.test with ESMTP id \(id)\r\n\tfor <x@example.test>; "))
        #expect(content.hasSuffix(" +0000\r\nSubject: t\r\n\r\n.dot\r\nend\r\n"))
        #expect(envelope.traits?.size == content.utf8.count)
        #expect(envelope.traits?.hasDotLines == true)
        #expect(try fixture.log().contains("info accepted queue-id=\(id) "))
    }

    @Test("a script that sends all it has to say at once, and closes its side, gets every answer")
    func halfClosed() throws {
        for _ in 0..<20 {
            let fixture = try WorkerFixture()
            let dialogue = try fixture.greeted()
            try dialogue.send(
                "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nRCPT TO:<y@e.test>\r\nDATA\r\nSubject: t\r\n\r\nx\r\n.\r\n"
                    + "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nRSET\r\nQUIT\r\n")
            dialogue.shutdownSending()
            for code in ["250", "250", "250", "354", "250", "250", "250", "250", "221"] {
                try dialogue.expectReply(code)
            }
            #expect(fixture.messages.count == 1)
        }
    }

    @Test("a message larger than what is kept in memory arrives whole, its traits filled in")
    func large() throws {
        let fixture = try WorkerFixture()
        let dialogue = try fixture.greeted()
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nRCPT TO:<y@e.test>\r\nDATA\r\n")
        for code in ["250", "250", "250", "354"] { try dialogue.expectReply(code) }
        let body = String(repeating: String(repeating: "x", count: 98) + "\r\n", count: 20_000)
        try dialogue.send(body + ".\r\n")
        try dialogue.expectReply("250")
        let text = try fixture.message(try #require(fixture.messages.first))
        #expect(text.hasSuffix("\r\n" + body))
        let (envelope, start) = try MessageEnvelope.parse(Array(text.utf8))
        #expect(envelope.traits?.size == text.utf8.count - start)
        #expect(envelope.traits?.longestLine == 98)
        #expect(!text.contains("\r\n\tfor "), "several recipients are not told to each other")
    }

    @Test("recipients of one pipelined burst are asked together and answered in order")
    func pipelined() throws {
        // Answers come in the opposite order: each waits for the one behind it.
        let fixture = try WorkerFixture { question in
            guard question.verb == .rcpt else { return ScriptedPolicy.acceptAll(question) }
            if question.recipient.hasPrefix("no") {
                let reply = Reply(550, EnhancedStatusCode(5, 1, 1), "User unknown")
                return PolicyAnswer(number: question.number, verdict: .refuse, reply: reply, reason: "test")
            }
            return PolicyAnswer(number: question.number, verdict: .submit, reason: "test")
        }
        let dialogue = try fixture.greeted()
        try dialogue.send(
            "MAIL FROM:<a@b.example>\r\nRCPT TO:<yes1@e.test>\r\nRCPT TO:<no@e.test>\r\nRCPT TO:<yes2@e.test>\r\n"
                + "DATA\r\n")
        try dialogue.expect("250 2.1.0")
        try dialogue.expect("250 2.1.5 Recipient address syntax Ok; rcpt=<yes1@e.test>")
        try dialogue.expect("550 5.1.1 User unknown")
        try dialogue.expect("250 2.1.5 Recipient address syntax Ok; rcpt=<yes2@e.test>")
        try dialogue.expect("354 ")
        try dialogue.send("\r\n.\r\n")
        try dialogue.expectReply("250")
        let asked = fixture.policy.questions.filter { $0.verb == .rcpt }
        #expect(asked.map(\.recipient) == ["yes1@e.test", "no@e.test", "yes2@e.test"])
        #expect(asked.allSatisfy { $0.sender == "a@b.example" && $0.helo == "client.example" })
        #expect(asked.allSatisfy { $0.client == .v4(0x7f00_0001) })
        let (envelope, _) = try MessageEnvelope.parse(
            Array(try fixture.message(try #require(fixture.messages.first)).utf8))
        #expect(envelope.recipients.map(\.address) == ["yes1@e.test", "yes2@e.test"])
        #expect(envelope.submission == .client)
        #expect(
            try fixture.log().contains("command=\"RCPT TO:<no@e.test>\" reply=\"550 5.1.1 User unknown\" reason=test"))
    }

    @Test("the service is told the limits, each connection and its end")
    func connections() throws {
        let fixture = try WorkerFixture(parameters: ["MaxSameIpSource 5", "MaxParallelConnections 6"])
        let dialogue = try fixture.greeted()
        try dialogue.send("QUIT\r\n")
        try dialogue.expect("221 ")
        try dialogue.expectEnd()
        try eventually("disconnect") { fixture.policy.questions.contains { $0.verb == .disconnect } }
        let settings = AskerSettings(line: fixture.policy.lines.first ?? "")
        #expect(settings?.limits == ConnectionLimits(perAddress: 5, total: 6))
        #expect(settings?.hostName == "mx.example.test")
        let sessions = Set(fixture.policy.questions.map(\.session))
        #expect(sessions.count == 1)
    }

    @Test(
        "the verdict about a client decides how it is greeted",
        arguments: [
            (PolicyAnswer.Verdict.refuse, 450, "450 4.7.0 Come again", true),
            (.refuse, 554, "554 5.7.1 Come again", false),
        ])
    func refusedClient(verdict: PolicyAnswer.Verdict, code: Int, first: String, closes: Bool) throws {
        let status = EnhancedStatusCode(code / 100, 7, code / 100 == 5 ? 1 : 0)
        let fixture = try WorkerFixture { question in
            PolicyAnswer(
                number: question.number, verdict: verdict, reply: Reply(code, status, "Come again"), reason: "test")
        }
        let dialogue = try fixture.connect()
        try dialogue.expect(first)
        if closes {
            try dialogue.expectEnd()
        } else {
            try dialogue.send("EHLO x\r\nQUIT\r\n")
            try dialogue.expect(first)
            try dialogue.expect("221 ")
        }
    }

    @Test("a dropped client hears nothing")
    func dropped() throws {
        let fixture = try WorkerFixture { PolicyAnswer(number: $0.number, verdict: .drop, reason: "test") }
        try fixture.connect().expectEnd()
    }

    @Test("without an answer of the policy service nothing is accepted")
    func silentService() throws {
        var timeouts = Timeouts()
        timeouts.policy = 1
        let fixture = try WorkerFixture(timeouts: timeouts) {
            $0.verb == .rcpt ? nil : ScriptedPolicy.acceptAll($0)
        }
        let dialogue = try fixture.greeted()
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\n")
        try dialogue.expect("250 2.1.0")
        try dialogue.expect("451 4.3.0 ")
    }

    @Test("a refusal in words of success stays a refusal")
    func contradiction() throws {
        let fixture = try WorkerFixture { question in
            guard question.verb == .rcpt else { return ScriptedPolicy.acceptAll(question) }
            return PolicyAnswer(number: question.number, verdict: .refuse, reply: Reply(250, nil, "Ok"), reason: "test")
        }
        let dialogue = try fixture.greeted()
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\n")
        try dialogue.expect("250 2.1.0")
        try dialogue.expect("550 5.7.1 ")
    }

    @Test("HELO patterns refuse, and give a style")
    func patterns() throws {
        let fixture = try WorkerFixture(patterns: ["spam* !go away", "strict.example strict", "* ve"])
        let dialogue = try fixture.connect()
        try dialogue.expect("220 ")
        try dialogue.send("EHLO spam.example\r\n")
        try dialogue.expect("501 5.7.1 Sorry [127.0.0.1], go away")
        try dialogue.send("HELO strict.example\r\n")
        try dialogue.expect("250 ")
        try dialogue.send("MAIL FROM: <a@b.example>\r\n")
        try dialogue.expectReply("501")
        try dialogue.send("HELO other.example\r\n")
        try dialogue.expect("250 ")
        try dialogue.send("MAIL FROM: <a@b.example>\r\n")
        try dialogue.expect("250 ")
    }

    @Test("a spool that cannot be written gives 451, and nothing is left")
    func brokenSpool() throws {
        let fixture = try WorkerFixture()
        let dialogue = try fixture.greeted()
        let router = "\(fixture.directory)/po/router"
        #expect(rename(router, "\(router).away") == 0)
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        for code in ["250", "250", "354"] { try dialogue.expectReply(code) }
        try dialogue.send("\r\n.\r\n")
        try dialogue.expect("451 4.3.0 ")
        #expect(rename("\(router).away", router) == 0)
        #expect(fixture.messages.isEmpty)
        // The session goes on, and so does the mail.
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        for code in ["250", "250", "354"] { try dialogue.expectReply(code) }
        try dialogue.send("\r\n.\r\n")
        try dialogue.expect("250 2.0.0 ")
        #expect(try fixture.log().contains("error not-stored "))
    }

    @Test("too little space, or a queue that is full, is told at MAIL")
    func obstacles() throws {
        let space = try WorkerFixture(parameters: ["min-availspace 1000000000000"])
        let first = try space.greeted()
        try first.send("MAIL FROM:<a@b.example>\r\n")
        try first.expect("452 4.3.1 ")
        let queue = try WorkerFixture(parameters: ["queue-limit 1"])
        for _ in 0..<2 {
            let dialogue = try queue.greeted()
            try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
            for code in ["250", "250", "354"] { try dialogue.expectReply(code) }
            try dialogue.send("\r\n.\r\n")
            try dialogue.expect("250 2.0.0 ")
        }
        let second = try queue.greeted()
        try eventually("452 at MAIL") {
            try second.send("RSET\r\nMAIL FROM:<a@b.example>\r\n")
            try second.expectReply("250")
            return try second.line()?.hasPrefix("452 4.3.2 ") == true
        }
    }

    @Test("a client that leaves in the middle of its message leaves nothing behind")
    func leaves() throws {
        let fixture = try WorkerFixture()
        do {
            let dialogue = try fixture.greeted()
            try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
            for code in ["250", "250", "354"] { try dialogue.expectReply(code) }
            try dialogue.send(String(repeating: "0123456789\r\n", count: 50_000))
        }
        try eventually("end of the session") { fixture.worker.isIdle }
        #expect(fixture.messages.isEmpty)
        #expect(try fixture.log().contains("info aborted "))
    }

    @Test("an idle client is sent away, and so is one that drips its message")
    func timeouts() throws {
        var timeouts = Timeouts()
        timeouts.command = 1
        let fixture = try WorkerFixture(timeouts: timeouts)
        let idle = try fixture.connect()
        try idle.expect("220 ")
        try idle.expect("421 4.4.2 ")
        try idle.expectEnd()
        timeouts.command = 100
        timeouts.data = 2
        timeouts.minimumDataRate = 1 << 20
        let second = try WorkerFixture(timeouts: timeouts)
        let drip = try second.greeted()
        try drip.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        for code in ["250", "250", "354"] { try drip.expectReply(code) }
        try eventually("the end of a client that drips") {
            do {
                usleep(100_000)
                try drip.send("x")
                return try second.log().contains("info ended ")
            } catch {
                return true
            }
        }
        #expect(second.messages.isEmpty)
    }

    @Test("thousands of pipelined commands from a client that does not read hold no memory without bound")
    func doesNotRead() throws {
        let fixture = try WorkerFixture()
        let greedy = try fixture.greeted()
        let other = try fixture.greeted()
        try greedy.send(String(repeating: "NOOP\r\n", count: 20_000))
        try other.send("NOOP\r\n")
        try other.expect("250 2.0.0 Ok")
        for _ in 0..<20_000 { try greedy.expect("250 2.0.0 Ok") }
    }

    @Test("a restarted policy service is found again, and knows the sessions that are there")
    func serviceRestart() throws {
        let fixture = try WorkerFixture()
        let dialogue = try fixture.greeted()
        let session = try #require(fixture.policy.questions.first?.session)
        fixture.policy.stop()
        // A question makes the old connection end.
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\n")
        let fresh = try ScriptedPolicy("\(fixture.directory)/po/.policy", ScriptedPolicy.acceptAll)
        try dialogue.expect("250 2.1.0")
        try dialogue.expect("250 2.1.5")
        #expect(fresh.questions.contains { $0.verb == .connect && $0.session == session })
        fresh.stop()
    }

    @Test("the end of the process answers what is being stored, and sends the others away")
    func stop() throws {
        let fixture = try WorkerFixture()
        let dialogue = try fixture.greeted()
        fixture.worker.stopSessions()
        try dialogue.expect("421 4.3.2 ")
        try dialogue.expectEnd()
        try eventually("idle") { fixture.worker.isIdle }
    }

    @Test("as many clients may wait for us as ListenQueueSize says")
    func listenQueue() throws {
        #expect(try WorkerFixture(parameters: ["ListenQueueSize 300"]).listenQueue == 300)
    }
}
