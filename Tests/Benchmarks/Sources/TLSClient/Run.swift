import Glibc
import Synchronization
import TransportSecurity

/// What all threads of a run have in common.
final class Run: Sendable {
    struct Totals: Sendable {
        var done = 0
        var broken = 0
        var latencies: [Double] = []
        var protocolName = "-"
        var cipher = "-"
    }

    let plan: Plan
    /// When no new session begins and those that there are end; monotonic seconds.
    let end: Double
    let context: TLSClientContext
    let totals = Mutex(Totals())
    /// The commands of a transaction, and the message with its final dot.
    let recipient: [UInt8]
    let message: [UInt8]
    private let left: Atomic<Int>

    init(_ plan: Plan, end: Double) throws(TLSFailure) {
        self.plan = plan
        self.end = end
        // Any certificate will do: what is measured is the handshake.
        context = try TLSClientContext(TLSMaterial(), TLSClientSettings())
        recipient = Array("RCPT TO:<\(plan.mail?.recipient ?? "")>\r\n".utf8)
        message = Self.message(octets: plan.mail?.octets ?? 0)
        left = Atomic(plan.mail?.count ?? Int.max)
    }

    /// Lines of 64 octets behind a short head.
    private static func message(octets: Int) -> [UInt8] {
        let head = Array("From: <a@sender.test>\r\nTo: <b@relay.test>\r\nSubject: benchmark\r\n\r\n".utf8)
        let line = [UInt8](repeating: UInt8(ascii: "X"), count: 62) + [13, 10]
        let lines = max(1, octets - head.count) / line.count
        return head + (0..<lines).flatMap { _ in line } + Array(".\r\n".utf8)
    }

    /// How many messages a new session is to send, taken from those that are left; `nil`: none is, or the time is over.
    func claim() -> Int? {
        guard now() < end else { return nil }
        guard let mail = plan.mail else { return 0 }
        var current = left.load(ordering: .relaxed)
        while current > 0 {
            let taken = min(current, mail.perSession)
            let (isExchanged, original) = left.compareExchange(
                expected: current, desired: current - taken, ordering: .relaxed)
            if isExchanged { return taken }
            current = original
        }
        return nil
    }

    func startThread() -> pthread_t {
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let run = Unmanaged<Run>.fromOpaque(argument).takeRetainedValue()
                run.add(Worker(run).work())
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(code == 0, "no thread")
        return thread
    }

    private func add(_ part: Totals) {
        totals.withLock { totals in
            totals.done += part.done
            totals.broken += part.broken
            totals.latencies += part.latencies
            if part.done > 0 { (totals.protocolName, totals.cipher) = (part.protocolName, part.cipher) }
        }
    }
}
