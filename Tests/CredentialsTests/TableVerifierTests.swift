import CPosix
import Glibc
import MailModel
import SASL
import Tables
import Testing

@testable import Credentials

@Suite("Passwords against a table") struct TableVerifierTests {
    private let folder: Scratch

    init() throws { folder = try Scratch() }

    private func checker(_ lines: [String], mode: mode_t = 0o600) throws -> CredentialChecker {
        var settings = CredentialSettings()
        settings.table = try folder.write("passwords", lines.map { "\($0)\n" }.joined(), mode: mode)
        settings.pamService = nil
        settings.saltKey = "\(folder.path)/key"
        return CredentialChecker(settings: settings)
    }

    @Test("the password behind a hash is accepted and no other", arguments: Sesame.crypt + [Sesame.scram])
    func hashes(hash: String) throws {
        let checker = try checker(["# users", "", "bob:*", "alice:\(hash)", "carol:!"])
        #expect(
            checker.verdict(on: password("alice", "sesame")) == CredentialVerdict(.accepted(canonicalName: nil), .table)
        )
        for wrong in ["sesam", "sesamE", "sesame ", "x", String(repeating: "sesame", count: 150)] {
            #expect(checker.verdict(on: password("alice", wrong)) == .refused(.table, "wrong password"))
        }
        for other in ["bob", "carol"] {
            #expect(checker.verdict(on: password(other, "sesame")) == .refused(.table, "locked"))
        }
        for unknown in ["Alice", "alic", "alice ", "al", "alice:x", "#", "# users"] {
            #expect(checker.verdict(on: password(unknown, "sesame")) == .refused(.table, "unknown user"))
        }
    }

    @Test(
        "what is no hash lets nobody in, not even whoever knows it",
        arguments: ["abnqrLigH.z/s", "sesame", "$9$a$b", "x"])
    func noHash(text: String) throws {
        let checker = try checker(["alice:\(text)"])
        for attempt in ["sesame", text] {
            let verdict = checker.verdict(on: password("alice", attempt))
            #expect(verdict.answer == .refused)
            #expect(verdict.detail.hasPrefix("\(folder.path)/passwords:1: alice: is no credential"))
            #expect(!verdict.detail.contains(text + " "))
        }
    }

    @Test("a user may have several lines; the keys of SCRAM count where there is no hash")
    func several() throws {
        let other = "$1$abc$W7kCoTBqOgbGEVkUyuOF/0"
        let both = try checker(["alice:\(other)", "bob:*", "alice:\(Sesame.crypt[0])"])
        #expect(both.verdict(on: password("alice", "sesame")).answer == .accepted(canonicalName: nil))
        let mixed = try checker(["alice:\(Sesame.scram)", "alice:\(other)"])
        #expect(mixed.verdict(on: password("alice", "sesame")).answer == .refused)
        let locked = try checker(["alice:*", "alice:\(Sesame.scram)"])
        #expect(locked.verdict(on: password("alice", "sesame")).answer == .accepted(canonicalName: nil))
    }

    @Test("a name that begins like somebody's line is not his")
    func borrowedName() throws {
        let checker = try checker(["alice:\(Sesame.scram)"])
        let verdict = checker.verdict(on: password("alice:{SCRAM-SHA-256}4096", "sesame"))
        #expect(verdict == .refused(.table, "unknown user"))
    }

    @Test("lines end as they like: CRLF, blanks, no end at all, a byte order mark in front")
    func lineEnds() throws {
        for text in [
            "alice:\(Sesame.crypt[0])", "alice:\(Sesame.crypt[0])\r\n", "\u{feff}alice:\(Sesame.crypt[0])  \n",
            "\n\nalice:\(Sesame.crypt[0])\n\n",
        ] {
            var settings = CredentialSettings()
            settings.table = try folder.write("passwords", text)
            settings.pamService = nil
            let verdict = CredentialChecker(settings: settings).verdict(on: password("alice", "sesame"))
            #expect(verdict.answer == .accepted(canonicalName: nil))
        }
    }

    @Test(
        "a table that others can read or change is not used, and it is said what would be right",
        arguments: [0o644, 0o604, 0o602, 0o620, 0o660, 0o641] as [mode_t])
    func modes(mode: mode_t) throws {
        let checker = try checker(["alice:\(Sesame.crypt[0])"], mode: mode)
        let verdict = checker.verdict(on: password("alice", "sesame"))
        guard case .unavailable(let reason) = verdict.answer else {
            Issue.record("used with mode \(String(mode, radix: 8))")
            return
        }
        #expect(reason.contains("chmod 0640") && reason.contains("0\(String(mode, radix: 8))"))
    }

    @Test("owner-only and group-readable are right", arguments: [0o600, 0o640, 0o400, 0o440] as [mode_t])
    func rightModes(mode: mode_t) throws {
        let checker = try checker(["alice:\(Sesame.crypt[0])"], mode: mode)
        #expect(checker.verdict(on: password("alice", "sesame")).answer == .accepted(canonicalName: nil))
    }

    @Test("a table of another user is not used", .enabled(if: geteuid() == 0))
    func owner() throws {
        let checker = try checker(["alice:\(Sesame.crypt[0])"])
        try #require(chown("\(folder.path)/passwords", 65534, 65534) == 0)
        let verdict = checker.verdict(on: password("alice", "sesame"))
        #expect(verdict.detail.contains("belongs to uid 65534"))
        #expect(verdict.answer == .unavailable(reason: verdict.detail))
    }

    @Test("a table in trouble is unavailable for everybody, and nobody else is asked instead")
    func trouble() throws {
        var settings = CredentialSettings()
        settings.saltKey = "\(folder.path)/key"
        settings.pipeProgram = "/bin/true"
        try #require(mkfifo("\(folder.path)/fifo", 0o600) == 0)
        try folder.write("long", String(repeating: "x", count: 300_000))
        try folder.write("no.gdbm", "alice:*\n")
        for table in ["missing", ".", "fifo", "long", "no.gdbm"] {
            settings.table = "\(folder.path)/\(table)"
            let checker = CredentialChecker(settings: settings)
            for question in [
                CredentialQuestion.password(user: name("alice"), secret("x")), .scramParameters(user: name("alice")),
                .scramProof(user: name("alice"), authMessage: [1], clientProof: [UInt8](repeating: 0, count: 32)),
            ] {
                let verdict = checker.verdict(on: CredentialRequest(client: nil, question))
                #expect(verdict.answer == .unavailable(reason: verdict.detail) && verdict.source == .table)
                #expect(verdict.detail.hasPrefix(settings.table ?? "-"), "\(verdict.detail)")
            }
        }
    }

    @Test("unknown and locked users take the time of known ones", arguments: ["nobody", "carol", "someone-else"])
    func timing(user: String) throws {
        let slow = "$6$rounds=100000$saltstring$x"
        let checker = try checker(["alice:\(slow)", "bob:\(slow)", "carol:*"])
        func cost(_ user: String) -> Int64 {
            var start = timespec()
            var end = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
            #expect(checker.verdict(on: password(user, "sesame")).answer == .refused)
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
            return Int64(end.tv_sec - start.tv_sec) * 1_000_000_000 + Int64(end.tv_nsec - start.tv_nsec)
        }
        let known = (0..<3).map { _ in cost("alice") }.min() ?? 0
        let other = (0..<3).map { _ in cost(user) }.min() ?? 0
        #expect(known > 1_000_000, "the hash of this test costs nothing")
        #expect(other * 2 > known && other < known * 2, "\(known) ns, \(other) ns")
    }

    @Test("100,000 lines are no burden, and the last user is found")
    func large() throws {
        let lines = (0..<100_000).map { "user\($0):\(Sesame.crypt[6])" } + ["alice:\(Sesame.crypt[0])"]
        let checker = try checker(lines)
        let start = cposix_monotonic_milliseconds()
        #expect(checker.verdict(on: password("alice", "sesame")).answer == .accepted(canonicalName: nil))
        // A limit for builds without optimization on a busy machine; it is 10 ms otherwise.
        #expect(cposix_monotonic_milliseconds() - start < 5000)
    }

    @Test("new hashes are yescrypt's, never the same, and fit their password")
    func new() throws {
        let one = try #require(CryptHash.make(secret("sesame")))
        let other = try #require(CryptHash.make(secret("sesame")))
        #expect(one.hasPrefix("$y$") && one != other)
        #expect(CryptHash.matches(secret("sesame"), one) && !CryptHash.matches(secret("sesamf"), one))
        #expect(CryptHash.make(secret(String(repeating: "x", count: 511))) != nil)
        #expect(CryptHash.make(secret(String(repeating: "x", count: 512))) == nil)
    }
}
