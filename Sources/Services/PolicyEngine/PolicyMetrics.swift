import MailModel
import Policy
import Telemetry

/// What the policy service counts (docs/operations.md, "Metrics").
public final class PolicyMetrics: Sendable {
    enum Verdict: String, MetricLabel {
        case accept, submit, refuse, `defer`, drop

        init(_ answer: PolicyAnswer) {
            switch answer.verdict {
            case .accept: self = .accept
            case .submit: self = .submit
            case .refuse: self = answer.reply.map { $0.code / 100 == 4 } ?? false ? .defer : .refuse
            case .drop: self = .drop
            }
        }
    }

    enum Kind: String, MetricLabel { case name, list }
    enum Result: String, MetricLabel {
        case found, none, failure

        init(_ answer: NameFact.Answer) {
            switch answer {
            case .addresses, .exchangers, .texts, .names: self = .found
            case .noData, .noName: self = .none
            case .failure: self = .failure
            }
        }
    }

    let decisions = MetricCounters<Verdict>(
        "zmailer_policy_decisions_total", "verdict", "Answers to questions about clients, senders and recipients.")
    let waits = MetricHistogram(
        "zmailer_policy_wait_seconds", "From a question that needed the DNS to its answer.")
    let waiting = MetricGauge("zmailer_policy_waiting", "Questions that wait for the DNS.")
    let connections = MetricGauge("zmailer_policy_clients", "Sessions that count against limits.")
    let questions = MetricCounters<Kind>(
        "zmailer_policy_dns_questions_total", "kind", "Questions to the DNS: about names, or to block and allow lists.")
    let answers = MetricCounters<Result>(
        "zmailer_policy_dns_answers_total", "result", "What became of them; failure: also no answer in time.")
    let lookups = MetricHistogram("zmailer_policy_dns_seconds", "From a question to the DNS to its answer.")
    let deadLists = MetricGauge("zmailer_policy_dead_lists", "Lists that do not answer, and are skipped.")

    public var metrics: Metrics {
        Metrics([decisions, waits, waiting, connections, questions, answers, lookups, deadLists])
    }
}
