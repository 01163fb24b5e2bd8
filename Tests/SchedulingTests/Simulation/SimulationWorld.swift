import AgentProtocol
import MailModel
import SpoolFormat

@testable import Scheduling

/// A world around the core: hosts that are up, down, busy or greylisting, agents that take their time, hang and die, a disk that answers
/// later, new configurations, clocks that jump. All from one seed.
final class SimulationWorld {
    enum Event {
        case arrive
        case hungry(Int)
        case done(agent: Int, job: SimulatedAgent.Job)
        case death(Int)
        case recorded(SpoolID, Int)
        case finished(SpoolID)
        case reported(SpoolID)
        case configure
        case flush
        case jump(Int64)
        case sweep
    }

    struct Mail {
        let number: Int
        let count: Int
        /// A bit for each recipient with a final result.
        var done: UInt64 = 0
        let release: UnixTime
        let hasDeliverBy: Bool
        /// Records that the sender has not been told of.
        var unreported = 0
        var notices = 0
        var firstFed: UnixTime = 0
        /// Its first recipient's host takes everything, on a channel without limits of its own.
        let isPrompt: Bool
    }

    let plan: SimulationPlan
    let core: DeliveryScheduler
    var random: SplitMix64
    var events = SimulatedTime<Event>()
    var agents: [Int: SimulatedAgent] = [:]
    var mail: [SpoolID: Mail] = [:]
    var firstTries: [UInt64: UnixTime] = [:]
    /// Hosts that have had a job which never ended.
    var hanging: Set<String> = []
    /// The time that passes; the clock shows ``offset`` more.
    var time = SimulationPlan.start
    var offset: Int64 = 0
    var isTight = false
    var counts = SimulatedCounts()
    var tally = SimulatedTally()
    /// By how much the clock went on in the last step, and whether a job has just ended: what may expire late.
    var step: Int64 = 0
    var isEnding = false
    var lastChange: UnixTime = 0
    private var nextMessage: UInt64 = 0
    private var nextJob = 0
    private var loaded = 0

    init(_ plan: SimulationPlan) {
        self.plan = plan
        random = SplitMix64(seed: plan.seed)
        core = DeliveryScheduler(
            now: SimulationPlan.start, seed: plan.seed, reportInterval: 900,
            rules: { channel, _ in SimulationPlan.rules(channel, isTight: false) })
        events.add(.arrive, at: time)
        let end = time + plan.arrivalTime
        for (event, count) in [(Event.configure, 12), (.flush, 10), (.sweep, 14)] {
            for index in 1...count { events.add(event, at: time + plan.arrivalTime * Int64(index) / Int64(count) + 7) }
        }
        events.add(.jump(2 * 3600), at: time + plan.arrivalTime / 3)
        events.add(.jump(-3600), at: time + plan.arrivalTime / 2)
        for hours in 0..<120 { events.add(.flush, at: end + Int64(hours) * 3600) }
        for index in 1...6 { events.add(.sweep, at: end + Int64(index) * 40000) }
    }

    func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

    func after(_ delay: Int, _ event: Event) { events.add(event, at: time + Int64(delay)) }

    /// Until nothing is left, or `limit` seconds have passed.
    func run(limit: Int64) {
        let end = time + limit
        settle()
        while time < end, core.messageCount > 0 || loaded < plan.recipients {
            var next = events.next ?? end
            if let timer = core.nextEvent { next = min(next, max(timer - offset, time)) }
            time = min(next, end)
            let before = core.now
            core.advance(to: time + offset)
            step = core.now - before
            settle()
            step = 0
            while let event = events.pop(due: time) {
                tally.events += 1
                happen(event)
                settle()
            }
        }
    }

    private func happen(_ event: Event) {
        switch event {
        case .arrive: arrive()
        case .hungry(let number):
            guard let agent = agents[number] else { return }
            for _ in 0..<agent.workers { core.received(.hungry, from: number) }
        case .done(let number, let job): end(number, job)
        case .death(let number): die(number)
        case .recorded(let id, let vertex): core.recorded(id, vertex: vertex)
        case .finished(let id): finished(id)
        case .reported(let id):
            let count = mail[id]?.unreported ?? 0
            mail[id]?.unreported = 0
            core.reported(id, count: count)
        case .configure:
            isTight.toggle()
            lastChange = core.now
            let isTight = isTight
            core.configure(
                reportInterval: 900, rules: { channel, _ in SimulationPlan.rules(channel, isTight: isTight) })
        case .flush: _ = core.flush { channel, host in channel == "etrn" || host.hasSuffix("77") }
        case .jump(let seconds):
            offset += seconds
            let before = core.now
            core.advance(to: time + offset)
            step = core.now - before
            settle()
            step = 0
        case .sweep: checkAll()
        }
    }

