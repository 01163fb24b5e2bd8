import AgentKit
import AgentProtocol
import Configuration
import Glibc
import MailModel
import SpoolFormat
import Testing

@testable import StreamAgent

@Suite("Programs of sm.conf")
struct StreamAgentTests {
    let fixture: StreamFixture

    init() throws { fixture = try StreamFixture() }

    /// What a program with these flags reads, the date in the `From ` line replaced.
    private func text(
        _ flags: String, content: String = StreamFixture.content, sender: String = "s@a.example",
        users: [String] = ["u@b.example"], configure: (inout ControlFile) -> Void = { _ in }
    ) throws -> String {
        try fixture.script("cat > %/out")
        let reports = try fixture.deliver(
            try fixture.settings("\(flags) %/program program"), to: users, sender: sender, content: content,
            configure: configure)
        try #require(reports.map(\.result) == users.map { _ in .ok }, "\(reports)")
        var lines = fixture.read("out").split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if let first = lines.first, first.hasPrefix("From ") {
            let words = first.split(separator: " ")
            lines[0] = (words.prefix(2) + ["DATE"] + words.dropFirst(7)).joined(separator: " ")
        }
        return lines.joined(separator: "\n")
    }

    private static let header = "Received: by x; y\nSubject: x\n\n"
    private static let body = "Hello\n.dot\nFrom me\nlast\n"

    @Test(
        "what the program reads is what the flags say",
        arguments: [
            ("-", "From s@a.example DATE\n\(header)\(body)"), ("n", "\(header)\(body)"),
            ("nE", "\(header)Hello\n.dot\n>From me\nlast\n"), ("nX", "\(header)Hello\n..dot\nFrom me\nlast\n"),
            ("nP", "Return-Path: <s@a.example>\n\(header)\(body)"),
            ("nR", "\(header)\(body)".replacing("\n", with: "\r\n")),
            ("U", "From s@a.example DATE remote from mx.example.test\n\(header)\(body)"),
            ("nU", "From s@a.example DATE remote from mx.example.test\n\(header)\(body)"),
            ("ne", "X-Envelope-To: <u@b.example>\n\(header)\(body)"), ("nO", "\(header)\(body)"),
            (
                "b",
                "MAIL FROM:<s@a.example>\nRCPT TO:<u@b.example>\nDATA\n\(header)Hello\n..dot\nFrom me\nlast\n.\n"
            ),
            (
                "bHR",
                "HELO mx.example.test\nMAIL FROM:<s@a.example>\nRCPT TO:<u@b.example>\nDATA\n\(header)Hello\n..dot\nFrom me\nlast\n.\nQUIT\n"
                    .replacing("\n", with: "\r\n")
            ),
            (
                "BH",
                "EHLO mx.example.test\nMAIL FROM:<s@a.example> SIZE=61\nRCPT TO:<u@b.example>\nDATA\n\(header)Hello\n..dot\nFrom me\nlast\n.\nQUIT\n"
            ),
            (
                "BB",
                "MAIL FROM:<s@a.example> SIZE=61\nRCPT TO:<u@b.example> NOTIFY=FAILURE,DELAY\nDATA\n\(header)Hello\n..dot\nFrom me\nlast\n.\n"
            ),
        ])
    func forms(flags: String, expected: String) throws {
        #expect(try text(flags) == expected)
    }

