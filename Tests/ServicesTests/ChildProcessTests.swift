import CPosix
import ChildProcesses
import Glibc
import Testing

/// What a program wrote to its standard output, and how it ended.
private func output(
    _ path: String, _ arguments: [String] = [], environment: [String] = [],
    _ change: (inout ChildRequest) -> Void = { _ in }
) throws -> (text: String, exit: ChildProcess.Exit?) {
    var pipe: [Int32] = [-1, -1]
    try #require(cposix_pipe(&pipe) == 0)
    let null = cposix_open("/dev/null", O_RDWR, 0)
    defer { close(null) }
    var request = ChildRequest(
        path: path, arguments: arguments, environment: environment, descriptors: [null, pipe[1], null])
    change(&request)
    let child: ChildProcess
    do {
        child = try ChildProcess.spawn(request)
    } catch {
        close(pipe[0])
        close(pipe[1])
        throw error
    }
    close(pipe[1])
    let text = readAll(pipe[0])
    close(pipe[0])
    return (text, child.wait(milliseconds: 10_000))
}

@Suite("Child processes") struct ChildProcessTests {
    @Test("a child has the descriptors it was given and no other")
    func descriptors() throws {
        // Some more that must not reach it.
        let open = (0..<20).map { _ in dup(2) }
        defer { for fd in open { close(fd) } }
        // 3 is ls's own look at the directory.
        #expect(try output("/bin/ls", ["/proc/self/fd"]).text == "0\n1\n2\n3\n")
        let more = try output("/bin/ls", ["/proc/self/fd"]) { $0.descriptors += [open[0], open[1]] }
        #expect(more.text == "0\n1\n2\n3\n4\n5\n")
    }

    @Test("descriptors land in their places though each is in another's way")
    func permutation() throws {
        let folder = try ScratchFolder()
        for name in ["a", "b", "c"] { try folder.write(name, name) }
        let files = ["a", "b", "c"].map { cposix_open("\(folder.path)/\($0)", O_RDONLY, 0) }
        defer { for fd in files { close(fd) } }
        let result = try output("/bin/sh", ["-c", "cat <&3; cat <&4; cat <&5; cat <&6"]) {
            $0.descriptors += [files[2], files[1], files[0], files[2]]
        }
        // 3 and 6 share an offset.
        #expect(result.text == "cba")
    }

    @Test("the environment is exactly what was given", arguments: [[], ["A=1"], ["A=1", "B=x y", "LC_ALL=ü"]])
    func environment(entries: [String]) throws {
        let result = try output("/usr/bin/env", environment: entries)
        #expect(result.text == entries.map { "\($0)\n" }.joined())
        #expect(result.exit == .code(0))
    }

    @Test("arguments arrive as they are: no shell sees them")
    func arguments() throws {
        let result = try output("/usr/bin/printf", ["[%s]", "a b", "", "$HOME", "*", "`id`", "ü\n", "--"])
        #expect(result.text == "[a b][][$HOME][*][`id`][ü\n][--]")
    }

    @Test(
        "what cannot be started says why, and no child is left",
        arguments: [
            ("/nonexistent/program", ENOENT), ("/etc/passwd", EACCES), ("/tmp", EACCES), ("/etc/passwd/x", ENOTDIR),
            ("", ENOENT),
        ])
    func execFailure(path: String, code: Int32) throws {
        let error = try #require(throws: SpawnError.self) { try output(path) }
        #expect(error == SpawnError(path: path, code: code))
        #expect(error.description.contains("cannot start"))
    }

