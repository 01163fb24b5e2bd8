import Glibc
import MailModel
import Policy
import Testing

@testable import SMTPServer

/// What comes before the greeting, and who the client is taken for.
@Suite(.serialized) struct WorkerArrivalTests {
    @Test("behind a proxy the client is who the PROXY header says, for the policy, the trace and the log")
    func proxy() throws {
        let fixture = try WorkerFixture(parameters: ["proxy-protocol 127.0.0.1"])
        let dialogue = try fixture.connect()
        try dialogue.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\nEHLO c.example\r\n")
        try dialogue.expect("220 ")
        try dialogue.expectReply("250")
        #expect(fixture.policy.questions.first?.client == IPAddress("192.0.2.7"))
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        for code in ["250 ", "250 ", "354 "] { try dialogue.expect(code) }
        try dialogue.send("x\r\n.\r\n")
        let id = String(try dialogue.expectReply("250").split(separator: " ").last ?? "")
        #expect(try fixture.message(id).contains("([192.0.2.7]:4711 "))
    }

    @Test(
        "a proxy that sends no header, or none that tells whom it brings, is not served",
        arguments: ["EHLO c.example\r\n", "PROXY UNKNOWN\r\n", "PROXY TCP4 1.2.3.4\r\n"])
    func noHeader(text: String) throws {
        let fixture = try WorkerFixture(parameters: ["proxy-protocol 127.0.0.1"])
        let dialogue = try fixture.connect()
        try dialogue.send(text)
        try dialogue.expectEnd()
        #expect(try fixture.log().contains("proxy-header-refused"))
        #expect(fixture.policy.questions.isEmpty)
    }

    @Test("from others a PROXY header is a command that there is not")
    func strangerWithHeader() throws {
        let fixture = try WorkerFixture(parameters: ["proxy-protocol 192.0.2.1"])
        let dialogue = try fixture.connect()
        try dialogue.expect("220 ")
        try dialogue.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n")
        try dialogue.expect("550 5.5.2 ")
        #expect(fixture.policy.questions.first?.client == IPAddress("127.0.0.1"))
    }

    @Test("XCLIENT makes the client another one, which is greeted and judged anew")
    func xclient() throws {
        let fixture = try WorkerFixture(parameters: ["xclient 127.0.0.0/8"])
        let dialogue = try fixture.greeted()
        try dialogue.send("XCLIENT ADDR=192.0.2.7 PORT=4711\r\n")
        try dialogue.expect("220 ")
        try dialogue.send("MAIL FROM:<a@b.example>\r\n")
        try dialogue.expect("503 5.5.1 Hello [192.0.2.7], ")
        try dialogue.send("EHLO other.example\r\n")
        try dialogue.expectReply("250")
        try dialogue.send("MAIL FROM:<a@b.example>\r\n")
        try dialogue.expect("250 2.1.0 ")
        let connects = fixture.policy.questions.filter { $0.verb == .connect }
        #expect(connects.compactMap(\.client).map(\.description) == ["127.0.0.1", "192.0.2.7"])
        #expect(fixture.policy.questions.contains { $0.verb == .disconnect })
        try dialogue.send("RSET\r\nXCLIENT COLOR=red\r\n")
        try dialogue.expect("250 ")
        try dialogue.expect("501 5.5.4 ")
    }

    @Test("XCLIENT without an address leaves a client that nobody knows")
    func xclientUnavailable() throws {
        let fixture = try WorkerFixture(parameters: ["xclient 127.0.0.0/8"])
        let dialogue = try fixture.greeted()
        try dialogue.send("XCLIENT ADDR=[UNAVAILABLE]\r\n")
        try dialogue.expect("220 ")
        #expect(fixture.policy.questions.last { $0.verb == .connect }?.client == nil)
    }

    @Test("a client that talks before the greeting is refused where that is wanted, and logged")
    func earlyTalker() throws {
        for (choice, isRefused) in [("refuse", true), ("log", false), ("ignore", false)] {
            let fixture = try WorkerFixture(parameters: ["early-talker \(choice)", "greeting-delay 1"])
            let dialogue = try fixture.connect()
            try dialogue.send("EHLO c.example\r\n")
            try dialogue.expect(isRefused ? "554 5.5.1 mx.example.test Error: you talked before the greeting" : "220 ")
            if isRefused { try dialogue.expectEnd() } else { try dialogue.expectReply("250") }
            #expect(try fixture.log().contains("early-talker session=") == (choice != "ignore"), "\(choice)")
        }
    }

