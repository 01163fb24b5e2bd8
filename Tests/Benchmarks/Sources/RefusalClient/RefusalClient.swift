import Glibc
import Synchronization

/// `RefusalClient PORT THREADS SESSIONS SECONDS RECIPIENTS_PER_SESSION PIPELINED(0|1) RECIPIENT`: so many sessions at a time on
/// each thread, one after the other, each with greeting, EHLO, MAIL, so many RCPTs, QUIT. Pipelined (RFC 2920): MAIL and all
/// RCPTs go out together. Prints `refused accepted broken seconds p50_us p99_us`; the latencies are from the first RCPT out to
/// the last reply in, per recipient.
@main
struct RefusalClient {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 8, let port = UInt16(arguments[1]), let threads = Int(arguments[2]),
            let sessions = Int(arguments[3]), let seconds = Double(arguments[4]), let perSession = Int(arguments[5]),
            (1...64).contains(threads), (1...64).contains(sessions), (0...120).contains(seconds),
            (1...1000).contains(perSession)
        else {
            print("usage: RefusalClient PORT THREADS SESSIONS SECONDS RECIPIENTS_PER_SESSION PIPELINED RECIPIENT")
            exit(64)
        }
        signal(SIGPIPE, SIG_IGN)
        let begin = now()
        let plan = Plan(
            port: port, sessions: sessions, end: begin + seconds, perSession: perSession,
            isPipelined: arguments[6] == "1", recipient: arguments[7])
        let handles = (0..<threads).map { _ in Worker.start(plan) }
        for handle in handles { pthread_join(handle, nil) }
        let elapsed = now() - begin
        var totals = Totals()
        Worker.results.withLock { results in
            for part in results {
                totals.refused += part.refused
                totals.accepted += part.accepted
                totals.broken += part.broken
                totals.latencies += part.latencies
            }
        }
        totals.latencies.sort()
        let count = totals.latencies.count
        let median = count == 0 ? 0 : totals.latencies[count / 2] * 1e6
        let high = count == 0 ? 0 : totals.latencies[min(count - 1, count * 99 / 100)] * 1e6
        print(totals.refused, totals.accepted, totals.broken, elapsed, Int(median), Int(high))
    }
}

struct Totals: Sendable {
    var refused = 0
    var accepted = 0
    var broken = 0
    var latencies: [Double] = []
}

struct Plan: Sendable {
    let port: UInt16
    let sessions: Int
    let end: Double
    let perSession: Int
    let isPipelined: Bool
    let recipient: String
}

func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// One connection; made anew when it is over.
struct Session {
    enum Step {
        case greeting, hello, mail, recipients, quit
    }
    var socket: Int32
    var step = Step.greeting
    var answered = 0
    var begun = 0.0
    /// The line being read.
    var line: [UInt8] = []
}

final class Worker {
    static let results = Mutex<[Totals]>([])

    private final class Box: Sendable {
        let plan: Plan
        init(_ plan: Plan) { self.plan = plan }
    }

    static func start(_ plan: Plan) -> pthread_t {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(plan))
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let worker = Worker(Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().plan)
                worker.run()
                Worker.results.withLock { $0.append(worker.totals) }
                return nil
            }, box.toOpaque())
        precondition(code == 0, "no thread")
        return thread
    }

    private let plan: Plan
    private let recipient: [UInt8]
    private let burst: [UInt8]
    private var totals = Totals()
    private var sessions: [Session] = []
    private var buffer = [UInt8](repeating: 0, count: 65536)

    private static let hello = Array("EHLO bench.test\r\n".utf8)
    private static let mail = Array("MAIL FROM:<a@sender.test>\r\n".utf8)
    private static let quit = Array("QUIT\r\n".utf8)

    private init(_ plan: Plan) {
        self.plan = plan
        recipient = Array("RCPT TO:<\(plan.recipient)>\r\n".utf8)
        burst = (0..<plan.perSession).reduce(into: Self.mail) { [recipient] octets, _ in octets += recipient }
    }

    private func run() {
        for _ in 0..<plan.sessions { if let session = open() { sessions.append(session) } }
        var polled = [pollfd](repeating: pollfd(), count: sessions.count)
        while now() < plan.end, !sessions.isEmpty {
            for index in sessions.indices {
                polled[index] = pollfd(fd: sessions[index].socket, events: Int16(POLLIN), revents: 0)
            }
            guard poll(&polled, nfds_t(sessions.count), 1000) > 0 else { continue }
            for index in sessions.indices where polled[index].revents != 0 {
                if advance(index) { continue }
                if sessions[index].step != .quit { totals.broken += 1 }
                close(sessions[index].socket)
                while now() < plan.end {
                    if let fresh = open() {
                        sessions[index] = fresh
                        break
                    }
                    totals.broken += 1
                }
            }
        }
        for session in sessions { close(session.socket) }
    }

    /// `false`: the session is over.
    private func advance(_ index: Int) -> Bool {
        let count = read(sessions[index].socket, &buffer, buffer.count)
        guard count > 0 else { return false }
        for octet in buffer[..<count] {
            guard octet == 0x0a else {
                sessions[index].line.append(octet)
                continue
            }
            let line = sessions[index].line
            sessions[index].line.removeAll(keepingCapacity: true)
            guard line.count >= 4 else { return false }
            if line[3] != UInt8(ascii: "-"), !take(index, Int(line[0]) - 48) { return false }
        }
        return true
    }

    /// A whole reply by the first digit of its code; `false`: the session is over.
    private func take(_ index: Int, _ digit: Int) -> Bool {
        let socket = sessions[index].socket
        switch sessions[index].step {
        case .greeting:
            sessions[index].step = .hello
            return digit == 2 && send(socket, Self.hello)
        case .hello:
            sessions[index].step = .mail
            sessions[index].begun = now()
            return digit == 2 && send(socket, plan.isPipelined ? burst : Self.mail)
        case .mail:
            sessions[index].step = .recipients
            guard digit == 2 else { return false }
            if plan.isPipelined { return true }
            sessions[index].begun = now()
            return send(socket, recipient)
        case .recipients:
            switch digit {
            case 5: totals.refused += 1
            case 2: totals.accepted += 1
            default: return false
            }
            sessions[index].answered += 1
            if sessions[index].answered < plan.perSession { return plan.isPipelined || send(socket, recipient) }
            totals.latencies.append((now() - sessions[index].begun) / Double(plan.perSession))
            sessions[index].step = .quit
            return send(socket, Self.quit)
        case .quit:
            return false
        }
    }

    private func open() -> Session? {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var one: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = plan.port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else {
            close(socket)
            return nil
        }
        return Session(socket: socket)
    }

    private func send(_ socket: Int32, _ octets: [UInt8]) -> Bool {
        // What is sent is far below the socket's buffer.
        octets.withUnsafeBytes { write(socket, $0.baseAddress, $0.count) } == octets.count
    }
}
