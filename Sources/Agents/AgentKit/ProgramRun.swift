import ChildProcesses
import Glibc

/// Gives octets to a program on its standard input, takes its output and waits for its end, with limits on time, memory and what is
/// kept of the output. The program has a session of its own, so that all it has started can be ended with it.
public struct ProgramRun: Sendable {
    public struct Limits: Hashable, Sendable {
        /// From the start to the end of the program (600 s); then all of its process group is told to end.
        public var time = Duration.seconds(600)
        /// Octets of address space (2 GiB).
        public var memory: UInt64 = 2 << 30
        /// Between SIGTERM and SIGKILL (5 s).
        public var grace = Duration.seconds(5)

        public init() {}
    }

    public enum End: Hashable, Sendable {
        case exit(ChildProcess.Exit)
        /// It had to be ended.
        case timeOut
    }

    public struct Outcome: Hashable, Sendable {
        public let end: End
        /// The first line that is not empty of what it wrote to standard output or standard error: cleaned, at most 500 octets.
        public let firstLine: String
    }

    public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
        case start(SpawnError)
        case system(FileError)
        /// What it was to be given could not be read.
        case input(FileError)

        public var description: String {
            switch self {
            case .start(let error): error.description
            case .system(let error): error.description
            case .input(let error): "message file: \(error)"
            }
        }
    }

    /// Octets of the program's output that are kept, for its first line.
    private static let maximumOutput = 4096

    private let request: ChildRequest
    private let limits: Limits

    /// Of `request` the descriptors, the session and the memory limit are set here. A directory that cannot be entered is
    /// replaced by `/`.
    public init(_ request: ChildRequest, limits: Limits = Limits()) {
        self.request = request
        self.limits = limits
    }

    /// `next` gives the input piece by piece, `nil` at its end. A program that reads less than it is given is not at fault: its exit
    /// code says what that means.
    public func run(_ next: () throws(FileError) -> [UInt8]?) throws(Failure) -> Outcome {
        let input = try PipeEnds()
        let output = try PipeEnds()
        var request = request
        request.descriptors = [input.reader, output.writer, output.writer]
        request.startsSession = true
        request.memoryLimit = limits.memory
        // What it has read when we are killed must not look like the whole.
        request.parentDeathSignal = SIGKILL
        let child = try Self.start(request)
        input.closeReader()
        output.closeWriter()
        _ = fcntl(input.writer, F_SETFL, O_NONBLOCK)
        _ = fcntl(output.reader, F_SETFL, O_NONBLOCK)
        var talk = ProgramTalk(child: child, input: input, output: output, limit: Self.maximumOutput)
        let end = try talk.finish(limits, next)
        return Outcome(end: end, firstLine: talk.firstLine)
    }

    private static func start(_ request: ChildRequest) throws(Failure) -> ChildProcess {
        var request = request
        while true {
            do throws(SpawnError) { return try ChildProcess.spawn(request) } catch {
                guard [EACCES, ENOENT, ENOTDIR].contains(error.code), let directory = request.directory,
                    directory != "/"
                else { throw .start(error) }
                request.directory = "/"
            }
        }
    }
}

/// A pipe whose ends are closed one by one, and both at the end.
private final class PipeEnds {
    private(set) var reader: Int32
    private(set) var writer: Int32

    init() throws(ProgramRun.Failure) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system(FileError(call: "pipe", path: "a program", code: errno)) }
        reader = ends[0]
        writer = ends[1]
        // Between these calls another thread may start a program: spawning closes what it was not given.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    deinit {
        closeReader()
        closeWriter()
    }

    func closeReader() {
        if reader >= 0 { close(reader) }
        reader = -1
    }

    func closeWriter() {
        if writer >= 0 { close(writer) }
        writer = -1
    }
}

/// Feeds the program, takes its output, waits for its end: all at once, as it may do these in any order.
private struct ProgramTalk {
    let child: ChildProcess
    let input: PipeEnds
    let output: PipeEnds
    let limit: Int
    private var kept: [UInt8] = []
    private var pending: ArraySlice<UInt8> = []

    init(child: ChildProcess, input: PipeEnds, output: PipeEnds, limit: Int) {
        self.child = child
        self.input = input
        self.output = output
        self.limit = limit
    }

    mutating func finish(
        _ limits: ProgramRun.Limits, _ next: () throws(FileError) -> [UInt8]?
    ) throws(ProgramRun.Failure) -> ProgramRun.End {
        let deadline = ContinuousClock.now + limits.time
        while true {
            // Negative descriptors are passed over by poll(2).
            var entries = [
                pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: output.reader, events: Int16(POLLIN), revents: 0),
                pollfd(fd: input.writer, events: Int16(POLLOUT), revents: 0),
            ]
            let left = deadline - ContinuousClock.now
            guard left > .zero else {
                takeOutput()
                end(limits.grace)
                return .timeOut
            }
            let ready = poll(&entries, 3, 1 + Self.milliseconds(min(left, .seconds(3600))))
            if ready < 0, errno != EINTR {
                let code = errno
                end(limits.grace)
                throw .system(FileError(call: "poll", path: "a program", code: code))
            }
            guard ready > 0 else { continue }
            if entries[1].revents != 0 { takeOutput() }
            if entries[0].revents != 0, let exit = child.reap() {
                takeOutput()
                return .exit(exit)
            }
            guard entries[2].revents != 0 else { continue }
            do throws(FileError) { try feed(next) } catch {
                // Half a message must not be taken for one: its input ends only behind its death.
                kill()
                throw .input(error)
            }
        }
    }

    private static func milliseconds(_ time: Duration) -> Int32 {
        Int32(time.components.seconds * 1000 + time.components.attoseconds / 1_000_000_000_000_000)
    }

    private mutating func feed(_ next: () throws(FileError) -> [UInt8]?) throws(FileError) {
        while true {
            if pending.isEmpty {
                guard let piece = try next() else { return input.closeWriter() }
                pending = piece[...]
                if pending.isEmpty { continue }
            }
            let count = pending.withUnsafeBytes { write(input.writer, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { input.closeWriter() }
                return
            }
            pending = pending.dropFirst(count)
        }
    }

    /// What is there now; everything is read, the beginning kept.
    private mutating func takeOutput() {
        var buffer = [UInt8](repeating: 0, count: 16384)
        // One that floods us must not keep us from looking at the clock.
        for _ in 0..<16 where output.reader >= 0 {
            let count = read(output.reader, &buffer, buffer.count)
            if count > 0 {
                kept.append(contentsOf: buffer[..<min(count, limit - kept.count)])
            } else if count == 0 {
                output.closeReader()
            } else if errno != EINTR {
                return
            }
        }
    }

    /// TERM, then KILL, for the program and all of its session's group; afterwards it is reaped.
    private func end(_ grace: Duration) {
        Glibc.kill(-child.pid, SIGTERM)
        var entry = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, Self.milliseconds(grace))
        kill()
    }

    /// What it has started goes with it. Its pid, which names the group, is nobody else's while it is not reaped.
    private func kill() {
        Glibc.kill(-child.pid, SIGKILL)
        child.signal(SIGKILL)
        while child.wait(milliseconds: 1000) == nil {}
    }

    var firstLine: String {
        let line = kept.drop { $0 == 0x0a || $0 == 0x0d || $0 == 0x20 }.prefix { $0 != 0x0a && $0 != 0x0d }
        return ReportText.cleaned(String(decoding: line, as: UTF8.self), maximumLength: 500)
    }
}
