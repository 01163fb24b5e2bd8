import MailModel
import Policy
import Telemetry

/// Which block and allow lists answer. One that does not is skipped for a while, so that it delays nobody; then one question is asked
/// for which nobody waits. Also says in the log when a list's answers make no sense. Confined to one thread.
final class ListHealth {
    /// Failures in a row that make a list dead.
    static let failureLimit = 3
    /// Milliseconds for which a dead list is skipped.
    static let skipTime: Int64 = 60_000
    /// Milliseconds between two log lines about strange answers of one list.
    static let logInterval: Int64 = 600_000
    /// Lists that are remembered.
    static let limit = 1000

    enum Admission: Equatable {
        case ask
        case skip(String)
        /// Ask, and tell whoever wants to know that there is no answer.
        case probe(String)
    }

    private struct State {
        var failures = 0
        /// Not `nil`: the list is dead until a probe is answered; the next one goes out then.
        var nextProbe: Int64?
        var nextLog: Int64 = .min
    }

    private let log: EventLog
    private let metrics: PolicyMetrics
    private var states = BoundedCache<String, State>(limit: ListHealth.limit)

    init(log: EventLog, metrics: PolicyMetrics) {
        self.log = log
        self.metrics = metrics
    }

    func admit(_ list: String, now: Int64) -> Admission {
        guard var state = states[list], let nextProbe = state.nextProbe else { return .ask }
        let reason = "list does not answer, skipped"
        guard now >= nextProbe else { return .skip(reason) }
        state.nextProbe = now + Self.skipTime
        states[list] = state
        return .probe(reason)
    }

    func answered(_ question: NameQuestion, _ answer: NameFact.Answer, now: Int64) {
        let list = question.list
        switch answer {
        case .failure(let reason):
            var state = states[list] ?? State()
            state.failures += 1
            if state.failures >= Self.failureLimit, state.nextProbe == nil {
                log.warning(
                    "list-dead", ["list": list, "reason": reason, "skipped": "until it answers, asked once a minute"])
                state.nextProbe = now + Self.skipTime
                metrics.deadLists.add(1)
            }
            states[list] = state
        case .addresses(let addresses):
            alive(list)
            if let strange = addresses.first(where: Self.isError) { complain(question, strange, now) }
        case .exchangers, .texts, .names, .noData, .noName: alive(list)
        }
    }

    private func alive(_ list: String) {
        guard var state = states[list], state.failures > 0 else { return }
        if state.nextProbe != nil {
            log.notice("list-back", ["list": list])
            metrics.deadLists.add(-1)
        }
        state.failures = 0
        state.nextProbe = nil
        states[list] = state
    }

    private func complain(_ question: NameQuestion, _ address: IPAddress, _ now: Int64) {
        var state = states[question.list] ?? State()
        guard now >= state.nextLog else { return }
        state.nextLog = now + Self.logInterval
        states[question.list] = state
        log.warning(
            "list-error",
            [
                "list": question.list, "name": question.name, "answer": "\(address)",
                "meaning": "an error of the list, no hit; said once in \(Self.logInterval / 60_000) minutes",
            ])
    }

    /// Neither "listed" (127.0.0.0/8) nor nothing: 127.255.255.0/24 is where lists put errors (a resolver they refuse, a wrong name).
    static func isError(_ address: IPAddress) -> Bool {
        guard case .v4(let value) = address.unmapped else { return true }
        return value >> 24 != 127 || value >> 8 == 0x7fffff
    }
}
