import CPosix
import Glibc
import MailModel
import ProgramKit
import SASL
import Telemetry
import Testing

@testable import Credentials

@Suite("The checker's connection") struct CheckerProcessTests {
    /// Serves one end of a socket pair on a thread.
    private final class Served: Sendable {
        let peer: Int32
        private let work: BackgroundWork<ExitCode>
        private let log: String

        init(_ settings: CredentialSettings, log: String) throws {
            var ends: [Int32] = [-1, -1]
            try #require(cposix_socketpair(&ends) == 0)
            peer = ends[0]
            let served = ends[1]
            self.log = log
            let events = try EventLog(program: "checker", destination: .file(log), level: .debug)
            work = BackgroundWork {
                defer { close(served) }
                return CredentialCheckerProcess.serve(served, settings, events)
            }
        }

        deinit { close(peer) }

        func send(_ octets: some Collection<UInt8>) throws {
            let octets = Array(octets)
            try #require(Glibc.send(peer, octets, octets.count, Int32(MSG_NOSIGNAL)) == octets.count)
        }

        /// What it answers until it closes.
        func answer() throws -> CredentialAnswer? {
            CredentialAnswer(line: try #require(Scratch.all(peer)))
        }

        func exitCode() -> ExitCode? {
            guard case .done(let code) = work.wait(milliseconds: 20_000) else { return nil }
            return code
        }
    }

    private let folder: Scratch
    private var settings = CredentialSettings()
    private var log: String { "\(folder.path)/log" }

    init() throws {
        folder = try Scratch()
        settings.table = try folder.write("passwords", "alice:\(Sesame.crypt[0])\n")
        settings.pamService = nil
        settings.deadline = 10
    }

    @Test("a question is answered once, and then it is over", arguments: [("sesame", true), ("sesamf", false)])
    func question(text: String, isAccepted: Bool) throws {
        let served = try Served(settings, log: log)
        try served.send(password("alice", text, from: "192.0.2.1").line)
        #expect(try served.answer() == (isAccepted ? .accepted(canonicalName: nil) : .refused))
        #expect(served.exitCode() == .ok)
        let lines = try #require(folder.read("log"))
        let expected = isAccepted ? #"result=accepted detail="""# : #"result=refused detail="wrong password""#
        #expect(lines.contains("info auth-check user=alice client=192.0.2.1 by=table \(expected)"), "\(lines)")
        #expect(!lines.contains(text))
    }

    @Test("a question may come octet by octet")
    func split() throws {
        let served = try Served(settings, log: log)
        for octet in password("alice", "sesame").line { try served.send([octet]) }
        #expect(try served.answer() == .accepted(canonicalName: nil))
    }

    @Test(
        "what is no question is answered with trouble, and nothing is verified",
        arguments: [
            "\n", "hello\n", "GET / HTTP/1.0\r\n\r\n", "password\t\tYWxpY2U=\tc2VzYW1l\nmore",
            "password\t\tYWxpY2U=\tc2VzYW1l\n\n", String(repeating: "x", count: 8193),
            String(repeating: "x", count: 100_000), "password\t\tYWxpY2U=\tc2VzYW1l\0\n",
        ])
    func garbage(text: String) throws {
        let served = try Served(settings, log: log)
        try served.send(text.utf8)
        let answer = try served.answer()
        // With octets left unread the connection is reset, which may overtake the answer.
        #expect(answer == .unavailable(reason: "that is no question of this protocol") || answer == nil)
        #expect(served.exitCode() == .protocol)
        #expect(folder.read("log")?.contains("auth-question reason=\"that is no question of this protocol\"") == true)
    }

    @Test("an end before a whole question is no question", arguments: [0, 1, 20])
    func cutOff(count: Int) throws {
        let served = try Served(settings, log: log)
        try served.send(password("alice", "sesame").line.prefix(count))
        try #require(shutdown(served.peer, Int32(SHUT_WR)) == 0)
        #expect(try served.answer() == nil)
        #expect(served.exitCode() == .noInput)
    }

