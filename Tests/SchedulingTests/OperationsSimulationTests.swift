import AgentProtocol
import Configuration
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

/// A small world around the core: hosts that are up, down, greylisting or rejecting, agents that take their time and die, a disk that
/// answers later. All from one seed.
private final class World {
    let core: DeliveryScheduler
    private var random: SplitMix64
    private let rules: [ThreadRules]
    private var events: [UnixTime: [Event]] = [:]
    private var agents: [Int: FakeAgent] = [:]
    private var tries: [Int: Int] = [:]
    private(set) var outcomes: [Key: DeliveryLogEntry.Outcome] = [:]
    private(set) var finished: Set<SpoolID> = []
    private(set) var problems: [String] = []
    private(set) var deaths = 0
    private(set) var jobs = 0
    private(set) var longestExpiryDelay: Int64 = 0
    private var nextNumber: UInt64 = 0
    private var recipients: [SpoolID: [LoadedRecipient]] = [:]
    private var releases: [SpoolID: UnixTime] = [:]
    private(set) var returned = 0

    struct Key: Hashable {
        let id: SpoolID
        let offset: String
    }

    private enum Event {
        case hungry(Int, Int)
        case done(agent: Int, SpoolID, host: String)
        case death(Int)
        case recorded(SpoolID, Int)
        case finished(SpoolID)
        case reported(SpoolID)
        case moved(SpoolID, [Int], String, String)
    }

    private final class FakeAgent {
        var jobs: [(id: SpoolID, host: String)] = []
        var isClosing = false
        let channel: String
        init(channel: String) { self.channel = channel }
    }

    init(seed: UInt64, rules: [ThreadRules]) {
        random = SplitMix64(seed: seed)
        self.rules = rules
        core = DeliveryScheduler(
            now: Bench.start, seed: seed, reportInterval: 900,
            rules: { channel, _ in rules.first { "c\($0.ring)" == channel } })
    }

    func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

    private func at(_ delay: Int, _ event: Event) { events[core.now + Int64(delay), default: []].append(event) }

    func load(hosts: Int) {
        nextNumber += 1
        let id = SpoolID(rawValue: UInt64(core.now) * 1000 << 22 | nextNumber)
        let count = below(4) == 0 ? 1 + below(8) : 1
        let deadlines: [LoadedRecipient.Deadline] = [.return, .notify]
        let deadline = below(10) == 0 ? deadlines[below(2)] : .none
        let list = (0..<count).map { index in
            var recipient = Bench.recipient(
                "h\(below(hosts))", 100 + index * 50, channel: "c\(below(rules.count))",
                notify: below(5) == 0 ? [.success, .failure] : .standard)
            recipient.deadline = deadline
            return recipient
        }
        recipients[id] = list
        let release = below(10) == 0 ? core.now + Int64(below(50000)) : nil
        if let release { releases[id] = release }
        core.load(
            LoadedMessage(
                id: id, arrived: core.now, size: 1, sender: "s@x", isErrorMessage: false, recipients: list,
                heldUntil: release, deliverBy: deadline == .none ? nil : core.now + Int64(below(60000)),
                priority: below(4) == 0 ? below(19) - 9 : 0))
    }

    /// Until nothing is left or `limit` has come.
    func run(until limit: UnixTime) {
        settle()
        while core.now < limit {
            var next = events.keys.min() ?? .max
            if let timer = core.nextEvent { next = min(next, max(timer, core.now)) }
            guard next < limit else { break }
            core.advance(to: next)
            for event in events.removeValue(forKey: core.now) ?? [] { happen(event) }
            settle()
        }
        core.advance(to: limit)
        settle()
    }

    var isEmpty: Bool { core.messageCount == 0 }

    private func happen(_ event: Event) {
        switch event {
        case .hungry(let agent, let credits):
            for _ in 0..<credits { core.received(.hungry, from: agent) }
        case .recorded(let id, let vertex): core.recorded(id, vertex: vertex)
        case .finished(let id):
            finished.insert(id)
            core.finished(id)
        case .reported(let id): core.reported(id, count: 1)
        case .moved(let id, let offsets, let channel, let host): moved(id, offsets, channel, host)
        case .death(let number):
            guard agents.removeValue(forKey: number) != nil else { return }
            deaths += 1
            core.agentEnded(number)
        case .done(let number, let id, let host):
            guard let agent = agents[number],
                let index = agent.jobs.firstIndex(where: { $0.id == id && $0.host == host })
            else { return }
            agent.jobs.remove(at: index)
            answer(number, agent, id, host)
            core.received(.hungry, from: number)
            end(number, agent)
        }
    }

