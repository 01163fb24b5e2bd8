import ChildProcesses
import Configuration
import Glibc
import Postoffice
import SMTPProtocol
import SpoolFormat
import Synchronization
import Telemetry

/// What decides whether new mail is taken, looked up about once a second off the event loops.
final class HostConditions: Sendable {
    /// Free KiB of POSTOFFICE's file system; −1: unknown.
    private let freeKilobytes = Atomic<Int>(-1)
    private let freeInodes = Atomic<Int>(Int.max)
    /// The load average of the last minute, in hundredths.
    private let load = Atomic<Int>(0)
    private let isLooking = Atomic<Bool>(false)
    /// When the look began that has not ended, in milliseconds of the steady clock; 0: none is under way.
    private let lookBegan = Atomic<Int64>(0)
    private let postoffice: Postoffice
    private let settings: IntakeThrottle.Settings
    private let metrics: ServerMetrics
    private let log: EventLog
    private let loadAverage: LoadAverage
    /// Touched by the one who looks.
    private let watch: Mutex<Watch>
    /// What ``throttle`` has said last, without its lock: 0 open, 1 and above the place of a cause that has closed it.
    private let closedBy = Atomic<Int>(0)
    private let delay = Atomic<Int>(0)

    private struct Watch {
        var throttle: IntakeThrottle
        var measure = IntakeThrottle.Measure()
        var looks = 0
        /// Looks in which the scheduler has not answered.
        var silence = 0
    }

    /// Of the last minute, in hundredths; 0 if it cannot be known.
    typealias LoadAverage = @Sendable () -> Int

    /// Milliseconds after which a look that has not ended says that the disk hangs.
    static let hungAfter: Int64 = 30_000
    /// The scheduler is asked for its recipients at each of so many looks, gets so many milliseconds, and counts as it was for so many
    /// questions without an answer.
    private static let askInterval = 5
    private static let askPatience: Int64 = 1000
    private static let longestSilence = 12

    init(
        _ postoffice: Postoffice, _ configuration: SMTPServerConfiguration, metrics: ServerMetrics,
        loadAverage: @escaping LoadAverage, log: EventLog
    ) {
        self.metrics = metrics
        self.postoffice = postoffice
        self.loadAverage = loadAverage
        self.log = log
        settings = IntakeThrottle.Settings(
            minimumFreeKilobytes: configuration.minimumFreeKilobytes,
            minimumFreeInodes: configuration.minimumFreeInodes, waitingLimit: configuration.queueLimit,
            recipientLimit: configuration.queueRecipients, maximumDelay: configuration.throttleDelay * 1000)
        watch = Mutex(Watch(throttle: IntakeThrottle(settings)))
    }

    var freeKilobytesNow: Int { freeKilobytes.load(ordering: .relaxed) }
    var isShortOfInodes: Bool { freeInodes.load(ordering: .relaxed) < settings.minimumFreeInodes }
    /// Whether the load average is above `limit`.
    func isLoadAbove(_ limit: Int) -> Bool { load.load(ordering: .relaxed) > limit * 100 }

    /// Why no mail is taken now.
    var closedCause: IntakeThrottle.Cause? {
        let place = closedBy.load(ordering: .relaxed) - 1
        return IntakeThrottle.Cause.allCases.indices.contains(place) ? IntakeThrottle.Cause.allCases[place] : nil
    }

    /// Milliseconds by which MAIL is answered later.
    var delayNow: Int { delay.load(ordering: .relaxed) }

    /// The spool has not answered for so long that nothing should be promised any more.
    var isHung: Bool {
        let began = lookBegan.load(ordering: .relaxed)
        return began > 0 && SteadyClock.milliseconds - began > Self.hungAfter
    }