    @Test("nobody waits for a question without end")
    func late() throws {
        let start = cposix_monotonic_milliseconds()
        let served = try Served(settings, log: log)
        try served.send(password("alice", "sesame").line.prefix(10))
        #expect(served.exitCode() == .noInput)
        #expect((4000...15_000).contains(cposix_monotonic_milliseconds() - start))
    }

    @Test("a verification that hangs is answered after its deadline", .timeLimit(.minutes(1)))
    func hangs() throws {
        var settings = settings
        settings.table = nil
        settings.pamService = "smtpauth-login"
        settings.pamDirectory = folder.path
        settings.deadline = 1
        let script = try folder.script("hang", "echo $$ >'\(folder.path)/pid'; exec sleep 300")
        try folder.write("smtpauth-login", "auth required pam_exec.so quiet \(script)\n")
        let served = try Served(settings, log: log)
        try served.send(password("alice", "sesame").line)
        #expect(try served.answer() == .unavailable(reason: "no answer within 6 s"))
        #expect(served.exitCode() == .temporaryFailure)
        // In a process of its own it would go with it.
        if let pid = folder.read("pid").flatMap({ pid_t($0.dropLast()) }) { kill(pid, SIGKILL) }
    }

    @Test("when nobody waits for the answer any more, it ends at once, with the program and what that has started")
    func hangUp() throws {
        var settings = settings
        settings.table = nil
        settings.pipeProgram = try folder.script(
            "slow", "sleep 300 & echo $! >'\(folder.path)/p'; mv '\(folder.path)/p' '\(folder.path)/pid'; sleep 300")
        var ends: [Int32] = [-1, -1]
        try #require(cposix_socketpair(&ends) == 0)
        let line = password("alice", "sesame").line
        try #require(write(ends[0], line, line.count) == line.count)
        let path = folder.path
        let peer = ends[0]
        // Gone when the program runs.
        let client = BackgroundWork {
            let isStarted = eventually { access("\(path)/pid", F_OK) == 0 }
            close(peer)
            return isStarted
        }
        let start = cposix_monotonic_milliseconds()
        let code = CredentialCheckerProcess.serve(
            ends[1], settings, try EventLog(program: "checker", destination: .file(log)))
        close(ends[1])
        #expect(code == .ioError)
        #expect(cposix_monotonic_milliseconds() - start < 5000)
        #expect(folder.read("log")?.contains("nobody waits") == true)
        guard case .done(true) = client.wait(milliseconds: 10_000) else {
            Issue.record("the program was not started")
            return
        }
        let pid = try #require(folder.read("pid").flatMap { pid_t($0.dropLast()) })
        #expect(eventually { !isRunning(pid) })
    }

    @Test("an asker that has no more to say but listens gets its answer")
    func halfClosed() throws {
        let served = try Served(settings, log: log)
        try served.send(password("alice", "sesame").line)
        try #require(shutdown(served.peer, Int32(SHUT_WR)) == 0)
        #expect(try served.answer() == .accepted(canonicalName: nil))
    }

    @Test("who is asked: the table about its users, then the program, else PAM")
    func order() throws {
        try folder.write("smtpauth-login", "auth required pam_permit.so\n")
        var settings = settings
        settings.pamService = "smtpauth-login"
        settings.pamDirectory = folder.path
        func source(_ user: String) -> CredentialVerdict.Source {
            CredentialChecker(settings: settings).verdict(on: password(user, "x")).source
        }
        #expect(source("alice") == .table && source("bob") == .pam)
        settings.pipeProgram = "/bin/true"
        #expect(source("alice") == .table && source("bob") == .pipe)
        settings.table = nil
        #expect(source("alice") == .pipe)
        settings.pipeProgram = nil
        #expect(source("alice") == .pam)
        settings.pamService = nil
        #expect(source("alice") == .none)
    }
}
