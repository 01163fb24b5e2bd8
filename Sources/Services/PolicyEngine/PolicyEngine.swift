import CPosix
import ChildProcesses
import DequeModule
import Glibc
import MailModel
import Policy
import Resolver
import Telemetry

/// Answers questions of policy: opens what decisions need to know (databases, tables, DNS, counters), finds the facts they lack, and
/// makes them. Confined to one thread, which waits for ``descriptor`` and ``nextDeadline``.
public final class PolicyEngine {
    /// Where the time comes from; tests have their own.
    public struct Clock {
        /// Of a clock that never goes back.
        public var milliseconds: () -> Int64
        /// Since 1970.
        public var seconds: () -> Int64

        public init(milliseconds: @escaping () -> Int64, seconds: @escaping () -> Int64) {
            self.milliseconds = milliseconds
            self.seconds = seconds
        }

        public static var system: Clock {
            Clock(milliseconds: { SteadyClock.milliseconds }, seconds: { cposix_milliseconds() / 1000 })
        }
    }

    /// Milliseconds for one question; then the answer is 451 4.4.3.
    public static let questionDeadline: Int64 = 25_000
    /// Questions that wait for facts at once; more are answered 451 4.3.0.
    public static let pendingLimit = 10_000
    /// Times a decision is made again because it lacks facts, and facts it may ask for.
    static let roundLimit = 100
    static let factLimit = 500
    /// Octets of these facts: who publishes answers of 64 KiB shall not fill our memory with them while others are awaited, nor
    /// have us read them again with each.
    static let factOctets = 128 << 10

    public let tables: MailTables
    public let metrics = PolicyMetrics()
    private let sources: PolicySources
    private let finder: NameFactFinder
    private let counters: EngineCounters
    private let clock: Clock
    private var pending: [UInt64: PendingDecision] = [:]
    private var lastPending: UInt64 = 0
    private var deadlines = Deque<(time: Int64, decision: UInt64)>()
    /// Decisions whose facts are all there.
    private var ready: [PendingDecision] = []
    private var spareFacts: DecisionFacts?
    private lazy var ownAsker = PolicyAsker(AskerSettings())

    /// `writesState`: the greylist is written, as one process may: the policy service. Others read it and keep what they see in memory.
    /// Nothing is opened before it is needed. Throws when the configuration's local zones are wrong.
    public init(
        _ configuration: MailConfiguration, writesState: Bool = false, log: EventLog, clock: Clock = .system
    ) throws(ResolverError) {
        self.clock = clock
        tables = MailTables(configuration, report: TableReports(log: log, namesMissing: false).write)
        sources = PolicySources(folder: configuration.tables, log: log)
        finder = try NameFactFinder(configuration.resolver, log: log, metrics: metrics, clock: clock.milliseconds)
        let greylist = Greylist(
            path: "\(configuration.postoffice)/.greylist", access: writesState ? .writing : .reading, log: log)
        counters = EngineCounters(greylist: greylist, clock: clock)
        finder.found = { [unowned self] question, fact, waiters in
            for waiter in waiters { found(question, fact, waiter) }
        }
    }

    // MARK: asking

    public func asker(_ settings: AskerSettings = AskerSettings()) -> PolicyAsker { PolicyAsker(settings) }

    /// Sessions now living, of all askers.
    public var connections: Int { counters.totalConnections }

    /// Questions that wait for facts.
    public var waiting: Int { pending.count }

    /// Calls `then` once, often before this returns; never if the asker goes before.
    public func ask(_ question: PolicyQuestion, from asker: PolicyAsker, then: @escaping (PolicyAnswer) -> Void) {
        var question = question
        question.client = question.client?.unmapped
        switch question.verb {
        case .connect:
            guard let client = question.client else { return decide(question, asker, then) }
            guard asker.sessions.begin(question.session, client) else {
                return then(
                    PolicyAnswer(number: question.number, verdict: .drop, reason: "session is known or too many"))
            }
            counters.connectionCounts.add(client)
            metrics.connections.set(counters.totalConnections)
            // Told and not asked: the session is older than this service, and its client was decided about then.
            guard question.number != 0 else {
                return then(PolicyAnswer(number: 0, verdict: .accept, reason: "connect"))
            }
            decide(question, asker) { [unowned self] answer in
                // Who is dropped is gone; who is refused lives until its disconnect.
                if answer.verdict == .drop { end(question.session, asker) }
                then(answer)
            }
        case .disconnect:
            end(question.session, asker)
            then(PolicyAnswer(number: question.number, verdict: .accept, reason: "disconnect"))
        case .stored:
            let account = question.identity == .login ? "" : question.authenticatedUser
            counters.stored(question.client, account: account, recipients: question.count)
            then(PolicyAnswer(number: question.number, verdict: .accept, reason: "stored"))
        case .authFailed:
            counters.authFailed(question.client, as: question.authenticatedUser)
            then(PolicyAnswer(number: question.number, verdict: .accept, reason: question.verb.rawValue))
        case .helo, .mail, .rcpt, .auth, .verify, .expand: decide(question, asker, then)
        }
    }

