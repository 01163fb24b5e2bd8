import SMTPProtocol
import Telemetry

/// What a worker counts (docs/operations.md, "Metrics"): an atomic add each, from any event loop.
final class ServerMetrics: Sendable {
    enum Stored: String, MetricLabel { case accepted, frozen, failed }
    enum Filtered: String, MetricLabel { case accepted, refused, frozen, bypassed, deferred, failed }
    enum Handshake: String, MetricLabel { case full, resumed, failed }
    enum Authentication: String, MetricLabel { case succeeded, refused, trouble }
    enum Intake: String, MetricLabel { case open, slow, closed }
    enum Command: String, MetricLabel {
        case connect, hello, mail, rcpt, data, auth, other

        init(_ line: String) {
            let verb = line.utf8.prefix { $0 != 0x20 && $0 != 0x3a }.map { (97...122).contains($0) ? $0 - 32 : $0 }
            switch String(decoding: verb, as: UTF8.self) {
            case "", "CONNECT": self = .connect
            case "HELO", "EHLO", "LHLO": self = .hello
            case "MAIL": self = .mail
            case "RCPT": self = .rcpt
            case "DATA", "BDAT": self = .data
            case "AUTH": self = .auth
            default: self = .other
            }
        }
    }

    /// Why something was refused, as the beginning of the reason in the log tells it; what is not known is ``other``.
    enum Reason: String, MetricLabel {
        case policy, relay, list, spf, greylist, rate, connections, filter, size, storage, queue, load, authentication,
            tls
        case earlier, trouble, `protocol`, other

        init(_ reason: String) { self = Self.beginnings.first { reason.hasPrefix($0.text) }?.reason ?? .other }

        private static let beginnings: [(text: String, reason: Reason)] = [
            ("protocol", .protocol), ("earlier rejection", .earlier), ("rejectnet", .policy), ("rejectsource", .policy),
            ("freezenet", .policy), ("freezesource", .policy), ("senderokwithdns", .policy), ("sendernorelay", .relay),
            ("relaytarget", .relay), ("relaycust", .relay), ("acceptif", .relay), ("nothing says", .relay),
            ("test-dns-rbl", .list), ("rcpt-dns-rbl", .list), ("test-rcpt-dns-rbl", .list), ("spf", .spf),
            ("greylist", .greylist), ("ratelimit", .rate), ("rate", .rate), ("maxsameipsource", .connections),
            ("MaxSameIpSource", .connections), ("MaxParallel", .connections), ("content filter", .filter),
            ("maxsize", .size), ("min-avail", .storage), ("fewer than", .storage), ("memory for messages", .storage),
            ("spool-unusable", .storage), ("queue-", .queue), ("load above", .load), ("auth", .authentication),
            ("tls", .tls), ("TLS", .tls), ("trouble", .trouble), ("no answer", .trouble), ("policy service", .trouble),
        ]
    }

    let sessions = MetricGauge("zmailer_smtp_sessions", "Sessions now.")
    let sessionsBegun = MetricCounter("zmailer_smtp_sessions_total", "Sessions that have begun.")
    let messages = MetricCounters<Stored>(
        "zmailer_smtp_messages_total", "outcome", "Messages: accepted, frozen, or not stored because of trouble here.")
    let octets = MetricCounter("zmailer_smtp_octets_total", "Octets of accepted messages.")
    let recipients = MetricCounter("zmailer_smtp_recipients_total", "Recipients of accepted messages.")
    let acceptTime = MetricHistogram(
        "zmailer_smtp_accept_seconds", "From the end of a message's data to its being durable.")
    let refusals = MetricCounters<Reason>("zmailer_smtp_refusals_total", "reason", "Refusals by reason.")
    let refusedCommands = MetricCounters<Command>(
        "zmailer_smtp_refused_commands_total", "command", "Refusals by command.")
    let filtered = MetricCounters<Filtered>(
        "zmailer_smtp_filtered_total", "outcome", "Messages that content filters have judged, or failed to.")
    let handshakes = MetricCounters<Handshake>(
        "zmailer_smtp_tls_handshakes_total", "outcome", "TLS handshakes: full, of a resumed session, failed.")
    let authentications = MetricCounters<Authentication>(
        "zmailer_smtp_auth_total", "outcome", "Logins: succeeded, refused (also given up by the client), not checked.")
    let policyTime = MetricHistogram(
        "zmailer_smtp_policy_seconds", "From a question to the policy service to its answer.")
    let unanswered = MetricCounter(
        "zmailer_smtp_policy_unanswered_total", "Questions that the policy service has not answered.")
    let intake = MetricCounters<Intake>(
        "zmailer_smtp_intake_changes_total", "state", "How often mail has come to be taken at once, slowly, not at all."
    )
    let intakeState = MetricGauge("zmailer_smtp_intake_state", "0: mail is taken; 1: slowly; 2: refused for now.")

    var metrics: Metrics {
        Metrics([
            sessions, sessionsBegun, messages, octets, recipients, acceptTime, refusals, refusedCommands, filtered,
            handshakes, authentications, policyTime, unanswered, intake, intakeState,
        ])
    }

    func refused(_ command: String, _ reason: String) {
        refusals.add(Reason(reason))
        refusedCommands.add(Command(command))
    }

    func changed(_ state: IntakeThrottle.State) {
        switch state {
        case .open:
            intake.add(.open)
            intakeState.set(0)
        case .slow:
            intake.add(.slow)
            intakeState.set(1)
        case .closed:
            intake.add(.closed)
            intakeState.set(2)
        }
    }
}
