import Glibc
import MailModel
import Synchronization

/// A content filter's way with smtpserver (docs/contentfilters.md): `#hungry`, a path, an answer.
///
///     FilterProgram.run { job in
///         job.envelope.sender == "spam@example.net" ? FilterAnswer(.refuse(because: "no, thank you")) : .accept
///     }
public enum FilterProgram {
    /// Serves standard input and output until smtpserver has no more work, and ends the process.
    ///
    /// - Parameters:
    ///   - credits: messages at the same time, 1...64: `judge` is called by that many threads.
    ///   - judge: May block. If it throws there is no answer for the message, and smtpserver does with it what `PARAM
    ///     contentfilter-failure` says; the error's text is logged.
    public static func run(credits: Int = 1, judge: @escaping @Sendable (FilterJob) throws -> FilterAnswer) -> Never {
        signal(SIGPIPE, SIG_IGN)
        serve(credits: credits, judge: judge)
        exit(0)
    }

    /// The same on any descriptors, without ending the process: returns when the input has ended and all messages are answered.
    public static func serve(
        input: Int32 = STDIN_FILENO, output: Int32 = STDOUT_FILENO, log: Int32 = STDERR_FILENO, credits: Int = 1,
        judge: @escaping @Sendable (FilterJob) throws -> FilterAnswer
    ) {
        let service = FilterService(
            input: input, output: output, log: log, credits: min(max(credits, 1), 64), judge: judge)
        var threads: [pthread_t] = []
        for _ in 1..<service.credits {
            var thread = pthread_t()
            let body = Unmanaged.passRetained(service)
            let failure = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<FilterService>.fromOpaque(argument).takeRetainedValue().work()
                    return nil
                }, body.toOpaque())
            if failure == 0 {
                threads.append(thread)
            } else {
                // The threads there are do the work.
                body.release()
                break
            }
        }
        service.work()
        for thread in threads { pthread_join(thread, nil) }
    }
}

/// Input, output and log of a filter, shared by its threads. Each thread is a credit.
private final class FilterService: Sendable {
    let credits: Int
    private let input: Mutex<FilterInput>
    private let output: Mutex<Int32>
    private let log: Mutex<Int32>
    private let judge: @Sendable (FilterJob) throws -> FilterAnswer

    init(
        input: Int32, output: Int32, log: Int32, credits: Int,
        judge: @escaping @Sendable (FilterJob) throws -> FilterAnswer
    ) {
        self.input = Mutex(FilterInput(descriptor: input))
        self.output = Mutex(output)
        self.log = Mutex(log)
        self.credits = credits
        self.judge = judge
    }

    func work() {
        var answer = Array("#hungry\n".utf8)
        while output.withLock({ Self.write(answer, to: $0) }), let path = input.withLock({ $0.line() }) {
            answer = self.answer(path) + Array("#hungry\n".utf8)
        }
    }

    private func answer(_ path: String) -> [UInt8] {
        // ZMailer, which has one job for one filter, knows no such prefix.
        let prefix = credits > 1 ? path + " " : ""
        let id = FilterJob.id(ofPath: path)
        do {
            return try judge(try FilterJob(path: path)).lines(prefix: prefix, id: id)
        } catch {
            let reason = Octets.cleaned(String("\(error)".prefix(1000)))
            let line = Array("\(id): no answer: \(reason)\n".utf8)
            _ = log.withLock { Self.write(line, to: $0) }
            // Said for one message by "#hungry" itself, which ZMailer knows; for one of several it needs a word.
            return Array(
                (credits > 1 ? "\(prefix)# no answer: \(reason)\n\(prefix)#none\n" : "# \(id): no answer: \(reason)\n")
                    .utf8)
        }
    }

    private static func write(_ octets: [UInt8], to descriptor: Int32) -> Bool {
        octets.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count >= 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EAGAIN {
                    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&wait, 1, -1)
                } else if errno != EINTR {
                    return false
                }
            }
            return true
        }
    }
}

/// Lines of smtpserver.
private struct FilterInput: ~Copyable {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var hasEnded = false

    /// PATH_MAX.
    private static let maximumLine = 4096

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// The next line without its LF; `nil` at the end, where a line without LF is none.
    mutating func line() -> String? {
        while true {
            if let end = Octets.index(of: 0x0a, in: buffer[...]) {
                let line = Octets.text(buffer[..<end])
                buffer.removeFirst(end + 1)
                return line
            }
            guard !hasEnded, buffer.count < Self.maximumLine else { return nil }
            fill()
        }
    }

    private mutating func fill() {
        var part = [UInt8](repeating: 0, count: 4096)
        let count = part.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
            buffer.append(contentsOf: part[..<count])
        } else if count < 0, errno == EAGAIN {
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            poll(&wait, 1, -1)
        } else if count == 0 || errno != EINTR {
            hasEnded = true
        }
    }
}
