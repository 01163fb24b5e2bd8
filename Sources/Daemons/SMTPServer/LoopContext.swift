import Configuration
import Glibc
import MailModel
import NIOCore
import Policy
import SpoolFormat
import Synchronization
import Telemetry
import TransportSecurity

/// Seconds. The longest waits of smtpserver.md §5.6, which are longer than RFC 5321 §4.5.3.2 asks for.
struct Timeouts: Sendable {
    /// For the next command.
    var command = 1200
    /// For the next octets of a message.
    var data = 600
    /// For a client to take our replies.
    var write = 300
    /// Octets per second that a message must bring behind the first ``data`` seconds: a client that drips is cut off.
    var minimumDataRate = 256
    /// For a client to close after our last reply.
    var linger = 5
    /// For an answer of the policy service (docs/protocols.md §2).
    var policy = 30
    /// For the name service to say whose a uid is.
    var account = 30

    init() {}

    init(_ configuration: SMTPServerConfiguration) {
        command = configuration.commandTimeout
        data = configuration.dataTimeout
    }
}

/// Sessions of a process; written by all event loops.
final class SessionCount: Sendable {
    private let value = Atomic<Int>(0)
    var now: Int { value.load(ordering: .relaxed) }
    func add(_ count: Int) { value.add(count, ordering: .relaxed) }
}

/// What the sessions of one event loop share. Confined to that loop.
final class LoopContext {
    let loop: any EventLoop
    let settings: Settings
    let intake: Intake
    let policy: PolicyClient
    let log: EventLog
    /// Lines about refusals.
    let refusals: LogBatch
    private var isRefusalFlushDue = false
    let sessionLog: SessionLog?
    let timeouts: Timeouts
    /// `nil` where no listener has TLS.
    let tls: TLSContexts?
    let recorder: FlightRecorder.Slot?
    /// Of the whole process.
    let filters: ContentFilters
    /// Of the whole process.
    let sessionCount: SessionCount
    /// Of the whole process.
    let accounts: LocalAccounts
    var isStopping = false
    let wheel = TimeoutWheel<SessionHandler>()
    /// Octets of replies of the session that is being worked on; lent and given back, so that idle sessions hold none.
    private var scratch: [UInt8] = []
    private var dateSecond: Int64 = -1
    private var dateText = ""
    private let start: NIODeadline

    init(
        loop: any EventLoop, settings: Settings, intake: Intake, log: EventLog, sessionLog: SessionLog?,
        sessionCount: SessionCount, accounts: LocalAccounts, timeouts: Timeouts,
        maximumWaiting: Int = PolicyClient.defaultMaximumWaiting,
        tls: TLSContexts? = nil, recorder: FlightRecorder.Slot? = nil,
        filters: ContentFilters
    ) {
        self.filters = filters
        self.tls = tls
        self.recorder = recorder
        self.sessionCount = sessionCount
        self.accounts = accounts
        self.loop = loop
        self.settings = settings
        self.intake = intake
        self.log = log
        refusals = LogBatch(log)
        self.sessionLog = sessionLog
        self.timeouts = timeouts
        start = .now()
        policy = PolicyClient(
            loop: loop, path: settings.policySocket, settings: settings.asker,
            answerDeadline: timeouts.policy, log: log, metrics: intake.metrics, maximumWaiting: maximumWaiting)
    }

    /// Call once on the loop.
    func begin() {
        policy.reconnected = { [unowned self] in
            for session in wheel.all { session.announceAgain() }
        }
        policy.start()
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in bound.value.tick() }
    }

    private func tick() {
        let now = Int((NIODeadline.now() - start).nanoseconds / 1_000_000_000)
        policy.tick(now)
        wheel.advance(to: now)
    }

    /// A refusal is in the log within this time.
    static let refusalDelay = TimeAmount.milliseconds(20)

    func flushRefusalsSoon() {
        guard !isRefusalFlushDue, !refusals.isEmpty else { return }
        isRefusalFlushDue = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: Self.refusalDelay) {
            bound.value.isRefusalFlushDue = false
            bound.value.refusals.flush()
        }
    }

    /// Seconds on this loop's clock.
    var now: Int { wheel.now }

    /// RFC 5322 §3.3 date of now, made once a second.
    var date: String {
        let second = Int64(time(nil))
        if second != dateSecond {
            dateSecond = second
            dateText = CalendarDate(unixTime: second).rfc5322
        }
        return dateText
    }

    /// Seconds since 1970, as of this second.
    var unixTime: Int64 {
        _ = date
        return dateSecond
    }

    /// What `tls-loglevel` wants to be told of a connection; `nil`: nothing.
    func tlsTrace(_ profile: SessionProfile, _ session: String) -> TLSTrace? {
        guard let level = TLSTrace.Level(rawValue: profile.configuration.tls.logLevel) else { return nil }
        let log = log
        return TLSTrace(level: level) { log.notice("tls-trace", ["session": session, "text": $0]) }
    }

    func borrowScratch() -> [UInt8] {
        let taken = scratch
        scratch = []
        return taken
    }

    func giveBack(_ octets: [UInt8]) {
        guard octets.capacity <= 64 << 10 else { return }
        scratch = octets
        scratch.removeAll(keepingCapacity: true)
    }
}
