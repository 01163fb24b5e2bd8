import Glibc
import TransportSecurity

/// The sessions of one thread.
final class Worker {
    /// Sessions that may break one after the other before the thread gives up.
    private static let maximumBroken = 20

    private let run: Run
    private var totals = Run.Totals()

    init(_ run: Run) { self.run = run }

    func work() -> Run.Totals {
        var sessions: [Session] = []
        for _ in 0..<run.plan.sessions { if let session = open() { sessions.append(session) } }
        var polled: [pollfd] = []
        while !sessions.isEmpty, now() < run.end, totals.broken < Self.maximumBroken {
            polled.removeAll(keepingCapacity: true)
            polled += sessions.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
            guard poll(&polled, nfds_t(polled.count), 1000) > 0 else { continue }
            for index in sessions.indices.reversed() where polled[index].revents != 0 {
                let session = sessions[index]
                if session.advance() { continue }
                take(session)
                if let fresh = open() { sessions[index] = fresh } else { sessions.remove(at: index) }
            }
        }
        // Messages that were taken count, also where the time ends a session.
        for session in sessions where run.plan.mail != nil { totals.done += session.accepted }
        return totals
    }

    private func open() -> Session? {
        guard let messages = run.claim() else { return nil }
        return Session(run, messages: messages)
    }

    private func take(_ session: Session) {
        if !session.isWhole { totals.broken += 1 }
        totals.done += run.plan.mail == nil ? session.isWhole ? 1 : 0 : session.accepted
        totals.latencies += session.latencies
        if let info = session.info { (totals.protocolName, totals.cipher) = (info.protocolName, info.cipher) }
    }
}
