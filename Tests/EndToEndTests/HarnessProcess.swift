import Foundation
import Glibc
import Synchronization

/// A real program in a process group of its own, its output in a file.
final class TestProcess {
    let pid: pid_t
    /// Standard output and standard error.
    let outputPath: String
    private(set) var exitStatus: ExitStatus?

    enum ExitStatus: Hashable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    /// Starts `program`. `environment` is added to ours. `descriptors` of ours become those of the keys there; 0 is over `input`.
    init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
        descriptors: [Int32: Int32] = [:], outputPath: String
    ) throws {
        self.outputPath = outputPath
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input ?? "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        for (theirs, ours) in descriptors { posix_spawn_file_actions_adddup2(&actions, ours, theirs) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
        posix_spawnattr_setflags(&attributes, Int16(flags))

        let merged = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        var arguments: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var pid: pid_t = 0
        let error = Descriptors.withoutSpawn { _ in
            posix_spawn(&pid, program, &actions, &attributes, &arguments, &variables)
        }
        guard error == 0 else { throw HarnessError("cannot start \(program): \(String(cString: strerror(error)))") }
        self.pid = pid
    }

    deinit {
        guard exitStatus == nil else { return }
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }

    var isRunning: Bool { poll() == nil }

    var output: String {
        (try? String(decoding: Data(contentsOf: URL(fileURLWithPath: outputPath)), as: UTF8.self)) ?? ""
    }

    /// The exit status if it has ended; reaps it.
    func poll() -> ExitStatus? {
        if let exitStatus { return exitStatus }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
        // WIFEXITED, WTERMSIG and the like are macros that Swift does not see.
        exitStatus = status & 0x7f == 0 ? .exited((status >> 8) & 0xff) : .killed(signal: status & 0x7f)
        return exitStatus
    }

    func signal(_ signal: Int32) { if isRunning { kill(pid, signal) } }

    @discardableResult
    func waitForExit(deadline: Duration = .seconds(60)) async throws -> ExitStatus {
        try await waitUntil("end of process \(pid)", deadline: deadline, details: { self.output }) {
            self.poll() != nil
        }
        guard let exitStatus else { throw HarnessError("process \(pid) has no status") }
        return exitStatus
    }

    func killGroup() {
        guard isRunning else { return }
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        exitStatus = .killed(signal: SIGKILL)
    }
}

/// Descriptors that no child inherits, although accept(2) gives them without the close-on-exec flag: nobody spawns between
/// accept and the flag.
enum Descriptors {
    private static let lock = Mutex(())

    static func withoutSpawn<Result>(_ body: (inout ()) -> Result) -> Result { lock.withLock { body(&$0) } }

    /// The next connection of `listener`; -1 when it is shut down.
    static func accept(_ listener: Int32) -> Int32 {
        while true {
            var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&entry, 1, -1) > 0 else {
                if errno == EINTR { continue }
                return -1
            }
            let client = withoutSpawn { _ in
                let client = Glibc.accept(listener, nil, nil)
                if client >= 0 { _ = fcntl(client, F_SETFD, FD_CLOEXEC) }
                return client
            }
            if client < 0, errno == EINTR || errno == ECONNABORTED { continue }
            return client
        }
    }
}

/// What /proc says of processes that belong to one instance.
enum ProcessTable {
    /// Living processes whose command line or environment names `marker` (an instance's folder): children that left
    /// the process group or lost their parent are found too.
    static func processes(naming marker: String) -> [(pid: pid_t, command: String)] {
        let needle = Data(marker.utf8)
        return pids().compactMap { pid in
            guard pid != getpid() else { return nil }
            let command = read("/proc/\(pid)/cmdline")
            // Empty: a zombie, or a thread of the kernel.
            guard !command.isEmpty else { return nil }
            guard command.range(of: needle) != nil || read("/proc/\(pid)/environ").range(of: needle) != nil else {
                return nil
            }
            let text = command.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
            return (pid, text)
        }
    }

    private static func pids() -> [pid_t] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }
    }

    private static func read(_ path: String) -> Data { FileManager.default.contents(atPath: path) ?? Data() }
}
