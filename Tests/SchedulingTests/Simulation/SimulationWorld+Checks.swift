import MailModel
import SpoolFormat

@testable import Scheduling

/// Jobs that agents of the world are really working on.
struct SimulatedCounts {
    struct Thread: Hashable {
        let channel: String
        let host: String
    }
    var total = 0
    var channels: [String: Int] = [:]
    var threads: [Thread: Int] = [:]
    var hosts: [String: Int] = [:]
    /// The last times at which messages of threads with a rate were handed out.
    var handOuts: [Thread: [UnixTime]] = [:]

    mutating func add(_ channel: String, _ host: String, _ count: Int) {
        total += count
        channels[channel, default: 0] += count
        let thread = Thread(channel: channel, host: host)
        let jobs = threads[thread, default: 0] + count
        threads[thread] = jobs == 0 ? nil : jobs
        let all = hosts[host, default: 0] + count
        hosts[host] = all == 0 ? nil : all
    }
}

/// What has come of it.
struct SimulatedTally {
    var events = 0
    var recipients = 0
    var messages = 0
    var finished = 0
    var jobs = 0
    var agents = 0
    var mostAgents = 0
    var deaths = 0
    var kills = 0
    var reports = 0
    var delayNotices = 0
    var outcomes: [DeliveryLogEntry.Outcome: Int] = [:]
    /// Seconds from the arrival to the first attempt at a host that takes everything.
    var longestWait: Int64 = 0
    var promptMessages = 0
    var sweeps = 0
    /// The first ones.
    var problems: [String] = []
    var problemCount = 0

    mutating func note(_ problem: String) {
        problemCount += 1
        if problems.count < 20 { problems.append(problem) }
    }
}

extension SimulationWorld {
    private func rules(_ channel: String) -> ThreadRules {
        SimulationPlan.rules(channel, isTight: isTight) ?? ThreadRules()
    }

    /// A job has just been started because the core wanted it: no limit may be passed.
    func checkLimits(_ channel: String, _ host: String) {
        let rules = rules(channel)
        let thread = counts.threads[SimulatedCounts.Thread(channel: channel, host: host)] ?? 0
        if counts.total > rules.maximumJobs { tally.note("maxta: \(counts.total)") }
        let ofChannel = counts.channels[channel] ?? 0
        if ofChannel > rules.maximumChannelJobs { tally.note("maxchannel of \(channel): \(ofChannel)") }
        // Each channel of this world is one ring.
        if ofChannel > rules.maximumRingJobs { tally.note("maxring of \(channel): \(ofChannel)") }
        if thread > rules.maximumThreadJobs { tally.note("maxthr of \(channel)/\(host): \(thread)") }
        let ofHost = counts.hosts[host] ?? 0
        if ofHost > rules.maximumHostJobs { tally.note("maxconn of \(host): \(ofHost)") }
        if let window = core.threads[ThreadKey(channel: channel, host: host)]?.limit, thread > window {
            tally.note("window of \(channel)/\(host): \(thread)")
        }
    }

    func checkRate(_ channel: String, _ host: String) {
        let rules = rules(channel)
        guard rules.rate != .max else { return }
        var times = counts.handOuts[SimulatedCounts.Thread(channel: channel, host: host)] ?? []
        times.append(core.now)
        if times.count > rules.rate {
            if times[times.count - 1 - rules.rate] > core.now - rules.rateInterval {
                tally.note("maxrate of \(channel)/\(host)")
            }
            times.removeFirst()
        }
        counts.handOuts[SimulatedCounts.Thread(channel: channel, host: host)] = times
    }

    func noteFirst(_ id: SpoolID, _ host: String) {
        guard let entry = mail[id], entry.isPrompt, entry.firstFed == 0, !hanging.contains(host) else { return }
        mail[id]?.firstFed = time
        // A message with several recipients counts by its first job; time is compared with the clock that never jumps.
        tally.promptMessages += 1
        tally.longestWait = max(tally.longestWait, core.now - entry.release)
    }

