import AgentKit
import AgentProtocol
import ChildProcesses
import Glibc
import ProgramKit
import SpoolFormat

/// Gives a message to a program on its standard input and waits for its end, with a limit on time and memory.
struct CommandDelivery {
    let command: CommandText
    let environment: [String]
    /// `nil`: the agent's own.
    let identity: ChildRequest.Identity?
    let directory: String
    let limits: Limits

    struct Limits: Hashable, Sendable {
        /// From the start to the end of the program; then it is told to end, and killed five seconds later.
        var time = Duration.seconds(600)
        /// Octets of address space.
        var memory: UInt64 = 2 << 30
        /// Seconds of processor time.
        var processor: UInt64 = 300
        /// Octets of a file that it writes.
        var file: UInt64 = 1 << 30
        /// Between SIGTERM and SIGKILL.
        var grace = Duration.seconds(5)
    }

    /// Octets of the program's output that are kept, for its first line.
    private static let maximumOutput = 4096

    func run(_ copy: LocalCopy) throws(DeliveryProblem) -> RecipientResult {
        let input = try Pipe()
        let output = try Pipe()
        var request = ChildRequest(
            path: command.path, arguments: command.arguments, environment: environment,
            descriptors: [input.reader, output.writer, output.writer])
        request.identity = identity
        request.directory = directory
        request.startsSession = true
        request.memoryLimit = limits.memory
        request.processorLimit = limits.processor
        request.fileLimit = limits.file
        // What it has read of a message when we are killed must not look like the whole.
        request.parentDeathSignal = SIGKILL
        let child = try Self.start(request)
        input.closeReader()
        output.closeWriter()
        _ = fcntl(input.writer, F_SETFL, O_NONBLOCK)
        _ = fcntl(output.reader, F_SETFL, O_NONBLOCK)
        var conversation = Conversation(child: child, input: input, output: output, limit: Self.maximumOutput)
        let exit = try conversation.finish(copy, limits)
        return Self.result(exit, output: conversation.firstLine)
    }

    private static func start(_ request: ChildRequest) throws(DeliveryProblem) -> ChildProcess {
        var request = request
        while true {
            do throws(SpawnError) { return try ChildProcess.spawn(request) } catch {
                // The owner may not enter the home directory that the account has.
                guard [EACCES, ENOENT, ENOTDIR].contains(error.code), request.directory != "/" else {
                    throw .temporary("4.3.0", error.description)
                }
                request.directory = "/"
            }
        }
    }

    private static func result(_ exit: ChildProcess.Exit?, output: String) -> RecipientResult {
        guard let exit else {
            return DeliveryProblem.temporary("4.3.0", "the program took too long and was ended").result
        }
        switch exit {
        case .code(0):
            return RecipientResult(
                .ok, .delivered, status: "2.2.0", text: output.isEmpty ? "delivered to a program" : output,
                diagnostic: "x-local; 250 2.2.0 (Delivered successfully)")
        case .signal(let number):
            return DeliveryProblem.temporary("4.3.0", "the program was killed by signal \(number)").result
        case .code(let code):
            let text = output.isEmpty ? "the program ended with exit code \(code)" : output
            guard let status = permanentStatus(code) else {
                return DeliveryProblem.temporary("4.3.0", text).result
            }
            return DeliveryProblem.refused(status, text).result
        }
    }

    /// Of transport-agents.md §3; every other code is tried again.
    private static func permanentStatus(_ code: Int32) -> String? {
        switch ExitCode(rawValue: code) {
        case .noUser: "5.1.1"
        case .noHost: "5.1.2"
        case .dataError: "5.6.0"
        case .noPermission: "5.7.1"
        case .unavailable: "5.3.0"
        case .ok, .usage, .noInput, .software, .osError, .osFile, .cannotCreate, .ioError, .temporaryFailure, .protocol,
            .configuration, nil:
            nil
        }
    }
}

/// A pipe whose ends are closed one by one, and both at the end.
private final class Pipe {
    private(set) var reader: Int32
    private(set) var writer: Int32

    init() throws(DeliveryProblem) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .temporary("4.3.0", "pipe: \(String(cString: strerror(errno)))") }
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
private struct Conversation {
    let child: ChildProcess
    let input: Pipe
    let output: Pipe
    let limit: Int
    private var kept: [UInt8] = []
    private var pending = UnsafeRawBufferPointer(start: nil, count: 0)

    init(child: ChildProcess, input: Pipe, output: Pipe, limit: Int) {
        self.child = child
        self.input = input
        self.output = output
        self.limit = limit
    }

    /// `nil`: it had to be ended for taking too long.
    mutating func finish(_ copy: LocalCopy, _ limits: CommandDelivery.Limits) throws(DeliveryProblem) -> ChildProcess
        .Exit?
    {
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
                end(limits.grace)
                return nil
            }
            let milliseconds =
                min(left.components.seconds, 3600) * 1000 + 1 + left.components.attoseconds / 1_000_000_000_000_000
            let ready = poll(&entries, 3, Int32(milliseconds))
            if ready < 0, errno != EINTR {
                let code = errno
                end(limits.grace)
                throw .system("poll", "a program", code)
            }
            guard ready > 0 else { continue }
            if entries[1].revents != 0 { takeOutput() }
            if entries[0].revents != 0, let exit = child.reap() {
                takeOutput()
                return exit
            }
            if entries[2].revents != 0 {
                do throws(DeliveryProblem) { try feed(copy) } catch {
                    end(limits.grace)
                    throw error
                }
            }
        }
    }

    private mutating func feed(_ copy: LocalCopy) throws(DeliveryProblem) {
        while true {
            if pending.isEmpty {
                guard let piece = try copy.piece() else { return input.closeWriter() }
                pending = piece
            }
            let count = write(input.writer, pending.baseAddress, pending.count)
            if count < 0 {
                if errno == EINTR { continue }
                // It needs no more than it has read: its exit code says what that means.
                if errno != EAGAIN { input.closeWriter() }
                return
            }
            pending = UnsafeRawBufferPointer(rebasing: pending[count...])
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
        // The pid cannot have been given to anybody else while the child is not reaped.
        kill(-child.pid, SIGTERM)
        var entry = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
        poll(
            &entry, 1,
            Int32(grace.components.seconds * 1000 + grace.components.attoseconds / 1_000_000_000_000_000))
        // What it has started goes with it, also if it has ended already.
        kill(-child.pid, SIGKILL)
        child.signal(SIGKILL)
        while child.wait(milliseconds: 1000) == nil {}
    }

    var firstLine: String {
        let line = kept.drop { $0 == 0x0a || $0 == 0x0d || $0 == 0x20 }.prefix { $0 != 0x0a && $0 != 0x0d }
        return ReportText.cleaned(String(decoding: line, as: UTF8.self), maximumLength: 500)
    }
}