    /// Blocks: for a pool thread. Does nothing while another thread looks: on a disk that hangs one thread waits, and no more.
    func look(countsQueue: Bool) {
        guard !isLooking.exchange(true, ordering: .acquiring) else { return }
        lookBegan.store(max(1, SteadyClock.milliseconds), ordering: .relaxed)
        defer {
            lookBegan.store(0, ordering: .relaxed)
            isLooking.store(false, ordering: .releasing)
        }
        do throws(PostofficeError) {
            let space = try postoffice.freeSpace()
            let kilobytes = Int(clamping: space.bytes / 1024)
            let inodes = Int(clamping: space.inodes)
            freeKilobytes.store(kilobytes, ordering: .relaxed)
            freeInodes.store(inodes, ordering: .relaxed)
            let waiting = countsQueue ? try countQueued() : nil
            watch.withLock { watch in
                watch.measure.freeKilobytes = kilobytes
                watch.measure.freeInodes = inodes
                if let waiting { watch.measure.waiting = waiting }
                askScheduler(&watch)
                if watch.throttle.update(watch.measure) { note(watch.throttle.state, watch.measure) }
                publish(watch.throttle.state)
            }
        } catch {
            if freeKilobytes.exchange(-1, ordering: .relaxed) != -1 {
                log.error("spool-unusable", ["reason": error.description])
            }
        }
        load.store(loadAverage(), ordering: .relaxed)
    }

    private func publish(_ state: IntakeThrottle.State) {
        switch state {
        case .open:
            closedBy.store(0, ordering: .relaxed)
            delay.store(0, ordering: .relaxed)
        case .slow(_, let milliseconds):
            closedBy.store(0, ordering: .relaxed)
            delay.store(milliseconds, ordering: .relaxed)
        case .closed(let cause):
            let place = IntakeThrottle.Cause.allCases.firstIndex(of: cause) ?? 0
            closedBy.store(place + 1, ordering: .relaxed)
        }
    }

    private func note(_ state: IntakeThrottle.State, _ measure: IntakeThrottle.Measure) {
        metrics.changed(state)
        let (name, cause): (String, IntakeThrottle.Cause?) =
            switch state {
            case .open: ("open", nil)
            case .slow(let cause, _): ("slow", cause)
            case .closed(let cause): ("closed", cause)
            }
        let fields: KeyValuePairs<StaticString, String> = [
            "intake": name, "cause": cause?.rawValue ?? "-", "free": "\(measure.freeKilobytes ?? -1)",
            "inodes": "\(measure.freeInodes ?? -1)", "waiting": "\(measure.waiting ?? -1)",
            "recipients": "\(measure.recipients ?? -1)",
        ]
        if case .open = state { log.notice("throttle", fields) } else { log.warning("throttle", fields) }
    }

    /// Files in `router/`, counted up to just above the limit.
    private func countQueued() throws(PostofficeError) -> Int {
        var count = 0
        let limit = settings.waitingLimit
        try postoffice.forEachEntry(.router) { _ in
            count += 1
            return count <= limit
        }
        return count
    }

    /// `status` at its socket; nothing is asked where there is no limit.
    private func askScheduler(_ watch: inout Watch) {
        guard settings.recipientLimit > 0 else { return }
        defer { watch.looks += 1 }
        guard watch.looks % Self.askInterval == 0 else { return }
        var recipients: Int?
        do throws(UnixSocket.Failure) {
            try UnixDialogue.ask(
                "\(postoffice.root)/.scheduler.mailq", "status\n", milliseconds: Self.askPatience
            ) { line in
                recipients = Self.recipients(in: String(decoding: line, as: UTF8.self))
            }
        } catch {
            // It is being started again, or has too much to do. What it had before is still about right.
        }
        if let recipients {
            watch.measure.recipients = recipients
            watch.silence = 0
        } else {
            watch.silence += 1
            if watch.silence > Self.longestSilence { watch.measure.recipients = nil }
        }
    }

    /// The number behind `"recipients":`.
    static func recipients(in status: String) -> Int? {
        let key = "\"recipients\":"
        guard let start = status.firstRange(of: key)?.upperBound else { return nil }
        return Int(status[start...].prefix { ("0"..."9").contains($0) })
    }

    /// That of this host.
    static let systemLoadAverage: LoadAverage = {
        var values = [0.0]
        guard getloadavg(&values, 1) == 1 else { return 0 }
        return Int(values[0] * 100)
    }
}
