import Foundation
import Testing

/// What cannot be delivered comes back, once.
@Suite("Delivery status notifications")
struct ReportTests {
    @Test("a permanent failure at the next hop returns a report to the sender")
    func permanentFailure() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") ? "550 5.1.1 No such user here" : nil })
        defer { sink.stop() }
        try await Instance.run(RelayTests.settings(sink)) { instance in
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "alice@example.test", to: ["gone@remote.test"],
                message: "Subject: lost cause\r\n\r\nsecret body\r\n",
                parameters: " ENVID=env+2B7 RET=FULL")
            #expect(reply.code == 250)
            try await instance.waitForMail(of: "alice", count: 1)
            let report = try #require(instance.maildir("alice").texts.first)
            for text in [
                "Return-Path: <>", "multipart/report", "report-type=delivery-status", "Action: failed", "Status: 5.1.1",
                "Final-Recipient: ", "gone@remote.test", "No such user here", "Original-Envelope-Id: env+7",
                "Subject: lost cause", "secret body", "Auto-Submitted: auto-replied", "Reporting-MTA: dns;",
            ] {
                #expect(report.contains(text), "\(text) is missing in\n\(report)")
            }
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a recipient that turns out unknown while routing is reported too")
    func unknownThroughAlias() async throws {
        try await Instance.run {
            $0.aliases = ["ghost: no-such-user"]
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "bob@example.test", to: ["ghost@example.test"], message: "Subject: to a ghost\r\n\r\n\r\n")
            #expect(reply.code == 250)
            try await instance.waitForMail(of: "bob", count: 1)
            let report = try #require(instance.maildir("bob").texts.first)
            #expect(report.contains("Action: failed"))
            #expect(report.contains("Subject: to a ghost"))
            #expect(report.contains("no-such-user") || report.contains("ghost@example.test"))
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a report that cannot be delivered itself is not reported, and nothing goes round")
    func doubleFailure() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") ? "550 5.1.1 No" : nil })
        defer { sink.stop() }
        try await Instance.run(RelayTests.settings(sink)) { instance in
            let client = try Connection.greeted(port: instance.port)
            for sender in ["nobody@example.test", "nobody@remote.test", ""] {
                let reply = try client.transact(
                    from: sender, to: ["gone@remote.test"], message: "Subject: twice lost\r\n\r\n\r\n")
                #expect(reply.code == 250)
            }
            try await waitUntil("the next hop was asked for all", details: { instance.report }) {
                sink.commands.count { $0.hasPrefix("RCPT") } >= 4
            }
            try await instance.waitForEmptySpool()
            #expect(sink.commands.count { $0.hasPrefix("RCPT TO:<gone@") || $0.hasPrefix("RCPT To:<gone@") } == 3)
            #expect(sink.commands.count { $0.contains("<nobody@remote.test>") && $0.hasPrefix("RCPT") } == 1)
        }
    }

