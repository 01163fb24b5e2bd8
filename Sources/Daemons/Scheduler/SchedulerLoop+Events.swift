import AgentProtocol
import Scheduling
import SpoolFormat
import Telemetry

/// What the core has to say, as lines of the log.
extension SchedulerLoop {
    func write(_ event: SchedulerEvent) {
        switch event {
        case .result(let entry): write(entry)
        case .unmatched(let channel, let host, let id):
            log.error(
                "no-clause",
                [
                    "queue-id": "\(id)", "channel": channel, "host": host,
                    "reason": "no clause of \(configurationPath) has a command for it; the mail waits",
                ])
        case .strayReport(let agent, let report):
            log.warning("stray-report", ["agent": agents[agent]?.name ?? "#\(agent)", "text": report.line])
        case .poison(let id, let channel, let host, let next):
            log.error(
                "poison",
                [
                    "queue-id": "\(id)", "channel": channel, "host": host,
                    "reason": "agents have died over it three times", "next": "\(next)",
                ])
        case .backOff(let channel, let host, let until, let problem):
            log.info("back-off", ["channel": channel, "host": host, "until": "\(until)", "text": problem])
        case .hungAgent(let agent, let id, let seconds):
            log.error(
                "agent-hung",
                [
                    "queue-id": "\(id)", "agent": agents[agent]?.name ?? "#\(agent)",
                    "reason": "it has had the job for \(seconds) s and is ended",
                ])
        case .operated(let id, let verb, let note):
            log.info("operator", ["queue-id": "\(id)", "verb": verb, "by": note.operatorName, "reason": note.reason])
        case .suspensionEnded(let suspension):
            log.notice(
                "suspension-ended", ["number": "\(suspension.number)", "target": suspension.target])
        case .held(let id, let until): log.info("held", ["queue-id": "\(id)", "until": "\(until)"])
        case .released(let id, let late): log.info("released", ["queue-id": "\(id)", "late": "\(late)"])
        case .late(let id, let recipient, let text, let isTold):
            log.info(
                "late", ["queue-id": "\(id)", "to": recipient, "reported": isTold ? "yes" : "no", "text": text])
        case .resync(let agent, let id):
            log.warning(
                "resync",
                [
                    "queue-id": "\(id)", "agent": agents[agent]?.name ?? "#\(agent)",
                    "reason": "the agent found nothing to deliver; reading the control file again",
                ])
        }
    }

    /// The line that tools read: its keys and their order stay.
    private func write(_ entry: DeliveryLogEntry) {
        metrics.count(entry)
        log.info(
            "delivery",
            [
                "queue-id": "\(entry.id)", "to": entry.recipient, "orig_to": entry.original ?? entry.recipient,
                "channel": entry.channel, "host": entry.host, "relay": entry.relay.isEmpty ? "-" : entry.relay,
                "tls": entry.security.isEmpty ? "-" : entry.security, "delay": "\(entry.delay)", "dsn": entry.status,
                "status": entry.outcome.rawValue, "text": entry.text,
            ])
    }
}