    private func end(_ session: String, _ asker: PolicyAsker) {
        if let address = asker.sessions.end(session) { counters.connectionCounts.remove(address) }
        metrics.connections.set(counters.totalConnections)
    }

    /// The asker has no more questions and wants no more answers; its sessions are over.
    public func forget(_ asker: PolicyAsker) {
        asker.isGone = true
        for address in asker.sessions.addresses.values { counters.connectionCounts.remove(address) }
        asker.sessions = AskerSessions()
        metrics.connections.set(counters.totalConnections)
    }

    /// The answer, however long it takes (25 s at most): for programs that have nothing else to do.
    public func answer(_ question: PolicyQuestion, _ settings: AskerSettings) -> PolicyAnswer {
        ownAsker.settings = settings
        var result: PolicyAnswer?
        ask(question, from: ownAsker) { result = $0 }
        while true {
            if let result { return result }
            let now = clock.milliseconds()
            let rest = max(0, (nextDeadline ?? now) - now)
            var entry = pollfd(fd: descriptor ?? -1, events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, Int32(clamping: min(rest, 1000)))
            resolverReady()
            tick()
        }
    }

    // MARK: the loop that waits

    /// Readable when ``resolverReady()`` has something to do; `nil` before the first question to the DNS.
    public var descriptor: Int32? { finder.descriptor }

    public func resolverReady() {
        finder.process()
        resume()
    }

    /// When ``tick()`` is due, in milliseconds of the steady clock; `nil`: not before the next question.
    public var nextDeadline: Int64? {
        switch (deadlines.first?.time, finder.nextDeadline) {
        case (let time?, let other?): min(time, other)
        case (let time?, nil), (nil, let time?): time
        case (nil, nil): nil
        }
    }

    /// Gives up what has taken too long.
    public func tick() {
        let now = clock.milliseconds()
        finder.tick(now: now)
        resume()
        while let first = deadlines.first, first.time <= now || pending[first.decision] == nil {
            deadlines.removeFirst()
            guard let decision = pending.removeValue(forKey: first.decision) else { continue }
            finder.forget(decision.number, decision.missing)
            answer(decision, Self.tooLate(decision.question, decision.missing))
        }
    }

    /// Reads all tables, so that the first question does not wait and mistakes are logged early.
    public func load() {
        tables.now = clock.milliseconds()
        _ = tables.load()
    }

    /// Opens the database that the settings name, likewise; what is wrong with it is logged, and answered to each question.
    public func prepare(_ settings: AskerSettings) {
        do throws(PolicyTrouble) { _ = try sources.current(settings.database, now: clock.milliseconds()) } catch {
            return
        }
    }

    /// SIGHUP: the next question looks at all files.
    public func lookAgain() {
        tables.lookAgain()
        sources.lookAgain()
    }

    // MARK: deciding

    private enum Outcome {
        case answered(PolicyAnswer)
        case needs([NameQuestion])
    }

    private func decide(_ question: PolicyQuestion, _ asker: PolicyAsker, _ then: @escaping (PolicyAnswer) -> Void) {
        let facts = spareFacts ?? DecisionFacts(finder)
        spareFacts = nil
        facts.now = clock.milliseconds()
        switch attempt(question, asker.settings, facts) {
        case .answered(let answer):
            facts.removeAll()
            spareFacts = facts
            metrics.decisions.add(PolicyMetrics.Verdict(answer))
            then(answer)
        case .needs(let questions):
            guard pending.count < Self.pendingLimit else {
                let answer = PolicyEvaluator.trouble(question, "too many questions wait for the DNS")
                metrics.decisions.add(PolicyMetrics.Verdict(answer))
                return then(answer)
            }
            lastPending += 1
            let decision = PendingDecision(number: lastPending, begun: facts.now, question, asker, facts, then)
            asker.waiting += 1
            pending[decision.number] = decision
            metrics.waiting.set(pending.count)
            deadlines.append((facts.now + Self.questionDeadline, decision.number))
            proceed(decision, questions)
        }
    }

