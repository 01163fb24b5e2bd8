import Glibc
import Synchronization

/// `TLSClient handshakes|clear PORT THREADS SESSIONS SECONDS`: greeting, EHLO, QUIT, over TLS from the first octet (RFC 8314 §3)
/// or without TLS.
///
/// `TLSClient messages PORT THREADS SESSIONS SECONDS MESSAGES PER_SESSION OCTETS RECIPIENT`: STARTTLS (RFC 3207), then so many
/// messages in each session; ends when all are taken, after so many seconds in any case.
///
/// So many sessions at a time on each thread, one after the other, none resumed. Prints `done broken seconds p50_us p99_us
/// protocol cipher`: done are whole sessions, or messages that were answered with 250. The latencies are from the connect to the
/// end of the greeting, or from MAIL to the answer after the message.
@main
struct TLSClient {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        guard let plan = plan(CommandLine.arguments) else {
            print(
                "usage: TLSClient handshakes|clear PORT THREADS SESSIONS SECONDS\n"
                    + "       TLSClient messages PORT THREADS SESSIONS SECONDS MESSAGES PER_SESSION OCTETS RECIPIENT")
            exit(64)
        }
        let begin = now()
        let run: Run
        do {
            run = try Run(plan, end: begin + plan.seconds)
        } catch {
            print("TLSClient: \(error)")
            exit(78)
        }
        for handle in (0..<plan.threads).map({ _ in run.startThread() }) { pthread_join(handle, nil) }
        let totals = run.totals.withLock { $0 }
        let sorted = totals.latencies.sorted()
        func quantile(_ percent: Int) -> Int {
            sorted.isEmpty ? 0 : Int(sorted[min(sorted.count - 1, sorted.count * percent / 100)] * 1e6)
        }
        print(
            totals.done, totals.broken, now() - begin, quantile(50), quantile(99), totals.protocolName, totals.cipher)
    }

    private static func plan(_ arguments: [String]) -> Plan? {
        let isMessages = arguments.count == 10 && arguments[1] == "messages"
        guard isMessages || (arguments.count == 6 && ["handshakes", "clear"].contains(arguments[1])) else { return nil }
        func number(_ index: Int, _ valid: ClosedRange<Int>) -> Int? {
            Int(arguments[index]).flatMap { valid.contains($0) ? $0 : nil }
        }
        guard let port = UInt16(arguments[2]), let threads = number(3, 1...64), let sessions = number(4, 1...64),
            let seconds = Double(arguments[5]), (0...300).contains(seconds)
        else { return nil }
        guard isMessages else {
            return Plan(
                port: port, threads: threads, sessions: sessions, seconds: seconds,
                isImplicit: arguments[1] == "handshakes", mail: nil)
        }
        guard let count = number(6, 1...1_000_000), let perSession = number(7, 1...1000),
            let octets = number(8, 200...32_768)
        else { return nil }
        return Plan(
            port: port, threads: threads, sessions: sessions, seconds: seconds, isImplicit: false,
            mail: Plan.Mail(count: count, perSession: perSession, octets: octets, recipient: arguments[9]))
    }
}

/// What is to be done.
struct Plan: Sendable {
    struct Mail: Sendable {
        let count: Int
        let perSession: Int
        /// Of a message.
        let octets: Int
        let recipient: String
    }

    let port: UInt16
    let threads: Int
    let sessions: Int
    let seconds: Double
    /// TLS from the first octet.
    let isImplicit: Bool
    /// `nil`: sessions without a message, and without STARTTLS.
    let mail: Mail?
}

/// Seconds on the monotonic clock.
func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
