import CPosix
import Glibc
import SASL
import Testing

@testable import Credentials

@Suite("SMTP-auth-pipe") struct PipeVerifierTests {
    private let folder: Scratch

    init() throws { folder = try Scratch() }

    private func verdict(
        _ script: String, user: String = "alice", _ text: String = "sesame", deadline: Int = 10
    ) throws -> CredentialVerdict {
        var settings = CredentialSettings(zconfig: "/etc/z.conf", path: "/usr/bin:/bin")
        settings.pipeProgram = try folder.script("program", script)
        settings.deadline = deadline
        return CredentialChecker(settings: settings).verdict(on: password(user, text))
    }

    private static let compare = #"read -r p; [ "$#:$1:$p" = "1:alice:sesame" ]"#

    @Test(
        "the program gets the name as its only argument, the password and LF on standard input, and decides by its exit code"
    )
    func decides() throws {
        #expect(try verdict(Self.compare) == .accepted(.pipe))
        #expect(try verdict(Self.compare, "sesamf") == .refused(.pipe, "exit code 1"))
        #expect(try verdict(Self.compare, user: "bob") == .refused(.pipe, "exit code 1"))
        #expect(try verdict("cat >'\(folder.path)/input'") == .accepted(.pipe))
        #expect(folder.read("input") == "sesame\n")
        #expect(try verdict(#"[ "$1" = "a b;\$(id)'" ]"#, user: "a b;$(id)'") == .accepted(.pipe))
    }

    @Test(
        "what an exit code means",
        arguments: [
            ("exit 0", .accepted(canonicalName: nil)), ("exit 1", .refused), ("exit 64", .refused),
            ("exit 77", .refused), ("exit 127", .refused), ("exit 255", .refused),
            ("exit 75", .unavailable(reason: "PROGRAM says: not now")),
            ("echo no LDAP; exit 75", .unavailable(reason: "no LDAP")),
            ("kill -9 $$", .unavailable(reason: "PROGRAM was ended by signal 9")),
            ("kill -15 $$", .unavailable(reason: "PROGRAM was ended by signal 15")),
        ] as [(String, CredentialAnswer)])
    func exitCodes(script: String, expected: CredentialAnswer) throws {
        var expected = expected
        if case .unavailable(let reason) = expected {
            expected = .unavailable(reason: reason.replacing("PROGRAM", with: "\(folder.path)/program"))
        }
        let verdict = try verdict(script)
        #expect(verdict.answer == expected && verdict.source == .pipe)
    }

