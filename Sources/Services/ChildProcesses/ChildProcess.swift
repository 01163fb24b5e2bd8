import CPosix
import Glibc
import Synchronization

/// A program to start.
public struct ChildRequest: Sendable {
    /// Absolute.
    public var path: String
    /// Without the program's own name.
    public var arguments: [String]
    /// `NAME=value`; nothing is inherited.
    public var environment: [String]
    public var directory: String?
    /// Descriptors 0, 1, 2, … of the child; all others are closed in it.
    public var descriptors: [Int32]
    /// Drop to this uid and gid (and no other group); `nil`: stay.
    public var identity: Identity?
    public var startsSession = false
    /// Sent to the child when the thread that started it ends; 0: none. Start such children from a thread that stays.
    public var parentDeathSignal: Int32 = 0
    /// Octets of address space, 0: unlimited.
    public var memoryLimit: UInt64 = 0
    /// Seconds of processor time, 0: unlimited. SIGXCPU then, and SIGKILL five seconds of it later.
    public var processorLimit: UInt64 = 0
    /// Octets of any file that it writes, 0: unlimited.
    public var fileLimit: UInt64 = 0

    public struct Identity: Hashable, Sendable {
        public var uid: uid_t
        public var gid: gid_t
        public init(uid: uid_t, gid: gid_t) {
            self.uid = uid
            self.gid = gid
        }
    }

    public init(path: String, arguments: [String], environment: [String] = [], descriptors: [Int32] = [0, 1, 2]) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.descriptors = descriptors
    }
}

public struct SpawnError: Error, Hashable, Sendable, CustomStringConvertible {
    public let path: String
    public let code: Int32

    public init(path: String, code: Int32) {
        self.path = path
        self.code = code
    }

    public var description: String { "cannot start \(path): \(String(cString: strerror(code)))" }
}

/// A running child, reaped through its pidfd; there is no SIGCHLD handler.
public final class ChildProcess: Sendable {
    public let pid: pid_t
    /// Readable when the child has ended. Owned by this object.
    public let descriptor: Int32
    /// The status can be had from the kernel once only.
    private let exit = Mutex<Exit?>(nil)

    public enum Exit: Hashable, Sendable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)
        public var description: String {
            switch self {
            case .code(let code): "exit code \(code)"
            case .signal(let signal): "signal \(signal)"
            }
        }
    }

    private init(pid: pid_t, descriptor: Int32) {
        self.pid = pid
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    public static func spawn(_ request: ChildRequest) throws(SpawnError) -> ChildProcess {
        var pid: pid_t = 0
        var descriptor: Int32 = -1
        var native = cposix_spawn()
        native.fd_count = Int32(request.descriptors.count)
        if let identity = request.identity {
            native.set_identity = 1
            native.uid = identity.uid
            native.gid = identity.gid
        }
        native.new_session = request.startsSession ? 1 : 0
        native.parent_death_signal = request.parentDeathSignal
        native.memory_limit = request.memoryLimit
        native.cpu_limit = request.processorLimit
        native.file_limit = request.fileLimit
        let error = withCStrings([request.path] + request.arguments) { argv in
            withCStrings(request.environment) { envp in
                request.descriptors.withUnsafeBufferPointer { descriptors in
                    native.path = UnsafePointer(argv[0])
                    native.argv = argv
                    native.envp = envp
                    native.fds = descriptors.baseAddress
                    guard let directory = request.directory else { return cposix_spawn(&native, &pid, &descriptor) }
                    return directory.withCString {
                        native.directory = $0
                        return cposix_spawn(&native, &pid, &descriptor)
                    }
                }
            }
        }
        guard error == 0 else { throw SpawnError(path: request.path, code: error) }
        return ChildProcess(pid: pid, descriptor: descriptor)
    }

    /// `nil` while it runs; the same answer each time once it has ended. A child whose status somebody else has taken
    /// (SIGCHLD ignored) counts as failed: exit code 70.
    public func reap() -> Exit? {
        exit.withLock { exit in
            if let exit { return exit }
            var status: Int32 = 0
            switch cposix_reap(descriptor, &status) {
            case 1: exit = status & 127 == 0 ? .code(status >> 8 & 255) : .signal(status & 127)
            case -1 where errno == ECHILD: exit = .code(70)
            default: break
            }
            return exit
        }
    }

    /// Waits until it has ended or `milliseconds` have passed.
    public func wait(milliseconds: Int32) -> Exit? {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let deadline = cposix_monotonic_milliseconds() + Int64(milliseconds)
        while true {
            let left = deadline - cposix_monotonic_milliseconds()
            let ready = poll(&entry, 1, Int32(max(0, left)))
            if ready > 0 { return reap() }
            if ready == 0 || errno != EINTR { return reap() }
        }
    }

    /// Reaches only this child, never a later process with its pid.
    public func signal(_ number: Int32) { _ = cposix_pidfd_signal(descriptor, number) }
}

private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("an array with a terminator is never empty") }
        return body(UnsafePointer(base))
    }
}
