import DequeModule
import MailModel
import Policy
import Resolver
import Telemetry

/// A fact and when it was asked for.
struct StoredFact {
    let answer: NameFact.Answer
    /// Milliseconds of the steady clock.
    let askedAt: Int64

    func fact(now: Int64) -> NameFact { NameFact(answer, age: Int(max(0, now - askedAt) / 1000)) }
}

/// Finds the facts that decisions lack: asks each question once for all who wait for it, keeps answers for a while, and gives up at
/// a deadline. Confined to one thread.
final class NameFactFinder {
    /// Milliseconds for one question.
    static let deadline: Int64 = 12_000
    /// Milliseconds for one question to a block or allow list.
    static let listDeadline: Int64 = 3_000
    /// Milliseconds for which an answer is believed at most, by kind; its own time to live may be shorter.
    static let lifetime: Int64 = 300_000
    static let negativeLifetime: Int64 = 60_000
    static let failureLifetime: Int64 = 5_000
    /// Questions on their way at once.
    static let outstandingLimit = 4000
    /// Answers kept.
    static let cacheLimit = 20_000
    /// Octets of an answer that is kept.
    static let cachedAnswerLimit = 4096

    private struct Cached {
        let fact: StoredFact
        let until: Int64
    }

    private struct Outstanding {
        let serial: UInt64
        let cancel: () -> Void
        let askedAt: Int64
        /// Decisions that wait; empty for a probe of a list.
        var waiting: [UInt64]
    }

    private struct Deadline {
        let time: Int64
        let question: NameQuestion
        let serial: UInt64
    }

    enum Asked {
        case onItsWay
        /// There is an answer at once: a list that is skipped, no room for more questions, no resolver.
        case answered(StoredFact)
    }

    private let resolvers: FactResolvers
    private var lastSerial: UInt64 = 0
    private let lists: ListHealth
    private let metrics: PolicyMetrics
    private let clock: () -> Int64
    /// Called when a question is answered or given up, with the decisions that waited for it.
    var found: (NameQuestion, StoredFact, [UInt64]) -> Void = { _, _, _ in }
    private var cache = BoundedCache<NameQuestion, Cached>(limit: NameFactFinder.cacheLimit)
    private var outstanding: [NameQuestion: Outstanding] = [:]
    /// In the order of time, as each deadline is the same for all in it.
    private var deadlines = Deque<Deadline>()
    private var listDeadlines = Deque<Deadline>()

    init(
        _ configuration: ResolverConfiguration, log: EventLog, metrics: PolicyMetrics,
        clock: @escaping () -> Int64
    ) throws(ResolverError) {
        resolvers = try FactResolvers(configuration)
        self.clock = clock
        self.metrics = metrics
        lists = ListHealth(log: log, metrics: metrics)
    }

    var descriptor: Int32? { resolvers.descriptor }
    func process() { resolvers.process() }

    func known(_ question: NameQuestion, now: Int64) -> StoredFact? {
        guard let cached = cache[question], now < cached.until else { return nil }
        return cached.fact
    }

    /// Asks for the decision `waiter`.
    func ask(_ question: NameQuestion, for waiter: UInt64, now: Int64) -> Asked {
        if !question.list.isEmpty {
            switch lists.admit(question.list, now: now) {
            case .ask: break
            case .skip(let reason): return .answered(StoredFact(answer: .failure(reason), askedAt: now))
            case .probe(let reason):
                // Nobody waits for a list that was dead a moment ago.
                _ = send(question, waiting: [], now)
                return .answered(StoredFact(answer: .failure(reason), askedAt: now))
            }
        }
        if outstanding[question] != nil {
            outstanding[question]?.waiting.append(waiter)
            return .onItsWay
        }
        return send(question, waiting: [waiter], now)
    }

    private func send(_ question: NameQuestion, waiting: [UInt64], _ now: Int64) -> Asked {
        func failed(_ reason: String) -> Asked { .answered(StoredFact(answer: .failure(reason), askedAt: now)) }
        guard outstanding[question] == nil else { return .onItsWay }
        guard Self.isAskable(question.name) else { return .answered(StoredFact(answer: .noName, askedAt: now)) }
        guard outstanding.count < Self.outstandingLimit else { return failed("too many questions are on their way") }
        let cancel: () -> Void
        do throws(ResolverError) {
            cancel = try resolvers.ask(
                Question(question.name + ".", Self.type(question.type)), list: question.list
            ) { [unowned self] lookup in answered(question, lookup) }
        } catch {
            return failed(error.messages.first ?? "resolver cannot start")
        }
        metrics.questions.add(question.list.isEmpty ? .name : .list)
        lastSerial += 1
        outstanding[question] = Outstanding(serial: lastSerial, cancel: cancel, askedAt: now, waiting: waiting)
        if question.list.isEmpty {
            deadlines.append(Deadline(time: now + Self.deadline, question: question, serial: lastSerial))
        } else {
            listDeadlines.append(Deadline(time: now + Self.listDeadline, question: question, serial: lastSerial))
        }
        return .onItsWay
    }