    @Test("strangers wait for the greeting, trusted clients do not")
    func greetingDelay() throws {
        let start = WorkerProgram.monotonicSeconds()
        let fixture = try WorkerFixture(parameters: ["greeting-delay 2"])
        try fixture.connect().expect("220 ")
        #expect(WorkerProgram.monotonicSeconds() - start >= 1)
    }

    @Test("refusals of a tarpit are held back, and other sessions do not wait for them")
    func tarpit() throws {
        let fixture = try WorkerFixture(parameters: ["tarpit 2 1 10"])
        let slow = try fixture.greeted()
        let start = WorkerProgram.monotonicSeconds()
        try slow.send("FOO\r\nNOOP\r\n")
        let other = try fixture.greeted()
        try other.send("NOOP\r\n")
        try other.expect("250 2.0.0 Ok")
        #expect(try !fixture.log().contains("connection-closed"))
        try slow.expect("550 5.5.2 ")
        #expect(WorkerProgram.monotonicSeconds() - start >= 1)
        try slow.expect("250 2.0.0 Ok")
        #expect(try fixture.log().contains("tarpit session="))
    }

    @Test("TCP wrappers decide by their tables, and say so")
    func wrapper() throws {
        for (rule, isAllowed) in [("smtp-receiver: 127.\n", true), ("smtp-receiver: 192.0.2.\n", false)] {
            var template = Array("/tmp/zmh-XXXXXX".utf8CString)
            #expect(mkdtemp(&template) != nil)
            let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            defer { Directory.remove(folder) }
            for (name, text) in [("allow", rule), ("deny", "ALL: ALL\n")] {
                let file = open("\(folder)/\(name)", O_WRONLY | O_CREAT, 0o600)
                #expect(write(file, text, text.utf8.count) == text.utf8.count)
                close(file)
            }
            let fixture = try WorkerFixture(
                parameters: ["use-tcp-wrapper", "tcp-wrapper-tables \(folder)/allow \(folder)/deny"])
            let dialogue = try fixture.connect()
            try dialogue.expect(isAllowed ? "220 " : "421 4.7.0 mx.example.test ZMailer Server WILL NOT TALK TO YOU")
        }
    }

    @Test("whoson is asked who is logged in, and the policy is told")
    func whoson() throws {
        let server = try ScriptedService(nil) { $0.hasPrefix("QUERY 127.0.0.1") ? "+alice\r\n\r\n" : nil }
        defer { server.stop() }
        let fixture = try WorkerFixture(
            parameters: ["rcvd-whoson"], arguments: ["-w"], environment: ["WHOSON": "127.0.0.1/\(server.port)"])
        let dialogue = try fixture.greeted()
        #expect(fixture.policy.questions.first?.hasWhosonLogin == true)
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        for code in ["250 ", "250 ", "354 "] { try dialogue.expect(code) }
        try dialogue.send("x\r\n.\r\n")
        let id = String(try dialogue.expectReply("250").split(separator: " ").last ?? "")
        #expect(try fixture.message(id).contains(" whoson: \"alice\""))
        #expect(try fixture.log().contains("ident=- whoson=alice\n"))
    }

    @Test("a whoson service that is not there, or says nothing, is no obstacle")
    func noWhoson() throws {
        let silent = try ScriptedService(nil) { _ in nil }
        defer { silent.stop() }
        for server in ["127.0.0.1/1", "127.0.0.1/\(silent.port)"] {
            let fixture = try WorkerFixture(arguments: ["-w"], environment: ["WHOSON": server])
            try fixture.connect().expect("220 ")
            #expect(fixture.policy.questions.first?.hasWhosonLogin == false)
        }
    }

