import Postoffice
import Scheduling
import SpoolFormat
import Telemetry
import Testing

@testable import Scheduler

@Suite("Messages that are done and whose files are not yet removed")
struct PendingRemovalsTests {
    /// A loop that takes a turn when the test says so: what the workers have done it hears in the next one.
    private static func loop(_ scheduler: TestScheduler) throws -> SchedulerLoop {
        let path = "\(scheduler.root)/share/scheduler.conf"
        try scheduler.write(Scripts.configuration, to: "share/scheduler.conf")
        let active = try ActiveConfiguration.read(path, environment: scheduler.environment, onlyThread: nil)
        let log = try EventLog(
            program: "scheduler", destination: .file("\(scheduler.root)/log/scheduler"), level: .debug)
        let postoffice = scheduler.postoffice
        let settings = ReportSettings()
        settings.set(active.configuration, scheduler.environment)
        let rules = settings.rules()
        let forms = "\(scheduler.root)/share/forms"
        let files = FileWorkers(threads: 2) {
            let router = NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router")
            return FileWorker(
                postoffice: postoffice, routerNotice: router,
                reports: ReportWriter(
                    postoffice: postoffice, routerNotice: router, hostName: "mx.example.test", formDirectory: forms,
                    clock: { SchedulerLoop.milliseconds() / 1000 }, rules: rules, doubleFaults: DoubleFaults(log: log)),
                storesErrorOnError: { false })
        }
        return SchedulerLoop(
            environment: scheduler.environment, options: SchedulerOptions(), active: active, configurationPath: path,
            log: log, signals: nil, notices: try NoticeReceiver(socketPath: "\(postoffice.root)/.scheduler.notify"),
            postoffice: postoffice, owner: SpoolOwner(of: postoffice.root), files: files)
    }

    private static func load(_ loop: SchedulerLoop, _ number: UInt64, isDelivered: Bool) -> SpoolID {
        let id = SpoolID(rawValue: UInt64(SchedulerLoop.milliseconds()) << 22 | number)
        var recipient = LoadedRecipient(offset: 100, channel: "none", host: "h", address: "a@h")
        if isDelivered { recipient.outcome = .delivered }
        loop.core.load(
            LoadedMessage(
                id: id, arrived: loop.core.now, size: 1, sender: "s@x.test", isErrorMessage: false,
                recipients: [recipient]))
        return id
    }

    @Test("what agents have delivered holds up deliveries and no operators, also while an operation runs")
    func deliveredMeanwhile() throws {
        let scheduler = try makeScheduler()
        let loop = try Self.loop(scheduler)
        var selection = QueueSelection()
        selection.ids = [Self.load(loop, 1, isDelivered: false)]
        let note = OperatorNote(operatorName: "alice", reason: "", time: loop.core.wall)
        loop.begin(QueueOperation(.hold, selection, note)) { _, _ in }
        for number in 2...701 { _ = Self.load(loop, UInt64(number), isDelivered: true) }
        loop.turn()
        #expect(loop.core.operatorHeldCount == 1)
        #expect(loop.removals.holdUpDelivery && loop.core.isPaused)
        #expect(!loop.removals.holdUpOperators)
    }

    @Test("what an operator removes holds up operators, and no deliveries")
    func removed() throws {
        let scheduler = try makeScheduler()
        let loop = try Self.loop(scheduler)
        var selection = QueueSelection()
        selection.ids = Set((1...700).map { Self.load(loop, $0, isDelivered: false) })
        let note = OperatorNote(operatorName: "alice", reason: "", time: loop.core.wall)
        loop.begin(QueueOperation(.remove, selection, note)) { _, _ in }
        loop.turn()
        #expect(loop.removals.holdUpOperators)
        #expect(!loop.removals.holdUpDelivery && !loop.core.isPaused)
        #expect((512..<600).contains(700 - loop.core.recipientCount))
    }
}
