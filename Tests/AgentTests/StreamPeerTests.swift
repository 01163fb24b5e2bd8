import AgentProtocol
import Glibc
import SpoolFormat
import Testing

@testable import StreamAgent

private enum Peer {
    static let procmail = "/usr/bin/procmail"
    static let dovecot = "/usr/lib/dovecot/dovecot-lda"
    static let setpriv = "/usr/bin/setpriv"
    static let python = "/usr/bin/python3"
    /// Postfix's, which scripts/peers unpacks.
    static let rmail: String = {
        let variable = { (name: String) in getenv(name).map { String(cString: $0) } }
        let cache = variable("XDG_CACHE_HOME") ?? "\(variable("HOME") ?? "/root")/.cache"
        return "\(cache)/zmailer-peers/postfix/usr/bin/rmail"
    }()

    static func isThere(_ path: String) -> Bool { access(path, X_OK) == 0 }
}

/// Real programs, as sm.conf names them. Those that are not there are skipped; scripts/peers gets them.
@Suite("Programs of others")
struct StreamPeerTests {
    let fixture: StreamFixture

    init() throws { fixture = try StreamFixture() }

    @Test("procmail delivers to an mbox with its own From line", .enabled(if: Peer.isThere(Peer.procmail)))
    func procmail() throws {
        let settings = try fixture.settings(
            "snSPf /usr/bin/procmail procmail -Y -a $h DEFAULT=%/mbox LOGFILE=%/log /dev/null")
        let reports = try fixture.deliver(settings, to: ["\"a b\"@b.example"])
        #expect(reports.map(\.result) == [.ok], "\(reports) \(fixture.read("log"))")
        let lines = fixture.read("mbox").split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(lines.first?.hasPrefix("From s@a.example ") == true)
        #expect(
            lines.dropFirst() == [
                "Return-Path: <s@a.example>", "Received: by x; y", "Subject: x", "", "Hello", ".dot", ">From me",
                "last", "", "",
            ])
        try fixture.deliver(settings, sender: "")
        #expect(fixture.read("mbox").contains("\nReturn-Path: <>\n"))
    }

    @Test(
        "Dovecot's delivery agent files into a Maildir",
        .enabled(if: Peer.isThere(Peer.dovecot) && Peer.isThere(Peer.setpriv) && geteuid() == 0))
    func dovecotLDA() throws {
        try #require(chmod(fixture.root, 0o777) == 0 && mkdir("\(fixture.root)/home", 0o777) == 0)
        try #require(chmod("\(fixture.root)/home", 0o777) == 0)
        try fixture.write(
            """
            mail_location = maildir:\(fixture.root)/home/Maildir
            log_path = \(fixture.root)/home/log
            base_dir = \(fixture.root)/run
            state_dir = \(fixture.root)/state
            mail_home = \(fixture.root)/home

            """, to: "dovecot.conf")
        let settings = try fixture.settings(
            """
            snSP /usr/bin/setpriv setpriv --reuid 1 --regid 1 --clear-groups \(Peer.dovecot) -c %/dovecot.conf -f $g
            """)
        let report = try #require(try fixture.deliver(settings).first)
        #expect(report.result == .ok, "\(report.message) \(fixture.read("home/log"))")
        let files = entries("\(fixture.root)/home/Maildir/new")
        #expect(files.count == 1)
        let text = fixture.read("home/Maildir/new/\(files.first ?? "")")
        #expect(text.hasPrefix("Return-Path: <s@a.example>\n"))
        #expect(text.hasSuffix("Subject: x\n\nHello\n.dot\nFrom me\nlast\n"))
    }

    @Test("rmail understands the UUCP line, and whom a message is for", .enabled(if: Peer.isThere(Peer.rmail)))
    func rmail() throws {
        try fixture.script("exec \(Peer.rmail) -T -- \"$@\" > %/out 2>&1")
        let report = try fixture.deliver(
            try fixture.settings("mU %/program rmail $u"), to: ["u@b.example", "v@b.example"])
        #expect(report.count == 2)
        let lines = fixture.read("out").split(separator: "\n").map(String.init)
        for line in ["remote from: mx.example.test", "from_user: s@a.example", "\tu@b.example", "\tv@b.example"] {
            #expect(lines.contains(line), "\(line) is not among \(lines)")
        }
    }

    /// A reader of batch SMTP that knows nothing of ours: Python's own parser takes what is between DATA and the dot.
    private static let reader = """
        import email, email.policy, sys
        lines = sys.stdin.buffer.read().split(b"\\r\\n")
        assert lines.pop() == b"", "no CRLF at the end"
        assert all(b"\\n" not in line and b"\\r" not in line for line in lines), "bare CR or LF"
        out = open(sys.argv[1], "w")
        data, body = False, []
        for line in lines:
            if data:
                if line == b".": data = False
                else: body.append(line[1:] if line.startswith(b".") else line)
            else:
                print("C:", line.decode(), file=out)
                if line == b"DATA": data = True
        assert not data, "no final dot"
        message = email.message_from_bytes(b"\\r\\n".join(body) + b"\\r\\n", policy=email.policy.SMTP)
        assert not message.defects, message.defects
        print("S:", message["Subject"], file=out)
        print("B:", repr(message.get_payload()), file=out)
        """

    @Test("a batch of SMTP is read by a stranger", .enabled(if: Peer.isThere(Peer.python)))
    func batch() throws {
        try fixture.write(Self.reader, to: "reader.py")
        let settings = try fixture.settings("BBHRm /usr/bin/python3 python3 %/reader.py %/out")
        let content = "Subject: dots\r\n\r\n.\r\n..\r\n...x\r\n\r\nFrom me\r\n.QUIT\r\n"
        let reports = try fixture.deliver(settings, to: ["u@b.example", "\"v w\"@b.example"], content: content) {
            $0.envelopeID = "Q1"
            $0.groups[0].recipients[1].notify = .never
        }
        #expect(reports.map(\.result) == [.ok, .ok] && reports.allSatisfy { $0.notary == nil }, "\(reports)")
        #expect(
            fixture.read("out") == """
                C: EHLO mx.example.test
                C: MAIL FROM:<s@a.example> SIZE=\(content.utf8.count) ENVID=Q1
                C: RCPT TO:<u@b.example> NOTIFY=FAILURE,DELAY
                C: RCPT TO:<"v w"@b.example> NOTIFY=NEVER
                C: DATA
                C: QUIT
                S: dots
                B: '.\\r\\n..\\r\\n...x\\r\\n\\r\\nFrom me\\r\\n.QUIT\\r\\n'

                """)
    }

    @Test(
        "for whom a copy is stands in our own Received field, unless zmailer.conf forbids it, and never in what is relayed"
    )
    func receivedClause() throws {
        try fixture.script("cat > %/out")
        func text(_ flags: String, _ users: [String] = ["u@b.example"], _ zenv: [String: String] = [:]) throws -> String
        {
            // The fixture's first message has this name.
            var id = ""
            for _ in 0..<2 {
                let content = "Received: from a by b id \(id); d\r\nReceived: by x id \(id); e\r\nA: b\r\n\r\nx\r\n"
                _ = try fixture.deliver(try fixture.settings("\(flags) %/program x", zenv), to: users, content: content)
                {
                    id = "\(SpoolID(rawValue: $0.id.rawValue + 1))"
                    $0.groups[0].recipients[0].envelopeRecipient = "l@b.example"
                }
            }
            return fixture.read("out")
        }
        #expect(try text("n").contains("\n\tfor <l@b.example>; d\nReceived: by x id"))
        #expect(try !text("n", ["u@b.example"], ["NORECEIVEDFORCLAUSE": "1"]).contains("for <"))
        #expect(try !text("nm", ["u@b.example", "v@b.example"]).contains("for <"))
        #expect(try !text("b").contains("for <"))
    }
}
