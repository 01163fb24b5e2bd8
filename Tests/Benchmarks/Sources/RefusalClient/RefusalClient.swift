import Glibc
import Synchronization

/// `RefusalClient PORT THREADS SECONDS RECIPIENTS_PER_SESSION PIPELINED(0|1) RECIPIENT`: sessions one after the other on each
/// thread, each with greeting, EHLO, MAIL, so many RCPTs, QUIT. Pipelined (RFC 2920): MAIL and all RCPTs go out together.
/// Prints `refused accepted broken seconds p50_us p99_us`; the latencies are from the first RCPT out to the last reply in, per
/// recipient.
@main
struct RefusalClient {
    struct Totals: Sendable {
        var refused = 0
        var accepted = 0
        var broken = 0
        var latencies: [Double] = []
    }

    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 7, let port = UInt16(arguments[1]), let threads = Int(arguments[2]),
            let seconds = Double(arguments[3]), let perSession = Int(arguments[4]), (1...256).contains(threads),
            (0...120).contains(seconds), (1...1000).contains(perSession)
        else {
            print("usage: RefusalClient PORT THREADS SECONDS RECIPIENTS_PER_SESSION PIPELINED RECIPIENT")
            exit(64)
        }
        signal(SIGPIPE, SIG_IGN)
        let begin = now()
        let plan = Plan(
            port: port, end: begin + seconds, perSession: perSession, isPipelined: arguments[5] == "1",
            recipient: arguments[6])
        let handles = (0..<threads).map { _ in Worker.start(plan) }
        var totals = Totals()
        for handle in handles {
            pthread_join(handle, nil)
        }
        let elapsed = now() - begin
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

struct Plan: Sendable {
    let port: UInt16
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

final class Worker {
    static let results = Mutex<[RefusalClient.Totals]>([])

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
    private var totals = RefusalClient.Totals()
    private var socket: Int32 = -1
    private var buffer = [UInt8](repeating: 0, count: 65536)
    private var filled = 0
    private var position = 0

    private init(_ plan: Plan) { self.plan = plan }

    private func run() {
        let recipient = Array("RCPT TO:<\(plan.recipient)>\r\n".utf8)
        let mail = Array("MAIL FROM:<a@sender.test>\r\n".utf8)
        var burst = mail
        for _ in 0..<plan.perSession { burst += recipient }
        while now() < plan.end {
            guard open() else {
                totals.broken += 1
                continue
            }
            if !session(mail, recipient, burst) { totals.broken += 1 }
            close(socket)
        }
    }

    private func session(_ mail: [UInt8], _ recipient: [UInt8], _ burst: [UInt8]) -> Bool {
        guard reply() == 2, send(Array("EHLO bench.test\r\n".utf8)), reply() == 2 else { return false }
        let begin: Double
        if plan.isPipelined {
            begin = now()
            guard send(burst), reply() == 2 else { return false }
            for _ in 0..<plan.perSession where !count() { return false }
        } else {
            guard send(mail), reply() == 2 else { return false }
            begin = now()
            for _ in 0..<plan.perSession { guard send(recipient), count() else { return false } }
        }
        totals.latencies.append((now() - begin) / Double(plan.perSession))
        return send(Array("QUIT\r\n".utf8)) && reply() == 2
    }

    private func count() -> Bool {
        switch reply() {
        case 5: totals.refused += 1
        case 2: totals.accepted += 1
        default: return false
        }
        return true
    }

    private func open() -> Bool {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
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
        filled = 0
        position = 0
        if code != 0 { close(socket) }
        return code == 0
    }

    private func send(_ octets: [UInt8]) -> Bool {
        var done = 0
        while done < octets.count {
            let count = octets.withUnsafeBytes { write(socket, $0.baseAddress?.advanced(by: done), $0.count - done) }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// The first digit of the next reply; 0 when there is none.
    private func reply() -> Int {
        var start = position
        while true {
            while position < filled {
                position += 1
                guard buffer[position - 1] == 0x0a else { continue }
                let isLast = position - start >= 4 && buffer[start + 3] != UInt8(ascii: "-")
                let digit = Int(buffer[start]) - 48
                start = position
                if isLast { return digit }
            }
            if start > 0 {
                buffer.replaceSubrange(0..<(filled - start), with: Array(buffer[start..<filled]))
                filled -= start
                position -= start
                start = 0
            }
            let count = buffer.withUnsafeMutableBytes {
                read(socket, $0.baseAddress?.advanced(by: filled), $0.count - filled)
            }
            guard count > 0 else { return 0 }
            filled += count
        }
    }
}
