import CPosix
import Glibc
import SASL
import Testing

@testable import Credentials

@Suite("zmailer password") struct PasswordCommandTests {
    @Test(
        "a line is what the checker takes, for every kind",
        arguments: [PasswordLine.Kind.crypt, .scram(iterations: 4096)])
    func line(kind: PasswordLine.Kind) throws {
        let folder = try Scratch()
        let line = try PasswordLine.make(secret("Größe 7"), kind, user: "jörg@example.org")
        var settings = CredentialSettings()
        settings.table = try folder.write("passwords", line + "\n")
        settings.pamService = nil
        let checker = CredentialChecker(settings: settings)
        #expect(checker.verdict(on: password("jörg@example.org", "Größe 7")).answer == .accepted(canonicalName: nil))
        #expect(checker.verdict(on: password("jörg@example.org", "Größe 8")).answer == .refused)
        #expect(try PasswordLine.make(secret("Größe 7"), kind, user: "jörg@example.org") != line)
        let bare = try PasswordLine.make(secret("x"), kind, user: nil)
        #expect(StoredCredential(bare.utf8)?.text == bare)
        withExtendedLifetime(folder) {}
    }

    @Test("names that a line cannot hold are refused", arguments: ["", "a:b", " a", "a ", "#a", "a\nb", "a\u{200b}"])
    func names(user: String) {
        #expect(throws: PasswordLine.Mistake.userName) { try PasswordLine.make(secret("x"), .crypt, user: user) }
    }

    @Test("what cannot work later is refused now")
    func passwords() {
        let long = secret(String(repeating: "x", count: 512))
        #expect(throws: PasswordLine.Mistake.tooLongForCrypt) { try PasswordLine.make(long, .crypt, user: nil) }
        #expect(throws: Never.self) { try PasswordLine.make(long, .scram(iterations: 4096), user: nil) }
        for text in ["cafe\u{301}", "ﬁ", "😀"] {
            #expect(throws: PasswordLine.Mistake.notStable) {
                try PasswordLine.make(secret(text), .scram(iterations: 4096), user: nil)
            }
            #expect(throws: Never.self) { try PasswordLine.make(secret(text), .crypt, user: nil) }
        }
        #expect(throws: PasswordLine.Mistake.notStable) {
            try PasswordLine.make(Secret([0xff]), .scram(iterations: 4096), user: nil)
        }
        #expect(throws: PasswordLine.Mistake.iterations(4095)) {
            try PasswordLine.make(secret("x"), .scram(iterations: 4095), user: nil)
        }
    }

    /// What is read of a pipe with that content.
    private func piped(_ text: String) throws -> Result<Secret, PasswordInput.Trouble> {
        var ends: [Int32] = [-1, -1]
        try #require(cposix_pipe(&ends) == 0)
        defer { close(ends[0]) }
        let octets = Array(text.utf8)
        try #require(write(ends[1], octets, octets.count) == octets.count)
        close(ends[1])
        return Result { () throws(PasswordInput.Trouble) in
            try PasswordInput(descriptor: ends[0], prompts: -1).password()
        }
    }

    @Test("without a terminal it is the first line, with its end or without")
    func pipes() throws {
        for text in ["sesame", "sesame\n", "sesame\r\n", "sesame\nmore\n"] {
            #expect(try piped(text) == .success(secret("sesame")))
        }
        #expect(
            try piped(String(repeating: "x", count: 1024) + "\n")
                == .success(secret(String(repeating: "x", count: 1024))))
        for (text, trouble) in [
            ("", .empty), ("\n", .empty), ("\r\n", .empty), ("ses\u{1b}ame", .controlCharacter),
            ("a\tb", .controlCharacter),
            ("a\0b", .controlCharacter), (String(repeating: "x", count: 1025), .tooLong),
            (String(repeating: "x", count: 5000), .tooLong),
        ] as [(String, PasswordInput.Trouble)] {
            #expect(try piped(text) == .failure(trouble))
        }
    }

    /// A terminal, and what a user at its other end types after each prompt.
    private func typed(_ lines: [String]) throws -> (Result<Secret, PasswordInput.Trouble>, shown: String, echoes: Bool)
    {
        let master = cposix_open("/dev/ptmx", O_RDWR | O_NOCTTY, 0)
        try #require(master >= 0)
        defer { close(master) }
        // Swift does not see unlockpt(3) and ptsname(3): TIOCSPTLCK and TIOCGPTN.
        var lock: Int32 = 0
        var number: Int32 = -1
        try #require(ioctl(master, 0x4004_5431, &lock) == 0 && ioctl(master, 0x8004_5430, &number) == 0)
        let slave = cposix_open("/dev/pts/\(number)", O_RDWR | O_NOCTTY, 0)
        try #require(slave >= 0)
        defer { close(slave) }
        let work = BackgroundWork {
            Result { () throws(PasswordInput.Trouble) in
                try PasswordInput(descriptor: slave, prompts: slave).password()
            }
        }
        var shown: [UInt8] = []
        for (index, line) in lines.enumerated() {
            // Before the prompt nothing is typed, as it would be thrown away.
            let prompt = ["Password: ", "Once more: "][index]
            try #require(eventually { Self.drain(master, into: &shown).hasSuffix(prompt) })
            try #require(write(master, line, line.utf8.count) == line.utf8.count)
        }
        guard case .done(let result) = work.wait(milliseconds: 10_000) else {
            throw CheckerConnection.Trouble.late
        }
        // The terminal passes on what was written when it likes.
        #expect(eventually { Self.drain(master, into: &shown).hasSuffix("\r\n") })
        var settings = termios()
        try #require(tcgetattr(slave, &settings) == 0)
        return (result, String(decoding: shown, as: UTF8.self), settings.c_lflag & tcflag_t(ECHO) != 0)
    }

    private static func drain(_ master: Int32, into shown: inout [UInt8]) -> String {
        var buffer = [UInt8](repeating: 0, count: 1024)
        var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, 0) == 1, entry.revents & Int16(POLLIN) != 0 {
            let count = read(master, &buffer, buffer.count)
            guard count > 0 else { break }
            shown += buffer[..<count]
        }
        return String(decoding: shown, as: UTF8.self)
    }

    @Test("at a terminal the password is asked for twice and not shown, and afterwards typing shows again")
    func terminal() throws {
        let (same, shown, echoes) = try typed(["sesame\n", "sesame\n"])
        #expect(same == .success(secret("sesame")))
        #expect(shown == "Password: \r\nOnce more: \r\n" && echoes)
        let (different, _, echoesThen) = try typed(["sesame\n", "sesamf\n"])
        #expect(different == .failure(.different) && echoesThen)
        let (empty, _, echoesToo) = try typed(["\n"])
        #expect(empty == .failure(.empty) && echoesToo)
    }
}
