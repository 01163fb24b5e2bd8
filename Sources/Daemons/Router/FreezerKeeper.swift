import Configuration
import Freezer
import Glibc
import PolicyEngine
import Postoffice
import Synchronization
import Telemetry

/// Looks after the freezer (docs/spool.md §6) in a thread of its own: however much is to be done there, routing goes on.
final class FreezerKeeper: Sendable {
    /// Milliseconds between two looks, unless mail gets too old sooner.
    private static let longestInterval: Int64 = 3_600_000

    /// Milliseconds between two looks.
    let interval: Int64
    private let freezer: Freezer
    private let ageing: FreezerAgeing?
    private let isStopped = Atomic<Bool>(false)
    private let thread = Mutex<pthread_t?>(nil)
    /// Its thread may be joined without waiting.
    private let isDone = Atomic<Bool>(false)

    init(_ postoffice: Postoffice, _ configuration: MailConfiguration, _ log: EventLog) {
        let ageing = configuration.freezerAgeing
        self.ageing = ageing
        interval = min(Self.longestInterval, max(1000, (ageing?.maximumAge ?? .max / 1000) / 10 * 1000))
        let actor = ageing.map { "FREEZERMAXAGE=\(SchedulerTime.text($0.maximumAge))" } ?? "router"
        // Another program has the lock for the moment of one message.
        freezer = Freezer(
            postoffice: postoffice, hostName: configuration.hostName, mailshare: configuration.mailshare, log: log,
            actor: actor, patience: 2000)
    }

    /// Has a look begun, unless one is still going on.
    func start() {
        thread.withLock { thread in
            if let running = thread {
                guard isDone.load(ordering: .acquiring) else { return }
                pthread_join(running, nil)
                thread = nil
            }
            isDone.store(false, ordering: .releasing)
            let context = Unmanaged.passRetained(self)
            var new = pthread_t()
            let code = pthread_create(
                &new, nil,
                { raw in
                    if let raw { Unmanaged<FreezerKeeper>.fromOpaque(raw).takeRetainedValue().run() }
                    return nil
                }, context.toOpaque())
            if code == 0 {
                thread = new
            } else {
                // No thread to be had: another time.
                context.release()
            }
        }
    }

    /// Returns when the message that is being worked on is done with.
    func stop() {
        isStopped.store(true, ordering: .releasing)
        thread.withLock { thread in
            if let thread { pthread_join(thread, nil) }
            thread = nil
        }
    }

    private func run() {
        freezer.tidy(ageing, now: Int64(time(nil))) { isStopped.load(ordering: .acquiring) }
        isDone.store(true, ordering: .releasing)
    }
}
