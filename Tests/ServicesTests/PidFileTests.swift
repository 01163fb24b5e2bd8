import CPosix
import ChildProcesses
import Glibc
import ProgramKit
import Testing

@Suite("Pid files") struct PidFileTests {
    @Test("the file holds the pid, and nobody else gets it meanwhile")
    func held() throws {
        let folder = try ScratchFolder()
        let path = "\(folder.path)/.pid.x"
        #expect(PidFile.holder(path) == nil)
        do {
            let file = try PidFile(path: path)
            #expect(folder.read(".pid.x") == "\(getpid())\n")
            #expect(PidFile.holder(path) == getpid())
            let error = try #require(throws: PidFile.Failure.self) { try PidFile(path: path) }
            guard case .held(path, getpid()) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(error.description.contains("\(getpid())"))
            #expect(file.path == path)
        }
        // A child that another test starts may keep the lock until its exec.
        #expect(eventually { PidFile.holder(path) == nil })
        // Left behind by a crash: a longer text is replaced whole.
        try folder.write(".pid.x", "99999999999999\njunk")
        let again = try PidFile.takeOver(path: path, milliseconds: 10_000).file
        #expect(folder.read(".pid.x") == "\(getpid())\n")
        again.remove()
        #expect(access(path, F_OK) != 0)
    }

    @Test("asking who holds a lock takes nothing")
    func asking() throws {
        let folder = try ScratchFolder()
        try folder.write("p", "1\n")
        let asking = cposix_open("\(folder.path)/p", O_RDONLY, 0)
        let holding = cposix_open("\(folder.path)/p", O_RDWR, 0)
        defer {
            close(asking)
            close(holding)
        }
        #expect(cposix_is_locked(asking) == 0)
        #expect(cposix_lock(holding) == 0)
        #expect(cposix_is_locked(asking) == 1)
        // One's own lock is in nobody's way.
        #expect(cposix_is_locked(holding) == 0)
        #expect(cposix_is_locked(-1) == -1)
    }

    @Test("a path that cannot be made is an error, and a link is not followed")
    func errors() throws {
        let folder = try ScratchFolder()
        let error = try #require(throws: PidFile.Failure.self) { try PidFile(path: "\(folder.path)/none/p") }
        guard case .system(_, ENOENT) = error else {
            Issue.record("\(error)")
            return
        }
        try folder.write("victim", "keep me")
        try #require(symlink("\(folder.path)/victim", "\(folder.path)/p") == 0)
        #expect(throws: PidFile.Failure.self) { try PidFile(path: "\(folder.path)/p") }
        #expect(folder.read("victim") == "keep me")
    }

    /// A process that holds the lock: it has the locked open file as its descriptor 3.
    private func holder(_ folder: ScratchFolder, _ script: String) throws -> ChildProcess {
        let fd = cposix_open("\(folder.path)/p", O_RDWR | O_CREAT, 0o600)
        try #require(fd >= 0 && cposix_lock(fd) == 0)
        defer { close(fd) }
        let child = try ChildProcess.spawn(
            ChildRequest(
                path: "/bin/sh", arguments: ["-c", script], environment: ["PATH=/bin:/usr/bin"],
                descriptors: [0, 1, 2, fd]))
        try folder.write("p", "\(child.pid)\n")
        return child
    }

    @Test("taking over ends the holder and gets the lock")
    func takeOver() throws {
        let folder = try ScratchFolder()
        let child = try holder(folder, "exec sleep 60")
        #expect(PidFile.holder("\(folder.path)/p") == child.pid)
        let (file, previous) = try PidFile.takeOver(path: "\(folder.path)/p", milliseconds: 10_000)
        #expect(previous == child.pid)
        #expect(child.wait(milliseconds: 10_000) == .signal(SIGTERM))
        #expect(PidFile.holder(file.path) == getpid())
    }

    @Test("a holder that does not let go keeps the file")
    func stubborn() throws {
        let folder = try ScratchFolder()
        let child = try holder(folder, "trap '' TERM; echo x > \(folder.path)/ready; while :; do sleep 0.05; done")
        #expect(eventually { access("\(folder.path)/ready", F_OK) == 0 })
        let error = try #require(throws: PidFile.Failure.self) {
            try PidFile.takeOver(path: "\(folder.path)/p", milliseconds: 200)
        }
        guard case .held(_, child.pid) = error else {
            Issue.record("\(error)")
            return
        }
        child.signal(SIGKILL)
        #expect(child.wait(milliseconds: 10_000) == .signal(SIGKILL))
        let (_, previous) = try PidFile.takeOver(path: "\(folder.path)/p", milliseconds: 10_000)
        #expect(previous == nil || previous == child.pid)
    }

    @Test("without a holder nothing is signalled")
    func free() throws {
        let folder = try ScratchFolder()
        try folder.write("p", "1\n")
        #expect(try PidFile.takeOver(path: "\(folder.path)/p", milliseconds: 10_000).previous == nil)
    }
}