    @Test("fields and parameters of RFC 3461, and fields of strangers that look like ours")
    func notary() throws {
        let content =
            "Return-Path: <evil@x>\r\nX-Envelope-To: <evil@x>\r\nOriginal-Recipient: evil\r\n\tmore\r\nA: b\r\n\r\nx\r\n"
        let configure = { (control: inout ControlFile) in
            control.envelopeID = "Q+2BQ"
            control.notaryReturn = .headers
            control.groups[0].recipients[0].originalRecipient = "rfc822;l+2Bx@c.example"
            control.groups[0].recipients[0].notify = [.success]
        }
        #expect(
            try text("nPe", content: content, configure: configure) == """
                Return-Path: <s@a.example>
                X-Envelope-To: <u@b.example>
                Original-Recipient: rfc822; l+x@c.example
                Envelope-Id: Q+Q
                A: b

                x

                """)
        #expect(
            try text("nO", content: content, configure: configure).hasPrefix(
                "Original-Recipient: rfc822; l+x@c.example\nReturn-Path: <evil@x>\n"))
        #expect(
            try text("BB", content: content, configure: configure).hasPrefix(
                """
                MAIL FROM:<s@a.example> SIZE=\(content.utf8.count) RET=HDRS ENVID=Q+2BQ
                RCPT TO:<u@b.example> NOTIFY=SUCCESS ORCPT=rfc822;l+2Bx@c.example
                DATA

                """))
    }

    @Test("eight bit: untouched with 8, stripped by 7, made 7-bit otherwise; B announces it where it stays")
    func eightBit() throws {
        let content = "Subject: gr\u{fc}n\r\n\r\ngr\u{fc}n\r\n"
        #expect(try text("n8", content: content) == content.replacing("\r\n", with: "\n"))
        #expect(try text("n7", content: content) == "Subject: gr\u{fc}n\n\ngrC<n\n")
        let converted = try text("n", content: content)
        #expect(converted.utf8.allSatisfy { $0 < 0x80 } && converted.hasSuffix("\n\ngr=C3=BCn\n"), "\(converted)")
        #expect(
            converted.contains("Subject: =?UTF-8?")
                && converted.contains("\nContent-Transfer-Encoding: quoted-printable\n"))
        #expect(try text("B8", content: content).hasPrefix("MAIL FROM:<s@a.example> SIZE=25 BODY=8BITMIME\n"))
        #expect(try text("B", content: content).hasPrefix("MAIL FROM:<s@a.example> SIZE=25\nRCPT"))
        #expect(try text("B7", content: content).hasPrefix("MAIL FROM:<s@a.example> SIZE=25\nRCPT"))
        let international = try text("B", content: content, users: ["\u{fc}@b.example"]) {
            $0.isInternationalized = true
        }
        #expect(international.contains(" BODY=8BITMIME SMTPUTF8\nRCPT TO:<\u{fc}@b.example>\n"))
        #expect(international.contains("Subject: gr\u{fc}n\n\ngr\u{fc}n\n"))
    }

    @Test("9 decodes quoted-printable texts, and what is signed stays as it is whatever the flags")
    func decoding() throws {
        let encoded =
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BCn\r\n.\r\n"
        let decoded = try text("b9", content: encoded)
        #expect(
            decoded.hasSuffix(
                "DATA\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\ngr\u{fc}n\n..\n.\n"
            ), "\(decoded)")
        #expect(try text("n8", content: encoded) == encoded.replacing("\r\n", with: "\n"))
        let signed =
            "Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\ngr\u{fc}n\r\n--x\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--x--\r\n"
        #expect(try text("n", content: signed) == signed.replacing("\r\n", with: "\n"))
    }

    @Test("a header that the router has made takes the place of the message's, in the lines of the program")
    func replacedHeader() throws {
        let header = Array("Subject: new\r\nBcc: x\r\n".utf8)
        #expect(try text("n") { $0.groups[0].header = header } == "Subject: new\nBcc: x\n\n\(Self.body)")
        #expect(
            try text("bR") { $0.groups[0].header = header }.hasPrefix(
                "MAIL FROM:<s@a.example>\r\nRCPT TO:<u@b.example>\r\nDATA\r\nSubject: new\r\nBcc: x\r\n\r\nHello\r\n..dot\r\n"
            ))
    }

    @Test("a last line gets its end, and a message may be nothing but a header", arguments: ["Hello", "", "Hello\r\n"])
    func lastLine(body: String) throws {
        let text = try text("b", content: "Subject: x\r\n\r\n\(body)")
        #expect(text.hasSuffix("DATA\nSubject: x\n\n\(body.isEmpty ? "" : "Hello\n").\n"))
    }

    @Test(
        "the null return path",
        arguments: [("b", "MAIL FROM:<>\n"), ("-", "From MAILER-DAEMON DATE\n"), ("nP", "Return-Path: <>\n")])
    func nullSender(flags: String, expected: String) throws {
        #expect(try text(flags, sender: "").hasPrefix(expected))
        try fixture.script("printf '%s\\n' \"$@\" > %/args")
        try fixture.deliver(try fixture.settings("nf %/program program $g"), sender: "")
        #expect(fixture.read("args") == "-f\n<>\n<>\n")
    }

    @Test(
        "arguments are words, whatever is in an address, and no shell sees them",
        arguments: [
            ("n", "-d $u", "a b@b.example", "-d\na b@b.example\n"),
            ("n", "$g $h $u", "$(touch evil)@b.example", "s@a.example\nh.example\n$(touch evil)@b.example\n"),
            ("nf", "$h!rmail ($u)", "`x`;|&", "-f\ns@a.example\nh.example!rmail\n(`x`;|&)\n"),
            ("nr", "", "u", "-r\ns@a.example\n"), ("n", "$U", "User@B.Example", "user@b.example\n"),
            ("ns", "$u", "\"a b\\\"c\"@b.example", "a b\"c@b.example\n"), ("ns", "$u", "\"a b\"", "a b\n"),
            ("n", "$u", "\"a b\"@b.example", "\"a b\"@b.example\n"),
            ("n", "-- $u", "-rf@b.example", "--\n-rf@b.example\n"),
            ("n", "-x$u", "-rf@b.example", "-x-rf@b.example\n"),
        ])
    func arguments(flags: String, words: String, user: String, expected: String) throws {
        try fixture.script("printf '%s\\n' \"$@\" > %/args")
        let reports = try fixture.deliver(try fixture.settings("\(flags) %/program program \(words)"), to: [user])
        #expect(reports.map(\.result) == [.ok], "\(reports)")
        #expect(fixture.read("args") == expected)
    }

    @Test(
        "an address cannot become an option",
        arguments: [
            ("$u", "-rf@b.example", "s@a.example", "h", "5.1.3"), ("-f $g $u", "u", "-o@a.example", "h", "5.1.7"),
            ("$u", "\"-rf\"@b.example", "s", "h", "5.1.3"), ("$h", "u", "s", "--help", "5.1.2"),
            ("$U", "-X", "s", "h", "5.1.3"),
        ])
    func options(words: String, user: String, sender: String, host: String, status: String) throws {
        try fixture.script("touch %/evil")
        let reports = try fixture.deliver(
            try fixture.settings("ns %/program program \(words)"), to: [user], sender: sender, host: host)
        #expect(reports.map(\.result) == [.failed] && reports[0].notary?.status == status, "\(reports)")
        #expect(access("\(fixture.root)/evil", F_OK) != 0)
    }

    @Test("the sender behind -f is no option either")
    func senderOption() throws {
        try fixture.script("touch %/evil")
        let reports = try fixture.deliver(try fixture.settings("nf %/program program"), sender: "-o@a.example")
        #expect(reports[0].notary?.status == "5.1.7")
        #expect(access("\(fixture.root)/evil", F_OK) != 0)
    }

    @Test("without m a run for each recipient; with it one for many, and $u is repeated")
    func manyRecipients() throws {
        try fixture.script("cat > /dev/null; echo \"$*\" >> %/args")
        let users = ["a@b.example", "c@d.example", "-x@y.example", "e@f.example"]
        let one = try fixture.deliver(try fixture.settings("n %/program program to $u."), to: users)
        #expect(one.map(\.result) == [.ok, .ok, .failed, .ok])
        #expect(fixture.read("args") == "to a@b.example.\nto c@d.example.\nto e@f.example.\n")
        unlink("\(fixture.root)/args")
        let many = try fixture.deliver(try fixture.settings("nm %/program program to $u end"), to: users)
        #expect(many.map(\.result) == [.ok, .ok, .failed, .ok])
        #expect(fixture.read("args") == "to a@b.example c@d.example e@f.example end\n")
        unlink("\(fixture.root)/args")
        let crowd = (0..<120).map { "user\($0)@b.example" }
        #expect(try fixture.deliver(try fixture.settings("nm %/program program $u"), to: crowd).count == 120)
        let runs = fixture.read("args").split(separator: "\n").map { $0.split(separator: " ") }
        #expect(runs.map(\.count) == [100, 20])
        #expect(runs.joined().map(String.init) == crowd)
        unlink("\(fixture.root)/args")
        let long = (0..<40).map { "\(String(repeating: "x", count: 1000))\($0)@b.example" }
        #expect(try fixture.deliver(try fixture.settings("nm %/program program $u"), to: long).count == 40)
        #expect(fixture.read("args").split(separator: "\n").allSatisfy { $0.utf8.count <= 33_000 })
    }

    @Test(
        "exit codes decide, and the first line of the output says why",
        arguments: [
            ("exit 0", DeliveryResult.ok, "2.2.0", "delivered to test"), ("echo done", .ok, "2.2.0", "done"),
            ("echo; echo no such user; echo 2; exit 67", .failed, "5.1.1", "no such user"),
            ("exit 68", .failed, "5.1.2", "exit code 68"), ("exit 69", .failed, "5.3.0", "exit code 69"),
            ("exit 65", .failed, "5.6.0", "exit code 65"),
            ("echo no >&2; exit 77", .failed, "5.7.1", "no (this is abnormal, investigate!)"),
            ("exit 64", .deferred, "4.3.0", "exit code 64"), ("exit 70", .deferred, "4.3.0", "exit code 70"),
            ("exit 73", .deferred, "4.3.0", "exit code 73"), ("exit 74", .deferred, "4.3.0", "exit code 74"),
            ("exit 75", .deferred, "4.3.0", "exit code 75"), ("exit 76", .deferred, "4.3.0", "exit code 76"),
            ("exit 78", .deferred, "4.3.0", "exit code 78"), ("exit 1", .deferred, "4.3.0", "exit code 1"),
            ("exit 254", .deferred, "4.3.0", "exit code 254"), ("kill -9 $$", .deferred, "4.3.0", "signal 9"),
            ("kill -15 $$", .deferred, "4.3.0", "signal 15"),
        ])
    func exitCodes(script: String, result: DeliveryResult, status: String, text: String) throws {
        try fixture.script("cat > /dev/null; \(script)")
        let report = try #require(try fixture.deliver(try fixture.settings("n %/program program")).first)
        #expect(report.result == result && report.notary?.status == status)
        #expect(report.message.contains(text), "\(report.message)")
        #expect(report.notary?.action == (result == .ok ? .delivered : result == .failed ? .failed : .delayed))
    }

    @Test("a program that is not there, or none, is tried again", arguments: ["/no/such/program", "%/"])
    func missing(program: String) throws {
        let report = try #require(try fixture.deliver(try fixture.settings("n \(program) x")).first)
        #expect(report.result == .deferred && report.message.contains("cannot start"))
    }

    @Test("/dev/null is delivery without a program, and is logged as that")
    func nowhere() throws {
        let report = try #require(try fixture.deliver(try fixture.settings("n /dev/null")).first)
        #expect(report.result == .ok && report.notary?.status == "2.0.0" && report.message == "thrown away")
        #expect(report.notary?.action == .delivered)
    }

    @Test(
        "what goes to another mail system is relayed; with BB the wishes for reports went along",
        arguments: [("U", Notary.Action.relayed), ("b", .relayed), ("B", .relayed), ("BB", nil)])
    func relayed(flags: String, action: Notary.Action?) throws {
        try fixture.script("cat > /dev/null")
        let report = try #require(try fixture.deliver(try fixture.settings("\(flags) %/program program")).first)
        #expect(report.result == .ok && report.notary?.action == action)
    }

    @Test("another mail system gets nothing that needs a promise it has not given")
    func promises() throws {
        try fixture.script("cat > /dev/null; touch %/ran")
        func status(_ flags: String, _ configure: (inout ControlFile) -> Void) throws -> String? {
            try fixture.deliver(try fixture.settings("\(flags) %/program program"), configure: configure)[0].notary?
                .status
        }
        #expect(try status("b") { $0.requiresTLS = true } == "5.7.30")
        #expect(try status("U") { $0.isInternationalized = true } == "5.6.7")
        let late = DeliverByTime(4_000_000_000, .return)
        #expect(try status("b") { $0.groups[0].recipients[0].deliverBy = late } == "5.3.3")
        #expect(access("\(fixture.root)/ran", F_OK) != 0)
        #expect(try status("n") { $0.requiresTLS = true } == "2.2.0")
        #expect(try status("n") { $0.isInternationalized = true } == "2.2.0")
    }

    @Test("the environment is clean, and bounded by what concerns the run")
    func environment() throws {
        setenv("SECRET_OF_THE_AGENT", "x", 1)
        try fixture.script("cat > /dev/null; env > %/out; pwd >> %/out")
        let settings = try fixture.settings(
            "nm %/program program $u", ["MAILBIN": "/opt/bin", "MAILSHARE": "/opt/share", "ZCONFIG": "/opt/z.conf"])
        try fixture.deliver(settings) {
            $0.envelopeID = "E1"
            $0.groups[0].recipients[0].originalRecipient = "rfc822;l@x"
            $0.groups[0].recipients[0].envelopeRecipient = "l@example.test\nEVIL=1"
        }
        let lines = Set(fixture.read("out").split(separator: "\n").map(String.init))
        for line in [
            "SENDER=s@a.example", "ORCPT=rfc822;l@x", "INRCPT=l@example.test EVIL=1", "ENVID=E1",
            "NOTIFY=FAILURE,DELAY", "MESSAGEID=<a@b>", "SHELL=/bin/sh", "MAILBIN=/opt/bin", "MAILSHARE=/opt/share",
            "PATH=/usr/local/bin:/usr/bin:/bin", "ZCONFIG=/opt/z.conf",
        ] { #expect(lines.contains(line), "\(line) is not among \(lines)") }
        #expect(!lines.contains { $0.hasPrefix("SECRET_OF_THE_AGENT") || $0.hasPrefix("EVIL") })
        try fixture.deliver(settings, to: ["a", "b"], sender: "") {
            $0.groups[0].recipients[0].originalRecipient = "rfc822;l@x"
        }
        let many = fixture.read("out")
        #expect(many.contains("SENDER=<>\n") && !many.contains("ORCPT=") && !many.contains("NOTIFY="))
    }

    @Test("one that takes too long is ended with all that it started", arguments: ["", "trap '' TERM; "])
    func timeout(trap: String) throws {
        try fixture.script("\(trap)(while :; do sleep 1; done) & echo $! > %/pid; echo busy; while :; do sleep 1; done")
        var settings = try fixture.settings("n %/program program")
        settings.limits.time = .milliseconds(400)
        settings.limits.grace = .milliseconds(300)
        let start = ContinuousClock.now
        let report = try fixture.deliver(settings)[0]
        #expect(report.result == .deferred && report.message.contains("took too long"))
        #expect(ContinuousClock.now - start < .seconds(20))
        let pid = try #require(fixture.read("pid").split(separator: "\n").first.flatMap { pid_t($0) })
        // It is a child of init's now, which may take a moment to bury it.
        let deadline = ContinuousClock.now + .seconds(10)
        while isRunning(pid), ContinuousClock.now < deadline { sched_yield() }
        #expect(!isRunning(pid))
    }

    private func isRunning(_ pid: pid_t) -> Bool {
        let status = String(decoding: fileOctets("/proc/\(pid)/stat"), as: UTF8.self).split(separator: " ")
        return status.count > 2 && status[2] != "Z"
    }

    @Test("output that never ends keeps nobody, and is bounded")
    func flood() throws {
        try fixture.script("printf 'a\\001b\\tc'; yes x")
        var settings = try fixture.settings("n %/program program")
        settings.limits.time = .milliseconds(500)
        #expect(try fixture.deliver(settings)[0].message.contains("took too long"))
        try fixture.script("printf 'a\\001b\\tc'; head -c 1000000 /dev/zero | tr '\\0' x; echo; exit 75")
        let report = try fixture.deliver(try fixture.settings("n %/program program"))[0]
        #expect(report.message.hasPrefix("a b cxxx") && report.message.utf8.count < 520)
    }

    @Test("memory is limited")
    func memory() throws {
        try fixture.script("ulimit -v > %/limit")
        var settings = try fixture.settings("n %/program program")
        settings.limits.memory = 64 << 20
        try fixture.deliver(settings)
        #expect(fixture.read("limit") == "65536\n")
    }

    @Test("a large message costs no memory, and a program need not read it")
    func large() throws {
        let content = "Subject: x\r\n\r\n" + String(repeating: "0123456789abcdef\r\n", count: 300_000)
        try fixture.script("tail -n +3 | wc -c > %/count")
        #expect(try fixture.deliver(try fixture.settings("n %/program program"), content: content)[0].result == .ok)
        #expect(fixture.read("count") == "\(17 * 300_000)\n")
        try fixture.script("exit 0")
        #expect(try fixture.deliver(try fixture.settings("n %/program program"), content: content)[0].result == .ok)
    }

    @Test("lines are the same however the message is cut into pieces")
    func pieces() throws {
        let parts = ["From x", ".", "..", "From", "Fro", "F", "", "a\rb", "\r", String(repeating: "y", count: 40)]
        var generator = SystemRandomNumberGenerator()
        let encoding = LineEncoding(endsInCRLF: true, stuffsDots: true, quotesSeparators: true, stripsEighthBit: false)
        for length in [
            StreamSource.pieceSize - 3, StreamSource.pieceSize - 1, StreamSource.pieceSize, 2 * StreamSource.pieceSize,
        ] {
            var body: [UInt8] = []
            while body.count < 3 * StreamSource.pieceSize {
                body += Array((parts.randomElement(using: &generator) ?? "").utf8) + [0x0d, 0x0a]
            }
            body += [UInt8](repeating: UInt8(ascii: "z"), count: length) + Array("\r\nFrom y\r\n.\r\n".utf8)
            let content = "Subject: x\r\n\r\n" + String(decoding: body, as: UTF8.self)
            var expected: [UInt8] = []
            var position = LineEncoding.Position(isAtLineStart: true, isInBody: true)
            encoding.append(body[...], isCRLF: true, &position, to: &expected)
            try fixture.script("cat > %/out")
            try fixture.deliver(try fixture.settings("nEXR %/program program"), content: content)
            #expect(
                fixture.read("out") == "Subject: x\r\n\r\n" + String(decoding: expected, as: UTF8.self))
        }
    }

    @Test("a file whose lines end in LF is given on with the same lines; a CR in it is an octet")
    func lineFeeds() throws {
        let content = "Subject: x\n\nHello\r\n.dot\nlast"
        let configure = { (control: inout ControlFile) in
            control.format = .lf
            control.bodyOffset = control.headerStart + 12
        }
        #expect(try text("n", content: content, configure: configure) == "Subject: x\n\nHello\r\n.dot\nlast\n")
        #expect(
            try text("bR", content: content, configure: configure).hasSuffix(
                "DATA\r\nSubject: x\r\n\r\nHello\r\r\n..dot\r\nlast\r\n.\r\n"))
    }
}