    // MARK: Mail

    private func arrive() {
        let isBurst = below(max(1, plan.burst / 3)) == 0
        let host = below(plan.destinations)
        let channel = channel()
        for _ in 0..<(isBurst ? plan.burst : 1 + below(10)) where loaded < plan.recipients {
            load(isBurst ? (host, channel) : nil)
        }
        guard loaded < plan.recipients else { return }
        let left = SimulationPlan.start + plan.arrivalTime - time
        // Six at a time on average, and half as many in bursts.
        let batches = max(1, (plan.recipients - loaded) / 9)
        let pause = max(0, Double(left) / Double(batches))
        let whole = Int(pause)
        after(whole + (Double(below(1000)) < (pause - Double(whole)) * 1000 ? 1 : 0), .arrive)
    }

    private func channel() -> String {
        switch below(20) {
        case 0: "etrn"
        case 1, 2: "program"
        case 3, 4: "slow"
        case 5...8: "smtpx"
        default: "smtp"
        }
    }

    private func load(_ target: (host: Int, channel: String)?) {
        nextMessage += 1
        let arrived = core.now
        let id = SpoolID(rawValue: UInt64(arrived) * 1000 << 22 | (nextMessage & 0x3f_ffff))
        let count = target == nil && below(50) == 0 ? 2 + below(30) : 1
        let deadlines: [LoadedRecipient.Deadline] = [.return, .notify]
        let deadline = below(40) == 0 ? deadlines[below(2)] : .none
        let release = below(50) == 0 ? arrived + Int64(below(50000)) : arrived
        var isPrompt = false
        let recipients = (0..<count).map { index in
            let host = target?.host ?? below(plan.destinations)
            let channel = target?.channel ?? channel()
            if index == 0 {
                // What stands behind other mail of its own destination, or at one with a job that never ends, has its reason to wait.
                isPrompt =
                    SimulatedHost(host).isUp && SimulationPlan.promptChannels.contains(channel) && target == nil
                    && core.hosts["h\(host)"] == nil && !hanging.contains("h\(host)")
            }
            var recipient = LoadedRecipient(
                offset: 100 + index * 50, channel: channel, host: "h\(host)", address: "\(index)@h\(host)",
                notify: below(5) == 0 ? [.success, .failure] : .standard)
            recipient.deadline = deadline
            return recipient
        }
        mail[id] = Mail(
            number: Int(nextMessage), count: count, release: release, hasDeliverBy: deadline != .none,
            isPrompt: isPrompt && release == arrived)
        loaded += count
        tally.recipients += count
        tally.messages += 1
        core.load(
            LoadedMessage(
                id: id, arrived: arrived, size: 4000, sender: "sender\(below(1000))@some.domain.test",
                isErrorMessage: false, recipients: recipients, heldUntil: release > arrived ? release : nil,
                deliverBy: deadline == .none ? nil : arrived + Int64(below(90000)),
                priority: below(10) == 0 ? below(19) - 9 : 0))
    }

    private func finished(_ id: SpoolID) {
        guard let entry = mail.removeValue(forKey: id) else { return tally.note("finished twice: \(id)") }
        if entry.done != (entry.count >= 64 ? .max : (1 << UInt64(entry.count)) - 1) {
            tally.note("removed with recipients undone: \(id)")
        }
        tally.finished += 1
        core.finished(id)
    }

    // MARK: Actions

    func settle() {
        while true {
            let actions = core.takeActions()
            if actions.isEmpty, !core.isBehind { break }
            for action in actions { perform(action) }
        }
    }

    private func perform(_ action: SchedulerAction) {
        switch action {
        case .startAgent(let number, let channel, _):
            agents[number] = SimulatedAgent(channel: channel, workers: 1 + below(5))
            tally.agents += 1
            tally.mostAgents = max(tally.mostAgents, agents.count)
            if below(50) == 0 { after(below(3), .death(number)) } else { after(below(3), .hungry(number)) }
            if below(20) == 0 { after(10 + below(5000), .death(number)) }
        case .feed(let number, let id, let host, _): feed(number, id, host)
        case .killAgent(let number):
            tally.kills += 1
            after(1, .death(number))
        case .closeAgent(let number):
            agents[number]?.isClosing = true
            endIfClosed(number)
        case .append(let id, let vertex, let record, _):
            if !record.isReported { mail[id]?.unreported += 1 }
            if record.isDelayNotice { noteDelay(id) }
            after(below(3), .recorded(id, vertex))
        case .report(let id):
            tally.reports += 1
            after(below(3), .reported(id))
        case .finish(let id, let ending):
            if ending == .reportAndRemove, mail[id]?.unreported == 0 { tally.note("nothing to report: \(id)") }
            if ending == .remove, (mail[id]?.unreported ?? 0) > 0 { tally.note("removed untold: \(id)") }
            after(below(3), .finished(id))
        case .reread: tally.note("nobody asked to read again")
        case .move, .reroute: tally.note("no operator is at work here")
        case .log(.result(let entry)): note(entry)
        case .log(.strayReport): tally.note("stray report")
        case .log: break
        }
    }