    /// The decision has ended without waiting for the answer; the answer is still of use to others.
    func forget(_ waiter: UInt64, _ questions: some Sequence<NameQuestion>) {
        for question in questions { outstanding[question]?.waiting.removeAll { $0 == waiter } }
    }

    // MARK: time

    var nextDeadline: Int64? {
        switch (deadlines.first?.time, listDeadlines.first?.time) {
        case (let time?, let listTime?): min(time, listTime)
        case (let time?, nil), (nil, let time?): time
        case (nil, nil): nil
        }
    }

    func tick(now: Int64) {
        while let first = deadlines.first, isOver(first, now) {
            deadlines.removeFirst()
            giveUp(first, seconds: Self.deadline / 1000)
        }
        while let first = listDeadlines.first, isOver(first, now) {
            listDeadlines.removeFirst()
            giveUp(first, seconds: Self.listDeadline / 1000)
        }
    }

    /// Past, or answered meanwhile.
    private func isOver(_ deadline: Deadline, _ now: Int64) -> Bool {
        deadline.time <= now || outstanding[deadline.question]?.serial != deadline.serial
    }

    private func giveUp(_ deadline: Deadline, seconds: Int64) {
        guard let given = outstanding[deadline.question], given.serial == deadline.serial else { return }
        given.cancel()
        finish(deadline.question, .failure("no answer in \(seconds) s"), lifetime: Self.failureLifetime)
    }

    // MARK: answers

    private func answered(_ question: NameQuestion, _ lookup: Lookup<[UInt8]>) {
        let (answer, timeToLive) = Self.answer(question.type, lookup)
        let lifetime: Int64 =
            switch answer {
            case .addresses, .exchangers, .texts, .names: min(Self.lifetime, timeToLive)
            case .noData, .noName: Self.negativeLifetime
            case .failure: Self.failureLifetime
            }
        finish(question, answer, lifetime: lifetime)
    }

    private func finish(_ question: NameQuestion, _ answer: NameFact.Answer, lifetime: Int64) {
        guard let known = outstanding.removeValue(forKey: question) else { return }
        let now = clock()
        metrics.answers.add(PolicyMetrics.Result(answer))
        metrics.lookups.observe(milliseconds: now - known.askedAt)
        if !question.list.isEmpty { lists.answered(question, answer, now: now) }
        let fact = StoredFact(answer: answer, askedAt: known.askedAt)
        if lifetime > 0, answer.size <= Self.cachedAnswerLimit {
            cache[question] = Cached(fact: fact, until: now + lifetime)
        }
        found(question, fact, known.waiting)
    }

    /// Printable, and a name by RFC 1035 §2.3.4; what is not cannot exist. A backslash would be read as an escape.
    private static func isAskable(_ name: String) -> Bool {
        var length = 0
        var total = 0
        for octet in name.utf8 {
            total += 1
            if octet == UInt8(ascii: ".") {
                if length == 0 { return false }
                length = 0
            } else {
                guard (0x21...0x7e).contains(octet), octet != UInt8(ascii: "\\") else { return false }
                length += 1
                if length > 63 { return false }
            }
        }
        return length > 0 && total <= 253
    }

    private static func type(_ type: NameQuestion.RecordType) -> RecordType {
        switch type {
        case .a: .a
        case .aaaa: .aaaa
        case .mx: .mx
        case .txt: .txt
        case .ptr: .ptr
        }
    }

    /// The answer and its time to live in milliseconds.
    private static func answer(
        _ type: NameQuestion.RecordType, _ lookup: Lookup<[UInt8]>
    ) -> (NameFact.Answer, Int64) {
        switch type {
        case .a: answer(lookup.addresses4) { .addresses($0) }
        case .aaaa: answer(lookup.addresses6) { .addresses($0) }
        case .mx:
            answer(lookup.exchangers) { records in
                .exchangers(
                    records.sorted { $0.preference < $1.preference }.map {
                        NameFact.Exchanger(preference: $0.preference, name: asciiLowercased($0.exchange))
                    })
            }
        case .txt: answer(lookup.texts) { .texts($0) }
        case .ptr: answer(lookup.names) { .names($0.map { asciiLowercased($0) }) }
        }
    }

    private static func answer<Record>(
        _ lookup: Lookup<Record>, _ make: ([Record]) -> NameFact.Answer
    ) -> (NameFact.Answer, Int64) {
        switch lookup {
        case .answer(let answer): (make(answer.records), answer.timeToLive.components.seconds * 1000)
        case .noData: (.noData, 0)
        case .nxDomain: (.noName, 0)
        case .temporaryFailure(let reason): (.failure(reason), 0)
        }
    }
}

extension NameFact.Answer {
    /// Octets in memory, about.
    var size: Int {
        switch self {
        case .addresses(let addresses): addresses.count * 32
        case .exchangers(let exchangers): exchangers.reduce(0) { $0 + $1.name.utf8.count + 32 }
        case .texts(let texts): texts.reduce(0) { $0 + $1.count + 32 }
        case .names(let names): names.reduce(0) { $0 + $1.utf8.count + 32 }
        case .noData, .noName, .failure: 32
        }
    }
}
