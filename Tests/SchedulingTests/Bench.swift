import AgentProtocol
import MailModel
import SpoolFormat

@testable import Scheduling

/// A core with a virtual clock; the test is its agents and its disk.
final class Bench {
    let core: DeliveryScheduler
    var rules: ThreadRules
    var started: [(agent: Int, channel: String, host: String)] = []
    var fed: [(agent: Int, id: SpoolID, host: String)] = []
    /// Of the last job.
    var messagesPerConnection: Int?
    var closed: [Int] = []
    var killed: [Int] = []
    var records: [(id: SpoolID, vertex: Int, record: ResultRecord, tag: ControlRecipient.Tag?)] = []
    var finishes: [(id: SpoolID, ending: SchedulerAction.Ending)] = []
    var reports: [SpoolID] = []
    var rereads: [SpoolID] = []
    var moves: [(id: SpoolID, offsets: [Int], channel: String, host: String)] = []
    var results: [DeliveryLogEntry] = []
    var events: [SchedulerEvent] = []
    /// Records and removals are confirmed at once.
    var hasFastDisk = true
    private var number: UInt64 = 0

    static let start: UnixTime = 1_800_000_000

    init(_ rules: ThreadRules = ThreadRules(), lookup: DeliveryScheduler.RulesLookup? = nil) {
        self.rules = rules
        core = DeliveryScheduler(now: Self.start, seed: 1, reportInterval: 900, rules: lookup ?? { _, _ in rules })
    }

    /// Seconds since the start.
    var time: Int64 { core.now - Self.start }

    @discardableResult
    func load(
        _ recipients: [LoadedRecipient], age: Int64 = 0, sender: String = "s@example.test",
        isErrorMessage: Bool = false,
        heldUntil: UnixTime? = nil, deliverBy: UnixTime? = nil, priority: Int = 0
    ) -> SpoolID {
        number += 1
        let id = SpoolID(rawValue: UInt64(core.now - age) * 1000 << 22 | number)
        core.load(
            LoadedMessage(
                id: id, arrived: core.now - age, size: 1000, sender: sender, isErrorMessage: isErrorMessage,
                recipients: recipients, heldUntil: heldUntil, deliverBy: deliverBy, priority: priority))
        return id
    }

    /// One message to one recipient.
    @discardableResult
    func load(_ host: String, channel: String = "smtp", age: Int64 = 0, notify: Notify = .standard) -> SpoolID {
        load([Self.recipient(host, channel: channel, notify: notify)], age: age)
    }

    static func recipient(
        _ host: String, _ offset: Int = 100, channel: String = "smtp", notify: Notify = .standard
    ) -> LoadedRecipient {
        LoadedRecipient(
            offset: offset, channel: channel, host: host, address: "u\(offset)@\(host)", notify: notify)
    }

    func run() {
        while true {
            let actions = core.takeActions()
            if actions.isEmpty, !core.isBehind { return }
            for action in actions { perform(action) }
        }
    }

    private func perform(_ action: SchedulerAction) {
        switch action {
        case .startAgent(let agent, let channel, let host): started.append((agent, channel, host))
        case .feed(let agent, let id, let host, let limit):
            fed.append((agent, id, host))
            messagesPerConnection = limit
        case .closeAgent(let agent): closed.append(agent)
        case .killAgent(let agent): killed.append(agent)
        case .append(let id, let vertex, let record, let tag):
            records.append((id, vertex, record, tag))
            if hasFastDisk { core.recorded(id, vertex: vertex) }
        case .report(let id): reports.append(id)
        case .finish(let id, let ending):
            finishes.append((id, ending))
            if hasFastDisk { core.finished(id) }
        case .move(let id, let offsets, let channel, let host, _): moves.append((id, offsets, channel, host))
        case .reroute(let id, let offsets, _): moves.append((id, offsets, "", ""))
        case .reread(let id): rereads.append(id)
        case .log(.result(let entry)): results.append(entry)
        case .log(let event): events.append(event)
        }
    }

    func advance(_ seconds: Int64) {
        core.advance(to: core.now + seconds)
        run()
    }

    /// Goes from event to event until `end` seconds have passed.
    func pass(_ seconds: Int64) {
        let end = core.now + seconds
        while let next = core.nextEvent, next <= end {
            core.advance(to: max(next, core.now))
            run()
        }
        core.advance(to: end)
        run()
    }

    func hungry(_ agent: Int, _ credits: Int = 1) {
        for _ in 0..<credits { core.received(.hungry, from: agent) }
        run()
    }

    /// The agent's report and its next credit.
    func report(
        _ agent: Int, _ id: SpoolID, _ result: DeliveryResult, offset: Int = 100, text: String = "text",
        action: Notary.Action? = nil, isHungry: Bool = true, isToBeTold: Bool = false
    ) {
        let status: String
        let usual: Notary.Action
        switch result {
        case .ok: (status, usual) = ("2.0.0", .delivered)
        case .failed: (status, usual) = ("5.1.1", .failed)
        case .deferred, .deferredAll, .deferredBack, .retry: (status, usual) = ("4.0.0", .delayed)
        }
        core.received(
            .report(
                AgentReport(
                    file: id, offset: offset,
                    notary: Notary(finalRecipient: "final@x", action: action ?? usual, status: status), result: result,
                    message: text, isToBeTold: isToBeTold)), from: agent)
        if isHungry { core.received(.hungry, from: agent) }
        run()
    }

    func die(_ agent: Int) {
        core.agentEnded(agent)
        run()
    }

    func state(_ id: SpoolID) -> RecipientDescription? { core.describe(id)?.recipients.first }
}