    @Test(
        "the first line that it writes, on whichever output, is for the log: cleaned, and of bounded length",
        arguments: [
            ("echo welcome; echo more", "welcome"), ("echo oops >&2; exit 1", "oops"),
            (#"printf 'a\tb\033[1mc\r\nd\n'"#, "a b [1mc"), ("printf 'no end'", "no end"),
            ("printf '\\n\\n x\\n'", "x"),
            (#"printf '\377\376'"#, "\u{fffd}\u{fffd}"),
            ("head -c 1000 /dev/zero | tr '\\0' x", String(repeating: "x", count: 300)),
        ])
    func output(script: String, detail: String) throws {
        #expect(try verdict(script).detail == detail)
    }

    @Test("it has these variables and no others, these descriptors and no others, and is in the root folder")
    func surroundings() throws {
        let script =
            "/usr/bin/env >'\(folder.path)/env'; ls /proc/self/fd >'\(folder.path)/fds'; pwd >'\(folder.path)/pwd'"
        #expect(try verdict(script).answer == .accepted(canonicalName: nil))
        let lines = (folder.read("env") ?? "").split(separator: "\n").map(String.init)
        let names = Set(lines.compactMap { $0.split(separator: "=").first.map(String.init) })
        // The shell adds PWD, OLDPWD and _; TZ is there if the tests have one.
        #expect(names.subtracting(["PWD", "OLDPWD", "SHLVL", "_", "TZ", "IFS"]) == ["SHELL", "PATH", "ZCONFIG"])
        #expect(lines.contains("ZCONFIG=/etc/z.conf") && lines.contains("PATH=/usr/bin:/bin"))
        // 3 is ls's own look at the folder.
        #expect(folder.read("fds") == "0\n1\n2\n3\n")
        #expect(folder.read("pwd") == "/\n")
    }

    @Test("the password is in no command line and no environment, neither the program's nor ours")
    func commandLine() throws {
        let script = """
            for p in $$ $PPID; do cat /proc/$p/cmdline /proc/$p/environ; done >'\(folder.path)/seen'
            """
        let text = "Zq8-very-secret-Zq8"
        #expect(try verdict(script, text) == .accepted(.pipe))
        let seen = try #require(folder.read("seen"))
        #expect(seen.contains("program\0alice\0") && !seen.contains("Zq8"))
    }

    @Test("one that hangs is killed at its deadline, with what it has started")
    func hangs() throws {
        let start = cposix_monotonic_milliseconds()
        let script = "sleep 300 & echo $! >'\(folder.path)/pid'; echo waiting; sleep 300"
        let verdict = try verdict(script, deadline: 1)
        #expect(verdict == .unavailable(.pipe, "\(folder.path)/program took longer than 1 s"))
        #expect((900...8000).contains(cposix_monotonic_milliseconds() - start))
        let pid = try #require(folder.read("pid").flatMap { pid_t($0.dropLast()) })
        #expect(eventually { !isRunning(pid) })
    }

    @Test("what it leaves running is ended with it, and nobody waits for it")
    func grandchild() throws {
        let start = cposix_monotonic_milliseconds()
        let verdict = try verdict("sleep 300 & echo $! >'\(folder.path)/pid'; echo done; exit 0")
        #expect(verdict == .accepted(.pipe, "done"))
        #expect(cposix_monotonic_milliseconds() - start < 8000)
        let pid = try #require(folder.read("pid").flatMap { pid_t($0.dropLast()) })
        #expect(eventually { !isRunning(pid) })
    }

    @Test("one that floods its output ends all the same")
    func floods() throws {
        let script = "head -c 20000000 /dev/zero | tr '\\0' y; exit 3"
        let verdict = try verdict(script)
        #expect(verdict == .refused(.pipe, String(repeating: "y", count: 300)))
    }

    @Test("one that never stops writing is killed at its deadline")
    func endlessFlood() throws {
        let verdict = try verdict("exec yes", deadline: 1)
        #expect(verdict.detail.hasSuffix("took longer than 1 s"))
    }

    @Test("one that closes its output, or does not read its input, is heard by its exit code")
    func closes() throws {
        #expect(try verdict("exec >&- 2>&- <&-; exit 0") == .accepted(.pipe))
        #expect(try verdict("exec >&- 2>&-; sleep 0.2; exit 4") == .refused(.pipe, "exit code 4"))
    }

    @Test("a name like an option, and a password of two lines, do not get to the program")
    func dangerousInput() throws {
        let script = "touch '\(folder.path)/started'"
        #expect(try verdict(script, user: "-x").answer == .refused)
        #expect(try verdict(script, "sesame\nmore").answer == .refused)
        #expect(folder.read("started") == nil)
    }

    @Test("a program that cannot be started, or that anybody can change, is unavailable, and it is said why")
    func cannotStart() throws {
        var settings = CredentialSettings()
        try folder.write("plain", "x", mode: 0o644)
        try folder.write("empty", "", mode: 0o755)
        try folder.write("interpreter", "#!/no/such/thing\n", mode: 0o755)
        try folder.write("writable", "#!/bin/sh\nexit 0\n", mode: 0o757)
        for program in ["missing", "plain", "empty", "interpreter", "writable", "."] {
            settings.pipeProgram = "\(folder.path)/\(program)"
            let verdict = CredentialChecker(settings: settings).verdict(on: password("alice", "sesame"))
            #expect(verdict.answer == .unavailable(reason: verdict.detail) && verdict.source == .pipe, "\(program)")
            #expect(verdict.detail.contains("\(folder.path)/\(program)"))
        }
    }
}
