import MailModel
import Policy

extension Explanation {
    /// One object; its keys are documented in zmailer(8) and stay.
    ///
    /// - Parameter source: `service` or `engine`.
    public func json(_ request: Request, source: String, exitCode: Int32) -> JSONValue {
        .object([
            "source": .string(source),
            "client": .string("\(request.client.unmapped)"),
            "client_name": .string(clientName),
            "client_flags": .string(reverseFlags),
            "verdict": .string(verdict.rawValue),
            "exit": .number(Double(exitCode)),
            "phases": .array(phases.map(Self.json)),
        ])
    }

    private static func json(_ phase: Phase) -> JSONValue {
        .object([
            "phase": .string(phase.name),
            "command": .string(phase.command),
            "verdict": .string(phase.verdict.rawValue),
            "reason": .string(phase.reason),
            "reply": .array(phase.reply.map { .string($0) }),
            "asked": .bool(phase.answer != nil),
            "freeze": .number(Double(phase.answer?.freezeCode ?? 0)),
            "maximum_size": .number(Double(phase.answer?.maximumSize ?? 0)),
            "header_field": .string(phase.answer?.headerField ?? ""),
            "steps": .array((phase.answer?.steps ?? []).map(json)),
        ])
    }

    private static func json(_ step: PolicyStep) -> JSONValue {
        .object([
            "kind": .string(step.kind.rawValue), "subject": .string(step.subject), "outcome": .string(step.outcome),
            "origin": .string(step.origin),
        ])
    }

    /// For people.
    public var text: String {
        var lines: [String] = []
        for phase in phases {
            lines.append(phase.command.isEmpty ? "connect" : QueueListing.printable(phase.command))
            for step in phase.answer?.steps ?? [] { lines.append("    \(QueueListing.printable(Self.text(step)))") }
            // The extensions that EHLO offers explain nothing.
            let isGreeting = phase.name == "helo" && phase.reply.count > 1 && phase.reply.first?.first == "2"
            for line in isGreeting ? Array(phase.reply.prefix(1)) : phase.reply {
                lines.append("  reply:   \(QueueListing.printable(line))")
            }
            if phase.reply.isEmpty { lines.append("  reply:   none, the connection is closed") }
            lines.append("  verdict: \(phase.verdict.rawValue) (\(QueueListing.printable(phase.reason)))")
        }
        lines.append("result: \(verdict.rawValue)")
        return lines.joined(separator: "\n")
    }

    private static func text(_ step: PolicyStep) -> String {
        let outcome = step.outcome.isEmpty ? "" : ": \(step.outcome)"
        let origin = step.origin.isEmpty ? "" : " (\(step.origin))"
        return "\(step.kind.rawValue): \(step.subject)\(outcome)\(origin)"
    }
}