    private(set) var operated = 0

    /// An operator does something to some of the queue, and suspends or resumes something.
    func operate() {
        let verbs: [QueueOperation.Verb] = [
            .hold, .release, .retry, .remove, .bounce, .move(channel: "c\(below(rules.count))", host: "h\(below(40))"),
        ]
        var selection = QueueSelection()
        selection.hosts = [GlobPattern("h*\(below(10))")]
        let operation = QueueOperation(
            verbs[below(verbs.count)], selection, OperatorNote(operatorName: "o", reason: "r", time: core.now))
        var tally = OperationTally()
        for id in core.messageIDs { core.apply(operation, to: id, &tally) }
        operated += tally.recipients
        if below(3) == 0 {
            _ = core.suspend(
                Suspension(
                    host: GlobPattern("h\(below(40))"), until: below(2) == 0 ? core.now + Int64(below(3000)) : nil))
        }
        if below(5) == 0 { _ = core.resume { $0.number % 2 == 0 } }
        if below(2) == 0 { core.sweep(below(200)) }
        settle()
    }

    func endOperations() {
        _ = core.resume { _ in true }
        while core.isSweeping { core.sweep(100) }
        var tally = OperationTally()
        let note = OperatorNote(operatorName: "o", reason: "r", time: core.now)
        for id in core.messageIDs { core.apply(QueueOperation(.release, QueueSelection(), note), to: id, &tally) }
        settle()
    }

    /// What the file holds after a move.
    private func moved(_ id: SpoolID, _ offsets: [Int], _ channel: String, _ host: String) {
        guard let description = core.describe(id) else { return problems.append("moved a message that is gone") }
        if description.recipients.contains(where: { $0.state == .active }) { problems.append("moved in hand") }
        guard let list = recipients[id] else { return }
        var loaded = LoadedMessage(
            id: id, arrived: description.arrived, size: 1, sender: "s@x", isErrorMessage: false, recipients: [],
            heldUntil: releases[id], deliverBy: description.deliverBy, priority: description.priority)
        for (recipient, now) in zip(list, description.recipients) {
            var recipient = recipient
            recipient.channel = now.channel
            recipient.host = now.host
            switch now.state {
            case .delivered: recipient.outcome = .delivered
            case .failed, .removed: recipient.outcome = .failed
            case .held, .waiting, .active, .deferred, .suspended:
                if offsets.contains(recipient.offset) { (recipient.channel, recipient.host) = (channel, host) }
            }
            loaded.recipients.append(recipient)
        }
        core.moved(loaded)
    }

    private func end(_ number: Int, _ agent: FakeAgent) {
        guard agent.isClosing, agent.jobs.isEmpty else { return }
        agents[number] = nil
        core.agentEnded(number)
    }

    /// What each host does, by its number and the time.
    private func answer(_ number: Int, _ agent: FakeAgent, _ id: SpoolID, _ host: String) {
        let hostNumber = Int(host.dropFirst()) ?? 0
        let isDown = hostNumber % 5 == 1 && (core.now - Bench.start) / 20000 % 2 == 0 || hostNumber % 17 == 3
        for recipient in core.describe(id)?.recipients ?? []
        where recipient.host == host && recipient.channel == agent.channel && recipient.state == .active {
            let result: DeliveryResult
            let key = recipient.offset &* 31 &+ Int(truncatingIfNeeded: id.rawValue)
            if isDown {
                result = .deferredAll
            } else if hostNumber % 5 == 2, tries[key, default: 0] < 2 {
                tries[key, default: 0] += 1
                result = .deferred
            } else if hostNumber % 13 == 5 {
                result = .deferred
            } else if below(20) == 0 {
                result = .failed
            } else if below(50) == 0 {
                result = .retry(afterSeconds: 100)
            } else {
                result = .ok
            }
            let action: Notary.Action = result == .ok ? .relayed : result == .failed ? .failed : .delayed
            core.received(
                .report(
                    AgentReport(
                        file: id, offset: recipient.offset,
                        notary: Notary(finalRecipient: "f", action: action, status: "4.0.0"), result: result,
                        message: "m")), from: number)
        }
    }

