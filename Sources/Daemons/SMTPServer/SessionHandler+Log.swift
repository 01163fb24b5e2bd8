import Policy
import SMTPProtocol
import Telemetry

extension SessionHandler {
    /// A line for each refusal, with the reason that stands now. To be called behind each answer to the session.
    func logRefusals(event: StaticString = "refused") {
        defer {
            pendingReason = nil
            pendingCommand = nil
        }
        guard let refusals = session.refusalRecord, !refusals.isEmpty else { return }
        session.refusalRecord = []
        for refusal in refusals {
            let command = pendingCommand ?? refusal.command
            let reason = pendingReason ?? ownReason(refusal)
            // A sender that the session refuses by itself is what its recipients are refused for.
            if ServerMetrics.Command(command) == .mail { standingReason = reason }
            loop.intake.metrics.refused(command, reason)
            loop.refusals.info(
                event,
                [
                    "session": sessionID, "client": client.literal, "from": sender,
                    "command": command.isEmpty ? "connect" : command, "reply": refusal.reply,
                    "reason": reason,
                ])
        }
        loop.flushRefusalsSoon()
    }

    private func ownReason(_ refusal: ServerSession.Refusal) -> String {
        if refusal.isByEarlierRejection { return "earlier rejection: \(standingReason)" }
        // RFC 1870 §6.
        return refusal.reply.hasPrefix("552 5.3.4 ") ? "maxsize \(session.maximumMessageSize)" : "protocol"
    }

    /// At the greeting.
    func logConnection() {
        loop.log.debug("connect", ["session": sessionID, "client": client.literal, "port": "\(client.port)"])
        guard let tag else { return }
        let count = loop.wheel.count
        loop.sessionLog?.comment(
            tag,
            "connection from \(client.literal):\(client.port) on port \(client.localPort) childs \(count)"
                + " session=\(sessionID)")
    }
}