    private func feed(_ number: Int, _ id: SpoolID, _ host: String) {
        guard let agent = agents[number] else { return tally.note("fed an agent that is not there") }
        if agent.isClosing { tally.note("fed an agent that is closed") }
        if mail[id]?.release ?? 0 > core.now { tally.note("fed before its release: \(id)") }
        nextJob += 1
        tally.jobs += 1
        noteFirst(id, host)
        let job = SimulatedAgent.Job(id: id, host: host, number: nextJob)
        checkRate(agent.channel, host)
        if agent.working.count < agent.workers {
            start(job, number, agent)
            checkLimits(agent.channel, host)
        } else {
            agent.ahead.append(job)
        }
    }

    private func start(_ job: SimulatedAgent.Job, _ number: Int, _ agent: SimulatedAgent) {
        agent.working.append(job)
        counts.add(agent.channel, job.host, 1)
        if (mail[job.id]?.number ?? 0) % 50000 == 49999 { return after(0, .death(number)) }
        // One in a hundred thousand never ends.
        if below(100_000) == 0 {
            hanging.insert(job.host)
        } else {
            after(below(20) == 0 ? below(60) : below(3), .done(agent: number, job: job))
        }
    }

    private func end(_ number: Int, _ job: SimulatedAgent.Job) {
        guard let agent = agents[number], let index = agent.working.firstIndex(of: job) else { return }
        agent.working.remove(at: index)
        let atATime = counts.hosts[job.host] ?? 0
        counts.add(agent.channel, job.host, -1)
        if let next = agent.ahead.first {
            agent.ahead.removeFirst()
            start(next, number, agent)
        }
        isEnding = true
        answer(number, job, atATime)
        isEnding = false
        // Now and then the report is read before the next #hungry has come.
        if below(4) == 0 { settle() }
        core.received(.hungry, from: number)
        endIfClosed(number)
    }

    private func endIfClosed(_ number: Int) {
        guard let agent = agents[number], agent.isClosing, agent.working.isEmpty, agent.ahead.isEmpty else { return }
        agents[number] = nil
        core.agentEnded(number)
    }

    private func die(_ number: Int) {
        guard let agent = agents.removeValue(forKey: number) else { return }
        for job in agent.working { counts.add(agent.channel, job.host, -1) }
        tally.deaths += 1
        isEnding = true
        core.agentEnded(number)
        settle()
        isEnding = false
    }

    /// What the host says to each recipient of a job.
    private func answer(_ number: Int, _ job: SimulatedAgent.Job, _ atATime: Int) {
        guard
            let vertex = core.agents[number]?.jobs.first(where: {
                $0.message.id == job.id && $0.thread.key.host == job.host
            })
        else { return tally.note("a job that the core does not know") }
        let host = Int(job.host.dropFirst()) ?? 0
        for recipient in vertex.recipients where recipient.state == .awaiting {
            let result = result(SimulatedHost(host), atATime, job.id, Int(recipient.offset))
            let action: Notary.Action = result == .ok ? .relayed : result == .failed ? .failed : .delayed
            core.received(
                .report(
                    AgentReport(
                        file: job.id, offset: Int(recipient.offset),
                        notary: Notary(finalRecipient: recipient.address, action: action, status: "4.0.0"),
                        result: result, message: "host \(job.host) says so at some length")), from: number)
        }
        settle()
    }

    private func result(_ host: SimulatedHost, _ atATime: Int, _ id: SpoolID, _ offset: Int) -> DeliveryResult {
        switch host {
        case .dead: return .deferredAll
        case .flapping where (time - SimulationPlan.start) / 43200 % 2 == 0: return .deferredAll
        case .busy(let limit) where atATime > limit: return .deferredAll
        case .full: return .deferred
        case .greylisting:
            let key = id.rawValue &* 64 &+ UInt64(offset / 50)
            guard let first = firstTries[key] else {
                firstTries[key] = time
                return .deferred
            }
            if time < first + 300 { return .deferred }
            firstTries[key] = nil
        case .scheduling where below(10) == 0: return .retry(afterSeconds: 30 + below(5000))
        case .up, .flapping, .busy, .scheduling: break
        }
        return below(50) == 0 ? .failed : .ok
    }
}