    /// Of all that the core asked for, in its order.
    private(set) var digest: UInt64 = 0

    private static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    private func settle() {
        while true {
            let actions = core.takeActions()
            if actions.isEmpty, !core.isBehind { break }
            for action in actions {
                digest = (digest ^ Self.hash("\(action)")) &* 0x100_0000_01b3
                perform(action)
            }
            check()
        }
    }

    private func perform(_ action: SchedulerAction) {
        switch action {
        case .startAgent(let number, let channel, _):
            agents[number] = FakeAgent(channel: channel)
            if below(20) == 0 { at(below(3), .death(number)) } else { at(below(3), .hungry(number, 1 + below(5))) }
            if below(3) == 0 { at(10 + below(5000), .death(number)) }
        case .feed(let number, let id, let host, _):
            jobs += 1
            if releases[id] ?? 0 > core.now { problems.append("fed before its release") }
            guard let agent = agents[number] else {
                problems.append("fed an agent that is not there")
                return
            }
            if agent.isClosing { problems.append("fed an agent that is closed") }
            agent.jobs.append((id, host))
            at(below(10) == 0 ? below(100) : below(3), .done(agent: number, id, host: host))
        case .killAgent: problems.append("nobody hangs here")
        case .closeAgent(let number):
            agents[number]?.isClosing = true
            if let agent = agents[number] { end(number, agent) }
        case .append(let id, let vertex, let record, _):
            if record.notary.action == .failed, record.time != core.now { problems.append("a record of another time") }
            at(below(3), .recorded(id, vertex))
        case .report(let id): at(below(3), .reported(id))
        case .finish(let id, _): at(below(3), .finished(id))
        case .move(let id, let offsets, let channel, let host, _):
            at(below(3), .moved(id, offsets, channel, host))
        case .reroute: problems.append("nobody asked to route again")
        case .reread: problems.append("nobody asked to read again")
        case .log(.result(let entry)): note(entry)
        case .log(.strayReport): problems.append("stray report")
        case .log: break
        }
    }

    private func note(_ entry: DeliveryLogEntry) {
        guard entry.outcome != .deferred else { return }
        let key = Key(id: entry.id, offset: entry.recipient)
        if outcomes[key] != nil { problems.append("two results for \(key)") }
        outcomes[key] = entry.outcome
        if entry.outcome == .expired, entry.text.hasPrefix("not delivered by") {
            returned += 1
        } else if entry.outcome == .expired {
            let expiry = rules.first { "c\($0.ring)" == entry.channel }?.expiry ?? 0
            longestExpiryDelay = max(longestExpiryDelay, entry.delay - expiry)
            if entry.delay < expiry { problems.append("expired early: \(entry)") }
        }
    }

    /// Holds after every event.
    private func check() {
        var total = 0
        var channels: [String: Int] = [:]
        var rings: [Int: Int] = [:]
        for thread in core.threads.values {
            guard let rules = thread.rules else { continue }
            total += thread.active
            channels[thread.key.channel, default: 0] += thread.active
            rings[rules.ring, default: 0] += thread.active
            if thread.active > rules.maximumThreadJobs { problems.append("maxthr of \(thread.key)") }
            if thread.isProbing, thread.wakeup > core.now, !thread.isQueued, thread.due == .max {
                problems.append("a back-off without an end: \(thread.key)")
            }
        }
        for rule in rules {
            if rings[rule.ring, default: 0] > rule.maximumRingJobs { problems.append("maxring \(rule.ring)") }
            if channels["c\(rule.ring)", default: 0] > rule.maximumChannelJobs { problems.append("maxchannel") }
            if total > rule.maximumJobs { problems.append("maxta") }
        }
        if total != core.activeJobs { problems.append("jobs: \(total), counted: \(core.activeJobs)") }
    }