    private func attempt(_ question: PolicyQuestion, _ settings: AskerSettings, _ facts: DecisionFacts) -> Outcome {
        tables.now = facts.now
        do throws(PolicySuspension) {
            let database: any PolicyDatabase
            do throws(PolicyTrouble) {
                database = try sources.current(settings.database, now: facts.now)
            } catch {
                throw .trouble(error)
            }
            let decision = try PolicyEvaluator(
                settings: settings, database: database, tables: tables, facts: facts, counters: counters
            ).decide(question)
            // A question that wants to be told the steps is a test (`zmailer explain`, `-T`): it leaves no trace.
            if !question.wantsSteps { for effect in decision.effects { counters.apply(effect) } }
            return .answered(decision.answer)
        } catch {
            switch error {
            case .needs(let questions): return .needs(questions)
            case .trouble(let trouble):
                return .answered(PolicyEvaluator.trouble(question, trouble.description))
            }
        }
    }

    /// Asks what the decision needs, and makes it again while all of that is known at once.
    private func proceed(_ decision: PendingDecision, _ questions: [NameQuestion]) {
        var questions = questions
        while true {
            let now = clock.milliseconds()
            decision.rounds += 1
            guard decision.rounds <= Self.roundLimit, decision.facts.count + questions.count <= Self.factLimit,
                decision.facts.octets <= Self.factOctets, !questions.isEmpty
            else {
                pending[decision.number] = nil
                return answer(decision, PolicyEvaluator.trouble(decision.question, "needs too many DNS answers"))
            }
            for question in questions where !decision.facts.has(question) {
                switch finder.ask(question, for: decision.number, now: now) {
                case .onItsWay: decision.missing.insert(question)
                case .answered(let fact): decision.facts.keep(fact, question)
                }
            }
            guard decision.missing.isEmpty else { return }
            decision.facts.now = now
            switch attempt(decision.question, decision.asker.settings, decision.facts) {
            case .answered(let result):
                pending[decision.number] = nil
                return answer(decision, result)
            case .needs(let more): questions = more
            }
        }
    }

    private func found(_ question: NameQuestion, _ fact: StoredFact, _ waiter: UInt64) {
        guard let decision = pending[waiter], decision.missing.remove(question) != nil else { return }
        decision.facts.keep(fact, question)
        if decision.missing.isEmpty { ready.append(decision) }
    }

    private func resume() {
        while !ready.isEmpty {
            let batch = ready
            ready.removeAll(keepingCapacity: true)
            for decision in batch where pending[decision.number] != nil {
                guard !decision.asker.isGone else {
                    pending[decision.number] = nil
                    metrics.waiting.set(pending.count)
                    continue
                }
                decision.facts.now = clock.milliseconds()
                switch attempt(decision.question, decision.asker.settings, decision.facts) {
                case .answered(let result):
                    pending[decision.number] = nil
                    answer(decision, result)
                case .needs(let questions): proceed(decision, questions)
                }
            }
        }
    }

    private func answer(_ decision: PendingDecision, _ answer: PolicyAnswer) {
        decision.asker.waiting -= 1
        metrics.waiting.set(pending.count)
        metrics.decisions.add(PolicyMetrics.Verdict(answer))
        metrics.waits.observe(milliseconds: clock.milliseconds() - decision.begun)
        guard !decision.asker.isGone else { return }
        decision.then(answer)
    }

    private static func tooLate(_ question: PolicyQuestion, _ missing: Set<NameQuestion>) -> PolicyAnswer {
        let names = missing.map { "\($0.type.rawValue) \($0.name)" }.sorted().prefix(5).joined(separator: ", ")
        var answer = PolicyEvaluator.trouble(
            question, "no answer from the DNS in \(questionDeadline / 1000) s: \(names)")
        answer.reply = Reply(451, EnhancedStatusCode(4, 4, 3), "Temporary DNS trouble, try again later")
        return answer
    }
}
