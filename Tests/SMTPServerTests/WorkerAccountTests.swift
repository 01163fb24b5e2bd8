import Configuration
import Glibc
import MailModel
import Policy
import ProgramKit
import Synchronization
import Testing

@testable import SMTPServer

/// Sessions at `submission-socket`: the system says whose program it is.
@Suite(.serialized) struct WorkerAccountTests {
    private var ownName: String {
        getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? "uid-\(getuid())"
    }

    /// A fixture that serves a Unix socket too, and where that is.
    private func fixture(
        _ parameters: [String] = [], patterns: [String] = ["* 999 ve"], timeouts: Timeouts = Timeouts(),
        policy: @escaping ScriptedPolicy.Script = ScriptedPolicy.acceptAll, lookUp: LocalAccounts.LookUp? = nil
    ) throws -> (WorkerFixture, String) {
        let fixture = try WorkerFixture(
            parameters: parameters, patterns: patterns, timeouts: timeouts, policy: policy, accountLookUp: lookUp)
        let path = "\(fixture.directory)/po/submission"
        let descriptor = try SubmissionSocket.listen(path, backlog: 16)
        _ = try fixture.worker.serve(descriptor, ListenerRole(service: .local, port: 0))
        return (fixture, path)
    }

    private func greeted(_ path: String, _ hello: String = "EHLO here") throws -> (Dialogue, [String]) {
        let dialogue = try Dialogue(path: path)
        try dialogue.expect("220 ")
        try dialogue.send("\(hello)\r\n")
        var lines: [String] = []
        while let line = try dialogue.line() {
            lines.append(line)
            if line.dropFirst(3).first == " " { break }
        }
        return (dialogue, lines)
    }