    func noteDelay(_ id: SpoolID) {
        tally.delayNotices += 1
        guard let entry = mail[id] else { return }
        mail[id]?.notices += 1
        if entry.notices + 1 > entry.count * (2 + (entry.hasDeliverBy ? 1 : 0)) { tally.note("told too often: \(id)") }
    }

    func note(_ entry: DeliveryLogEntry) {
        guard entry.outcome != .deferred else { return }
        tally.outcomes[entry.outcome, default: 0] += 1
        guard let index = entry.recipient.split(separator: "@").first.flatMap({ UInt64($0) }) else { return }
        guard let known = mail[entry.id] else { return tally.note("a result of what is gone: \(entry.id)") }
        if known.done & (1 << index) != 0 { tally.note("two results for \(entry.recipient) of \(entry.id)") }
        mail[entry.id]?.done |= 1 << index
        if entry.outcome == .expired, !entry.text.hasPrefix("not delivered by") { checkExpiry(entry) }
    }

    /// In its second, unless an agent had it, the clock jumped over it or the rules are new.
    private func checkExpiry(_ entry: DeliveryLogEntry) {
        let rules = rules(entry.channel)
        let late = entry.delay - rules.expiry
        if late < 0 { return tally.note("expired early: \(entry.id) \(late)") }
        let untried = rules.expiry2 > 0 ? rules.expiry2 : SimulationPlan.day
        if late == 0 || late == untried || isEnding || core.now == lastChange { return }
        if late < step || (late > untried && late - untried < step) { return }
        tally.note("expired late by \(late) s: \(entry.id) \(entry.channel)/\(entry.host)")
    }

    /// Every recipient that is not done has a next event, and what the core has counted is so.
    func checkAll() {
        settle()
        tally.sweeps += 1
        var ready: Set<ObjectIdentifier> = []
        for thread in core.threads.values {
            for vertex in thread.ready.elements { ready.insert(ObjectIdentifier(vertex)) }
            checkProgress(thread)
        }
        for pool in core.pools.values { pool.suspects.forEach { ready.insert(ObjectIdentifier($0)) } }
        var open = 0
        for message in core.messages.values {
            open += message.open
            if message.open == 0, !message.isFinishing { tally.note("\(message.id) is done and stays") }
            for vertex in message.vertices where vertex.open > 0 {
                let hasNext: Bool
                switch vertex.state {
                case .active: hasNext = vertex.agent != nil
                case .waiting: hasNext = vertex.due != .max
                case .ready, .suspect: hasNext = vertex.due != .max && ready.contains(ObjectIdentifier(vertex))
                case .held: hasNext = vertex.message.times.map { $0.due != .max } ?? false
                case .done: hasNext = false
                }
                if !hasNext { tally.note("\(message.id): \(vertex.state) without a next event") }
            }
        }
        if open != core.recipientCount { tally.note("recipients: \(open), counted: \(core.recipientCount)") }
        if mail.count != core.messageCount { tally.note("messages: \(mail.count), known: \(core.messageCount)") }
    }

    /// A thread with something ready is in its pool's turn, waits for a time, or for a job of its host to end.
    private func checkProgress(_ thread: DeliveryThread) {
        guard let rules = thread.rules, !rules.isQueueOnly || thread.isReleased,
            thread.ready.elements.contains(where: { $0.state == .ready && $0.writes == 0 })
        else { return }
        let hasNext =
            thread.isQueued || (thread.due != .max && thread.due > core.now) || thread.active > 0
            || thread.host.active > 0
        if !hasNext { tally.note("\(thread.key) is ready and nothing comes for it") }
        guard thread.isQueued, let pool = thread.pool else { return }
        let isServed =
            pool.isBlocked || pool.starting > 0 || pool.notBefore > core.now || pool.isDirty
            || pool.agents.contains { !$0.jobs.isEmpty }
        if !isServed { tally.note("nobody serves \(thread.key)") }
    }
}