    /// Every recipient that is not done has a next event.
    func checkNextEvents() {
        for message in core.messages.values {
            if message.open == 0, !message.isFinishing { problems.append("\(message.id) is done and stays") }
            for vertex in message.vertices where vertex.open > 0 {
                let hasNext: Bool
                switch vertex.state {
                case .active: hasNext = vertex.agent != nil
                case .waiting: hasNext = vertex.due != .max
                case .ready: hasNext = vertex.due != .max && vertex.thread.ready.elements.contains { $0 === vertex }
                case .suspect:
                    hasNext = vertex.due != .max && (vertex.thread.pool?.suspects.contains { $0 === vertex } ?? false)
                case .held:
                    hasNext =
                        vertex.message.times.map { $0.due != .max } ?? false || core.isKeptBack(vertex)
                        || core.isSweeping
                case .done: hasNext = false
                }
                if !hasNext { problems.append("\(message.id): \(vertex.state) without a next event") }
            }
        }
        let open = core.messages.values.reduce(0) { $0 + $1.open }
        if open != core.recipientCount { problems.append("recipients: \(open), counted: \(core.recipientCount)") }
    }

    var expected: Int { recipients.values.reduce(0) { $0 + $1.count } }
    var loaded: Set<SpoolID> { Set(recipients.keys) }
}

@Suite("A random world with operators, from fixed seeds")
struct OperationsSimulationTests {
    static let rules = [
        ThreadRules(
            ring: 0, interval: 300, expiry: 86400, maximumJobs: 30, maximumChannelJobs: 20, maximumRingJobs: 18,
            maximumThreadJobs: 4, overfeed: 3, idleLimit: 600),
        ThreadRules(
            ring: 1, interval: 60, retries: [1, 2, 4], expiry: 40000, maximumJobs: 30, maximumThreadJobs: 1,
            idleLimit: 60, isAgeOrdered: true),
        ThreadRules(
            ring: 2, interval: 120, expiry: 86400, maximumJobs: 30, maximumRingJobs: 5, maximumThreadJobs: 10,
            idleLimit: 100, isAgentPerHost: true),
    ]

    @Test("the same events lead to the same run, whatever the order of the tables in memory")
    func determinism() {
        let worlds = [0, 5000].map { capacity in
            let world = World(seed: 1, rules: Self.rules)
            world.core.messages.reserveCapacity(capacity)
            world.core.threads.reserveCapacity(capacity)
            world.core.pools.reserveCapacity(capacity)
            world.core.agents.reserveCapacity(capacity)
            world.core.rings.reserveCapacity(capacity)
            world.core.channels.reserveCapacity(capacity)
            world.core.hosts.reserveCapacity(capacity)
            Self.play(world, rounds: 300)
            return world
        }
        #expect(worlds[0].jobs > 100)
        #expect(worlds[0].digest == worlds[1].digest)
    }

    @Test("each recipient gets one result, limits hold, nothing is forgotten", arguments: [1, 2, 3, 4, 5] as [UInt64])
    func world(seed: UInt64) {
        let world = World(seed: seed, rules: Self.rules)
        Self.play(world, rounds: 300)
        world.endOperations()
        world.run(until: world.core.now + 8 * 86400)
        world.checkNextEvents()
        #expect(world.problems.prefix(5) == [])
        #expect(world.isEmpty)
        #expect(world.operated > 100)
        #expect(world.core.operatorHeldCount == 0)
        #expect(world.finished == world.loaded)
        #expect(world.outcomes.count == world.expected)
        #expect(Set(world.outcomes.values) == [.relayed, .failed, .expired, .removed])
        // A job in hand may end later than its expiry; nothing else may.
        #expect(world.longestExpiryDelay <= 100)
        #expect(world.deaths > 10)
        #expect(world.returned > 2)
        #expect(world.core.heldCount == 0)
        #expect(world.core.threadCount == 0)
    }

    private static func play(_ world: World, rounds: Int) {
        for round in 0..<rounds {
            for _ in 0..<world.below(8) { world.load(hosts: 40) }
            world.run(until: world.core.now + Int64(world.below(60)))
            if round % 25 == 0 { world.checkNextEvents() }
            if round == 150 {
                let rules = Self.rules
                world.core.configure(
                    reportInterval: 600, rules: { channel, _ in rules.first { "c\($0.ring)" == channel } })
            }
            if round % 10 == 9 { world.operate() }
            if round % 70 == 69 { _ = world.core.flush { _, host in host.hasSuffix("1") } }
        }
    }
}