    @Test("a folder that is not there, a closed descriptor and too few of them are errors")
    func requestErrors() throws {
        #expect(
            try #require(throws: SpawnError.self) { try output("/bin/true") { $0.directory = "/nonexistent" } }.code
                == ENOENT)
        #expect(
            try #require(throws: SpawnError.self) { try output("/bin/true") { $0.descriptors[0] = 9999 } }.code == EBADF
        )
        #expect(
            try #require(throws: SpawnError.self) { try output("/bin/true") { $0.descriptors = [0] } }.code == EINVAL)
        #expect(
            try #require(throws: SpawnError.self) {
                try output("/bin/true") { $0.descriptors = [Int32](repeating: 2, count: 65) }
            }.code == EINVAL)
    }

    @Test(
        "how it ended is told",
        arguments: [
            ("exit 0", .code(0)), ("exit 7", .code(7)), ("exit 255", .code(255)), ("kill -9 $$", .signal(9)),
            ("kill -15 $$", .signal(15)),
            ("kill -13 $$", .signal(13)),
        ] as [(String, ChildProcess.Exit)])
    func exits(script: String, exit: ChildProcess.Exit) throws {
        #expect(try output("/bin/sh", ["-c", script]).exit == exit)
        #expect(!exit.description.isEmpty)
    }

    @Test("while it runs there is no exit; a signal ends it; the answer stays")
    func signals() throws {
        let child = try ChildProcess.spawn(ChildRequest(path: "/bin/sleep", arguments: ["60"]))
        #expect(child.reap() == nil)
        #expect(child.wait(milliseconds: 1) == nil)
        child.signal(SIGTERM)
        #expect(child.wait(milliseconds: 10_000) == .signal(SIGTERM))
        #expect(child.reap() == .signal(SIGTERM) && child.wait(milliseconds: 0) == .signal(SIGTERM))
        child.signal(SIGKILL)
    }

    @Test("signals are neither blocked nor ignored in it")
    func mask() throws {
        signal(SIGPIPE, SIG_IGN)
        var blocked = sigset_t()
        var old = sigset_t()
        sigemptyset(&blocked)
        sigaddset(&blocked, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &blocked, &old)
        defer { pthread_sigmask(SIG_SETMASK, &old, nil) }
        let status = try output("/bin/cat", ["/proc/self/status"]).text.split(separator: "\n")
        for name in ["SigBlk", "SigIgn", "SigPnd"] {
            #expect(status.first { $0.hasPrefix("\(name):") } == "\(name):\t0000000000000000")
        }
    }

    @Test("folder, session and memory limit are set")
    func settings() throws {
        let folder = try ScratchFolder()
        #expect(try output("/bin/pwd") { $0.directory = folder.path }.text == "\(folder.path)\n")
        #expect(try output("/bin/sh", ["-c", "ulimit -v"]) { $0.memoryLimit = 1 << 30 }.text == "1048576\n")
        let stat = try output("/bin/sh", ["-c", "cat /proc/$$/stat"]) { $0.startsSession = true }.text.split(
            separator: " ")
        #expect(stat.count > 5 && stat[0] == stat[5])
    }

    @Test("the child is told of its parent's death", arguments: [SIGTERM])
    func parentDeath(number: Int32) throws {
        // The thread that starts it is its parent in this respect.
        let folder = try ScratchFolder()
        let path = "\(folder.path)/pid"
        onThreads(1) { _ in
            var request = ChildRequest(
                path: "/bin/sh", arguments: ["-c", "echo $$ > \(path).new; mv \(path).new \(path); exec sleep 60"],
                environment: ["PATH=/bin:/usr/bin"])
            request.parentDeathSignal = number
            guard let child = try? ChildProcess.spawn(request) else { return }
            #expect(eventually { access(path, F_OK) == 0 })
            _ = child.reap()
        }
        let pid = try #require(folder.read("pid").flatMap { pid_t($0.dropLast()) })
        #expect(eventually { waitpid(pid, nil, WNOHANG) == pid })
    }

    @Test("it has the identity it was given and no other group", .enabled(if: geteuid() == 0))
    func identity() throws {
        let status = try output("/bin/cat", ["/proc/self/status"]) { $0.identity = .init(uid: 65534, gid: 65533) }
            .text.split(separator: "\n").map { $0.split(whereSeparator: { $0 == "\t" || $0 == " " }) }
        func line(_ name: String) -> [Substring] {
            Array(status.first { $0.first.map(String.init) == name }?.dropFirst() ?? [])
        }
        #expect(line("Uid:") == ["65534", "65534", "65534", "65534"])
        #expect(line("Gid:") == ["65533", "65533", "65533", "65533"])
        #expect(line("Groups:") == ["65533"])
        #expect(line("CapEff:") == ["0000000000000000"])
        // Ours is as before.
        #expect(geteuid() == 0 && getegid() == 0)
    }

    @Test("the own identity can be given without being root")
    func ownIdentity() throws {
        #expect(try output("/bin/true") { $0.identity = .init(uid: geteuid(), gid: getegid()) }.exit == .code(0))
    }

    @Test("two hundred children, from several threads, are all told apart")
    func many() throws {
        onThreads(8) { thread in
            var children: [(ChildProcess, Int32)] = []
            for number in 0..<25 {
                let code = Int32(thread * 25 + number)
                guard
                    let child = try? ChildProcess.spawn(
                        ChildRequest(path: "/bin/sh", arguments: ["-c", "exit \(code)"]))
                else {
                    Issue.record("not started")
                    continue
                }
                children.append((child, code))
            }
            for (child, code) in children { #expect(child.wait(milliseconds: 60_000) == .code(code)) }
        }
    }
}