    @Test("ETRN is the scheduler's to answer; one that is not there is 458")
    func etrn() throws {
        let fixture = try WorkerFixture()
        let dialogue = try fixture.greeted()
        try dialogue.send("ETRN b.example\r\n")
        try dialogue.expect("458 4.3.0 Unable to queue messages for node b.example")
        let scheduler = try ScriptedService("\(fixture.directory)/po/.scheduler.mailq") { line in
            "{\"etrn\":\"x\",\"threads\":\(line.hasPrefix("etrn b.example [127.0.0.1]@") ? 2 : 0),\"started\":0}\n"
        }
        defer { scheduler.stop() }
        try dialogue.send("ETRN b.example\r\nETRN c.example\r\n")
        try dialogue.expect("250 2.0.0 An ETRN request is submitted - something may get sent.")
        try dialogue.expect("251 2.0.0 Ok, no messages waiting for node c.example")
    }

    @Test("ETRN goes to all nodes of a cluster, and to ourselves where one fails")
    func cluster() throws {
        let node = try ScriptedService(nil, greeting: "version zmailer 2.0\nMAILQ-V2-CHALLENGE: 1.2.3\n", closes: false)
        {
            $0.hasPrefix("AUTH u ")
                ? "+OK\n" : $0.hasPrefix("ETRN b.example ") ? "+OK; an ETRN started something.\n" : "-no\n"
        }
        defer { node.stop() }
        let good = try WorkerFixture(parameters: ["etrn-cluster 127.0.0.1/\(node.port) u p"])
        let dialogue = try good.greeted()
        try dialogue.send("ETRN b.example\r\n")
        try dialogue.expect("250-2.0.0 127.0.0.1: ")
        try dialogue.expect("250 2.0.0 ETRN-cluster operation(s) complete")
        let bad = try WorkerFixture(parameters: ["etrn-cluster 127.0.0.1/1 u p"])
        let other = try bad.greeted()
        try other.send("ETRN b.example\r\n")
        try other.expect("458-4.3.0 127.0.0.1: failed")
        try other.expect("458 4.3.0 Unable to queue messages for node b.example")
        #expect(try bad.log().contains("etrn-node-failed"))
    }

    @Test("Z-DEBUG tells what the server knows of the session")
    func debug() throws {
        let fixture = try WorkerFixture(parameters: ["DEBUGcmd"])
        let dialogue = try fixture.greeted()
        try dialogue.send("VERB\r\nZ-DEBUG\r\n")
        try dialogue.expectReply("250")
        try dialogue.expect("250-2.0.0 session ")
        try dialogue.expect("250-2.0.0 client [127.0.0.1] port ")
    }

    @Test("a session that has lasted its time ends at the next pause")
    func sessionLimit() throws {
        let fixture = try WorkerFixture(parameters: ["session-limit 2"])
        let dialogue = try fixture.greeted()
        try dialogue.expect("421 4.4.2 mx.example.test session has lasted too long, closing")
        try dialogue.expectEnd()
    }

    @Test("with outlook-tls-bug and a greeting delay, who talks early is greeted or refused, and that once")
    func outlookAndDelay() throws {
        let tls = ["use-tls", "tls-cert-file \(TestCertificate.path)", "outlook-tls-bug", "greeting-delay 1"]
        let fixture = try WorkerFixture(parameters: tls)
        let dialogue = try fixture.connect()
        try dialogue.send("EHLO c.example\r\n")
        dialogue.shutdownSending()
        try dialogue.expect("220 ")
        try dialogue.expectReply("250")
        try dialogue.expectEnd()
        let refusing = try WorkerFixture(parameters: tls + ["early-talker refuse"])
        let other = try refusing.connect()
        try other.send("EHLO c.example\r\n")
        try other.expect("554 5.5.1 ")
        try other.expectEnd()
    }

    @Test("a burst of refusals costs one long delay, not the sum of all")
    func tarpitBurst() throws {
        let fixture = try WorkerFixture(parameters: ["tarpit 1 1 2", "max-unknown-commands 1000"])
        let dialogue = try fixture.greeted()
        try dialogue.send(String(repeating: "RCPT TO:<x@e.test>\r\n", count: 100))
        for _ in 0..<100 { try dialogue.expect("503 5.5.1 ") }
    }
}