    @Test("the account is told to the policy with each question, and stands in the message")
    func told() throws {
        let (fixture, path) = try fixture()
        let (dialogue, _) = try greeted(path)
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        try dialogue.expect("250 ")
        try dialogue.expect("250 ")
        try dialogue.expect("354 ")
        try dialogue.send("x\r\n.\r\n")
        let id = String(try dialogue.expectReply("250").split(separator: " ").last ?? "")
        let asked = fixture.policy.questions.filter { [.connect, .mail, .rcpt].contains($0.verb) }
        #expect(asked.map(\.verb) == [.connect, .mail, .rcpt])
        #expect(asked.allSatisfy { $0.authenticatedUser == ownName && $0.client == nil })
        // The one that the server runs as is trusted.
        #expect(asked.allSatisfy { $0.identity == .trustedAccount })
        let message = try fixture.message(id)
        #expect(message.contains("\nauthuser \(ownName)\n") && message.contains("\nvia local\n"), "\(message)")
        #expect(message.contains("\nsubmission local\n"), "\(message)")
        #expect(
            message.contains("Received: from localhost (user=\(ownName) via=local \"EHLO here\")\r\n"), "\(message)")
        #expect(message.contains("with ESMTP id"), "\(message)")
        #expect(try fixture.log().contains("user=\(ownName) uid=\(getuid()) via=local"))
    }

    @Test("it needs no login where others do, and is offered nothing that is for strangers")
    func offers() throws {
        let (fixture, path) = try fixture(
            ["MSA-mode", "smtp-auth", "AUTH-LOGIN-also-without-TLS", "enable-router", "no-VRFYcmd"],
            patterns: ["here 999 !no"])
        let (dialogue, lines) = try greeted(path)
        let words = lines.map { $0.dropFirst(4) }
        #expect(words.contains("VRFY") && words.contains("8BITMIME"))
        for word in ["AUTH", "STARTTLS", "ETRN", "XCLIENT"] {
            #expect(!words.contains { $0.hasPrefix(word) }, "\(lines)")
        }
        try dialogue.send("AUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@b.example>\r\n")
        try dialogue.expect("50")
        try dialogue.expect("250 ")
        withExtendedLifetime(fixture) {}
    }

    @Test("what the policy says of the sender holds, however often it is said that it needs no asking")
    func senders() throws {
        let (fixture, path) = try fixture { question in
            var answer = PolicyAnswer(number: question.number, verdict: .accept, reason: "script")
            answer.needless = [.helo, .mail]
            if question.verb == .mail, question.sender == "forged@b.example" {
                answer.verdict = .refuse
                answer.reply = Reply(553, EnhancedStatusCode(5, 7, 1), "not yours")
            }
            return answer
        }
        let (dialogue, _) = try greeted(path)
        try dialogue.send("MAIL FROM:<forged@b.example>\r\nMAIL FROM:<a@b.example>\r\n")
        try dialogue.expect("553 5.7.1 not yours")
        try dialogue.expect("250 ")
        withExtendedLifetime(fixture) {}
    }

    @Test("one account has so many sessions and no more; another one comes when one has ended")
    func limit() throws {
        let (fixture, path) = try fixture(["MaxSameIpSource 2"])
        do {
            let (first, _) = try greeted(path)
            let (second, _) = try greeted(path)
            let third = try Dialogue(path: path)
            try third.expect("421 4.7.0 mx.example.test too many simultaneous connections of uid \(getuid()) (3 max 2)")
            try third.expectEnd()
            // Others are not kept out by that.
            let network = try fixture.greeted()
            withExtendedLifetime((first, second, network)) {}
        }
        try eventually("a session is let in again") {
            let dialogue = try Dialogue(path: path)
            return try dialogue.line()?.hasPrefix("220 ") == true
        }
    }

    @Test("all accounts together have no more sessions than strangers may")
    func total() throws {
        let (fixture, path) = try fixture(["MaxParallelConnections 1"])
        let (first, _) = try greeted(path)
        let second = try Dialogue(path: path)
        try second.expect("421 4.7.0 mx.example.test too many simultaneous connections of this host's users (2 max 1)")
        try second.expectEnd()
        withExtendedLifetime((fixture, first)) {}
    }

    @Test("a uid without an account is told so, and is no account's")
    func nobody() throws {
        let (fixture, path) = try fixture(lookUp: { .success(LocalAccount(uid: $0)) })
        let dialogue = try Dialogue(path: path)
        try dialogue.expect("421 4.7.0 mx.example.test uid \(getuid()) has no account on this host")
        try dialogue.expectEnd()
        #expect(fixture.policy.questions.isEmpty)
    }

    @Test("a name service that does not answer ends the session, and one that fails too")
    func silentNameService() throws {
        let released = Mutex(false)
        var timeouts = Timeouts()
        timeouts.account = 1
        let (silent, path) = try fixture(
            timeouts: timeouts,
            lookUp: { uid in
                for _ in 0..<3000 where !released.withLock({ $0 }) { usleep(10_000) }
                return .success(LocalAccount(uid: uid, name: "late"))
            })
        let dialogue = try Dialogue(path: path)
        try dialogue.expect("421 4.3.0 mx.example.test cannot find out who you are")
        try dialogue.expectEnd()
        released.withLock { $0 = true }
        let (failing, other) = try fixture(lookUp: { _ in .failure(SystemAccount.Failure(code: EIO)) })
        try Dialogue(path: other).expect("421 4.3.0 mx.example.test cannot find out who you are")
        withExtendedLifetime((silent, failing)) {}
    }

    @Test("at a network socket nobody is an account, whatever it was made for")
    func network() throws {
        let fixture = try WorkerFixture(role: ListenerRole(service: .local, port: 0))
        let dialogue = try fixture.connect()
        try dialogue.expectEnd()
        #expect(fixture.policy.questions.isEmpty)
    }

    @Test("the socket's name is for everybody, and takes no file's place")
    func name() throws {
        let (fixture, path) = try fixture()
        var info = stat()
        #expect(lstat(path, &info) == 0 && info.st_mode == S_IFSOCK | 0o666)
        let file = "\(fixture.directory)/po/file"
        close(open(file, O_WRONLY | O_CREAT, 0o600))
        let error = #expect(throws: ListenError.self) { _ = try SubmissionSocket.listen(file, backlog: 16) }
        #expect(error?.description == "\(file) is there and no socket; remove it, or name another submission-socket")
        #expect(try SubmissionSocket.listen(path, backlog: 16) >= 0)
        withExtendedLifetime(fixture) {}
    }

    @Test(
        "the socket's folder is one that nobody else can change, nor any above it",
        arguments: [
            // The modes of a folder, of one in it, and of the folder of the socket in that.
            ([0o755, 0o755, 0o755], nil), ([0o700, 0o711, 0o750], nil), ([0o1777, 0o755, 0o755], nil),
            ([0o755, 0o755, 0o777], "/1/2 may be written by others (mode 777;"),
            ([0o755, 0o755, 0o775], "/1/2 may be written by others (mode 775;"),
            ([0o755, 0o755, 0o1777], "/1/2 may be written by others (mode 1777;"),
            ([0o755, 0o775, 0o755], "/1 may be written by others (mode 775;"),
            ([0o777, 0o755, 0o755], " may be written by others (mode 777;"),
        ] as [([mode_t], String?)])
    func folder(modes: [mode_t], problem: String?) throws {
        var template = Array("/tmp/zmf-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let top = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folders = [top, "\(top)/1", "\(top)/1/2"]
        defer {
            unlink("\(top)/link")
            unlink("\(top)/1/2/socket")
            for folder in folders.reversed() { rmdir(folder) }
        }
        for (folder, mode) in zip(folders, modes) {
            mkdir(folder, 0o700)
            try #require(chmod(folder, mode) == 0)
        }
        try #require(symlink("\(top)/1/2", "\(top)/link") == 0)
        for path in ["\(folders[2])/socket", "\(top)/link/socket"] {
            guard let problem else {
                close(try SubmissionSocket.listen(path, backlog: 16))
                continue
            }
            let error = #expect(throws: ListenError.self) { _ = try SubmissionSocket.listen(path, backlog: 16) }
            #expect(error?.description.contains("\(top)\(problem)") == true, "\(error?.description ?? "")")
        }
        guard problem == nil, geteuid() == 0 else { return }
        // Of a link its owner decides where it leads.
        try #require(lchown("\(top)/link", 1, 1) == 0)
        let link = #expect(throws: ListenError.self) { _ = try SubmissionSocket.listen("\(top)/link/s", backlog: 16) }
        #expect(link?.description.contains("\(top)/link belongs to uid 1") == true)
        try #require(chown(folders[1], 1, 1) == 0)
        let error = #expect(throws: ListenError.self) {
            _ = try SubmissionSocket.listen("\(folders[2])/socket", backlog: 16)
        }
        #expect(error?.description.contains("\(folders[1]) belongs to uid 1") == true)
    }

    @Test("a name that another server has taken is not removed")
    func taken() throws {
        let (fixture, path) = try fixture()
        let name = try #require(SubmissionSocket.Name(path))
        let other = try SubmissionSocket.listen(path, backlog: 16)
        name.remove()
        #expect(access(path, F_OK) == 0)
        SubmissionSocket.Name(path)?.remove()
        #expect(access(path, F_OK) != 0)
        close(other)
        withExtendedLifetime(fixture) {}
    }

    @Test(
        "a name that could not stand in a header is the number",
        arguments: [
            ("alice", "alice"), ("al.ice-1_x$", "al.ice-1_x$"), ("a b", "uid-7"), ("a)b", "uid-7"), ("a\"b", "uid-7"),
            ("", "uid-7"), ("ü", "uid-7"), ("a@b", "uid-7"), ("a\nb", "uid-7"),
        ])
    func names(name: String, expected: String) {
        #expect(LocalAccount(uid: 7, name: name).name == expected)
        #expect(LocalAccount(uid: 7).name == "uid-7")
    }
}