    @Test("NOTIFY=NEVER: no report; NOTIFY=SUCCESS: relayed to a host without DSN is reported")
    func notify() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") && $0.contains("gone@") ? "550 5.1.1 No" : nil })
        defer { sink.stop() }
        try await Instance.run(RelayTests.settings(sink)) { instance in
            let client = try Connection.greeted(port: instance.port)
            try client.command("MAIL FROM:<alice@example.test>")
            #expect(try client.command("RCPT TO:<gone@remote.test> NOTIFY=NEVER").code == 250)
            #expect(
                try client.command("RCPT TO:<here@remote.test> NOTIFY=SUCCESS ORCPT=rfc822;first@old.test").code == 250)
            #expect(try client.command("RCPT TO:<bob@example.test> NOTIFY=SUCCESS").code == 250)
            #expect(try client.command("DATA").code == 354)
            try client.send("Subject: tell me\r\n\r\n.\r\n")
            #expect(try client.readReply().code == 250)
            try await waitUntil("both are reported", details: { instance.report }) {
                let texts = instance.maildir("alice").texts.joined()
                return texts.contains("Action: relayed") && texts.contains("Action: delivered")
            }
            try await instance.waitForEmptySpool()
            let texts = instance.maildir("alice").texts.joined()
            #expect(texts.contains("Original-Recipient: rfc822; first@old.test"))
            #expect(!texts.contains("gone@remote.test"))
        }
    }

    /// The sample scheduler.conf has no such line.
    private static func schedulerConf(_ parameters: String) -> String {
        """
        \(parameters)
        */*
            interval=1s
            retries="1"
            expiry=1d
        local/*
            command="mailbox -c $channel"
        error/*
            command="errormail -c $channel"
        smtpx/*
            command="smtp -c $channel -x"
        """
    }

    @Test("with PARAMdouble-fault the postmaster gets what cannot be returned, and a form of his own")
    func doubleFault() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") ? "550 5.1.1 Nobody here" : nil })
        defer { sink.stop() }
        try await Instance.run {
            RelayTests.settings(sink)(&$0)
            $0.schedulerConf = Self.schedulerConf("PARAMdouble-fault = postmaster")
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "nobody@remote.test", to: ["gone@remote.test"], message: "Subject: twice lost\r\n\r\n\r\n")
            #expect(reply.code == 250)
            try await instance.waitForMail(of: "postmaster", count: 1)
            let report = try #require(instance.maildir("postmaster").texts.first)
            for text in [
                "Return-Path: <>", "Subject: Double-fault: A report could not be delivered", "[FAILED(1)]",
                "Final-Recipient: rfc822; nobody@remote.test", "Nobody here",
                "Final-Recipient: rfc822; gone@remote.test",
            ] {
                #expect(report.contains(text), "\(text) is missing in\n\(report)")
            }
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a report about an undeliverable report that fails too ends in postman/")
    func tripleFault() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") ? "550 5.1.1 No" : nil })
        defer { sink.stop() }
        try await Instance.run {
            RelayTests.settings(sink)(&$0)
            $0.schedulerConf = Self.schedulerConf("PARAMdouble-fault = void@remote.test")
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            try client.transact(
                from: "nobody@remote.test", to: ["gone@remote.test"], message: "Subject: thrice lost\r\n\r\n\r\n")
            try await waitUntil("a copy in postman/", details: { instance.report }) {
                let names =
                    (try? FileManager.default.contentsOfDirectory(atPath: "\(instance.postoffice)/postman")) ?? []
                return names.count { $0.hasSuffix(":error-on-error") } == 1
            }
            #expect(sink.commands.count { $0.hasPrefix("RCPT") } == 3)
            #expect(instance.read("zmailer.out").contains("double-fault queue-id="))
        }
    }

    @Test("FORMLANGUAGE=de: the report is in German, in quoted-printable, the fields are not")
    func language() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") ? "550 5.1.1 No such user here" : nil })
        defer { sink.stop() }
        try await Instance.run {
            RelayTests.settings(sink)(&$0)
            $0.zenv["FORMLANGUAGE"] = "de"
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            try client.transact(
                from: "alice@example.test", to: ["gone@remote.test"], message: "Subject: verloren\r\n\r\n\r\n")
            try await instance.waitForMail(of: "alice", count: 1)
            let report = try #require(instance.maildir("alice").texts.first)
            for text in [
                "Subject: Nachricht konnte nicht zugestellt werden [FAILED(1)]", "From: Zustelldienst <MAILER-DAEMON@",
                "Content-Language: de", "Content-Transfer-Encoding: quoted-printable", "NICHT ZUGESTELLT:",
                "Dieses Postfach gibt es nicht. (5.1.1)", "Betreff:  verloren", "Action: failed",
                "Received-From-MTA: dns; ",
            ] {
                #expect(report.contains(text), "\(text) is missing in\n\(report)")
            }
        }
    }

    @Test("NOTIFY=SUCCESS,DELAY: a notice that it is late, until when it is tried, and later that it was delivered")
    func delayThenSuccess() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") ? "450 4.2.2 Mailbox is full today" : nil })
        defer { sink.stop() }
        try await Instance.run {
            RelayTests.settings(sink)(&$0)
            $0.schedulerConf = Self.schedulerConf("")
            $0.smtpserverParameters = ["deliverby 1"]
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            #expect(try client.command("MAIL FROM:<alice@example.test> BY=15;N").code == 250)
            #expect(try client.command("RCPT TO:<r@remote.test> NOTIFY=SUCCESS,DELAY").code == 250)
            #expect(try client.command("DATA").code == 354)
            try client.send("Subject: slow\r\n\r\n.\r\n")
            #expect(try client.readReply().code == 250)
            try await instance.waitForMail(of: "alice", count: 1)
            let late = try #require(instance.maildir("alice").texts.first)
            for text in [
                "[DELAYED(1)]", "Action: delayed", "Status: 4.4.7", "Will-Retry-Until: ", "Mailbox is full today",
                "THIS IS A WARNING ONLY",
            ] {
                #expect(late.contains(text), "\(text) is missing in\n\(late)")
            }
            sink.answer { _ in nil }
            try await waitUntil("the second report", details: { instance.report }) {
                instance.maildir("alice").texts.joined().contains("Action: relayed")
            }
            try await instance.waitForEmptySpool()
        }
    }

    @Test("mail that expires is returned with the last trouble")
    func expired() async throws {
        let port = try FreePorts.take()
        try await Instance.run { settings in
            settings.relayDomains = ["remote.test"]
            settings.routes = ["remote.test smtpx![127.0.0.1]:\(port)"]
            settings.schedulerConf = """
                */*
                    interval=1s
                    retries="1"
                    expiry=3s
                local/*
                    command="mailbox -c $channel"
                error/*
                    command="errormail -c $channel"
                smtpx/*
                    command="smtp -c $channel -x"
                """
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            try client.transact(from: "alice@example.test", to: ["r@remote.test"], message: "Subject: late\r\n\r\n\r\n")
            try await instance.waitForMail(of: "alice", count: 1)
            let report = try #require(instance.maildir("alice").texts.first)
            #expect(report.contains("Status: 5.4.7"), "\(report)")
            #expect(report.contains("expired"), "\(report)")
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a message that goes in circles ends with a report")
    func loop() async throws {
        try await Instance.run { instance in
            let client = try Connection.greeted(port: instance.port)
            let traces = String(repeating: "Received: from a by b; Sat, 21 Nov 2026 05:00:00 +0000\r\n", count: 60)
            let reply = try client.transact(
                from: "alice@example.test", to: ["bob@example.test"], message: traces + "Subject: round\r\n\r\n\r\n")
            #expect(reply.code == 250)
            try await instance.waitForMail(of: "alice", count: 1)
            #expect(instance.maildir("bob").count == 0)
            #expect(instance.maildir("alice").texts.first?.contains("Action: failed") == true)
        }
    }
}
