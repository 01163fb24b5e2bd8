import ChildProcesses
import Glibc
import Testing

@testable import SMTPServer

@Suite("A worker whose spool fills up", .serialized) struct WorkerThrottleTests {
    private func mail(_ fixture: WorkerFixture) throws -> (reply: String, milliseconds: Int64) {
        let dialogue = try fixture.greeted()
        let begun = SteadyClock.milliseconds
        try dialogue.send("MAIL FROM:<a@client.example>\r\n")
        return (try dialogue.expectReply(""), SteadyClock.milliseconds - begun)
    }

    private func fill(_ fixture: WorkerFixture, to count: Int) {
        for number in 0..<100 {
            let path = "\(fixture.directory)/po/router/\(number + 1)"
            if number < count { close(open(path, O_CREAT | O_WRONLY, 0o600)) } else { unlink(path) }
        }
    }

    @Test("is slow before the limit, refuses behind it, and takes mail again when there is room")
    func queue() throws {
        let fixture = try WorkerFixture(parameters: ["queue-limit 20", "throttle-delay 1"])
        #expect(try mail(fixture).reply.hasPrefix("250 "))
        fill(fixture, to: 19)
        // Counted every three seconds.
        try eventually("it is slow") { try fixture.log().contains("throttle intake=slow cause=waiting") }
        let slow = try mail(fixture)
        #expect(slow.reply.hasPrefix("250 ") && slow.milliseconds >= 700)
        fill(fixture, to: 21)
        try eventually("it refuses") {
            try mail(fixture).reply == "452 4.3.2 Too many messages are waiting here, try later"
        }
        #expect(try fixture.log().contains("reason=\"queue-limit 20\""))
        #expect(try fixture.log().contains("warning throttle intake=closed cause=waiting"))
        fill(fixture, to: 0)
        try eventually("it takes mail") { try mail(fixture).reply.hasPrefix("250 ") }
        #expect(try fixture.log().contains("notice throttle intake=open"))
    }

    @Test("a session that ends while it is held back disturbs nobody")
    func ends() throws {
        let fixture = try WorkerFixture(parameters: ["queue-limit 20", "throttle-delay 2"])
        fill(fixture, to: 20)
        try eventually("it is slow") { try fixture.log().contains("throttle intake=slow") }
        for _ in 0..<5 { try fixture.greeted().send("MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\n") }
        #expect(try mail(fixture).reply.hasPrefix("250 "))
    }

    @Test(
        "the number of recipients is read from the scheduler's status",
        arguments: [
            ("{\"pid\":1,\"messages\":2,\"recipients\":345,\"threads\":1}", 345), ("{\"recipients\":}", nil),
            ("{}", nil), ("", nil),
        ])
    func status(line: String, recipients: Int?) {
        #expect(HostConditions.recipients(in: line) == recipients)
    }

    @Test("recipients above queue-recipients: refused, with the reason in the log")
    func recipients() throws {
        let fixture = try WorkerFixture(parameters: ["queue-recipients 100"])
        ScriptedStatus.serve(
            try UnixSocket.listen("\(fixture.directory)/po/.scheduler.mailq"), "{\"recipients\":101}\n")
        try eventually("it refuses") { try mail(fixture).reply.hasPrefix("452 4.3.2") }
        #expect(try fixture.log().contains("reason=\"queue-recipients 100\""))
    }
}

@Suite("Metrics of a worker") struct WorkerMetricsTests {
    @Test("sessions, messages and refusals are counted")
    func counted() throws {
        let fixture = try WorkerFixture(parameters: ["max-unknown-commands 5"])
        fixture.worker.serveMetrics()
        let dialogue = try fixture.greeted()
        for (command, reply) in [
            ("MAIL FROM:<a@client.example>", "250"), ("RCPT TO:<b@example.org>", "250"), ("DATA", "354"),
            ("Subject: x\r\n\r\nx\r\n.", "250"), ("RCPT TO:<b@example.org>", "503"), ("XYZZY", "5"),
        ] {
            try dialogue.send("\(command)\r\n")
            try dialogue.expectReply(reply)
        }
        var text = ""
        try UnixDialogue.ask("\(fixture.directory)/po/.metrics.smtpserver", "metrics\n", milliseconds: 5000) { line in
            text += String(decoding: line, as: UTF8.self) + "\n"
        }
        for line in [
            "zmailer_smtp_sessions 1", "zmailer_smtp_sessions_total 1",
            "zmailer_smtp_messages_total{outcome=\"accepted\"} 1", "zmailer_smtp_recipients_total 1",
            "zmailer_smtp_accept_seconds_count 1", "zmailer_smtp_refusals_total{reason=\"protocol\"} 2",
            "zmailer_smtp_refused_commands_total{command=\"rcpt\"} 1", "zmailer_smtp_intake_state 0",
        ] {
            #expect(text.contains("\(line)\n"), "\(line)\n\(text)")
        }
    }

    @Test(
        "a reason of the log is one of a few words",
        arguments: [
            ("relaytarget - @smtp-policy.src:12 via .", ServerMetrics.Reason.relay), ("queue-limit 20", .queue),
            ("min-availspace: 1 KiB free of 5", .storage), ("greylist 300", .greylist), ("x y z", .other), ("", .other),
            ("content filter /f: 550 5.7.1 spam", .filter), ("earlier rejection: relaytarget -", .earlier),
        ])
    func reasons(text: String, reason: ServerMetrics.Reason) {
        #expect(ServerMetrics.Reason(text) == reason)
    }

    @Test(
        "a command is its verb, whatever stands behind it",
        arguments: [
            ("RCPT TO:<a@b>", ServerMetrics.Command.rcpt), ("mail from:<>", .mail), ("ehlo x", .hello),
            ("connect", .connect),
            ("\u{1b}[2J", .other), ("", .connect),
        ])
    func commands(text: String, command: ServerMetrics.Command) {
        #expect(ServerMetrics.Command(text) == command)
    }
}

/// Says the same to everybody, for the life of the process.
enum ScriptedStatus {
    private final class Start {
        let listener: Int32
        let text: String
        init(_ listener: Int32, _ text: String) {
            self.listener = listener
            self.text = text
        }
    }

    static func serve(_ listener: Int32, _ text: String) {
        UnixSocket.makeBlocking(listener)
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
                while let client = UnixSocket.accept(start.listener) {
                    var question = [UInt8](repeating: 0, count: 64)
                    var entry = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
                    poll(&entry, 1, 5000)
                    _ = read(client, &question, question.count)
                    let octets = Array(start.text.utf8)
                    _ = write(client, octets, octets.count)
                    close(client)
                }
                return nil
            }, Unmanaged.passRetained(Start(listener, text)).toOpaque())
        pthread_detach(thread)
    }
}
