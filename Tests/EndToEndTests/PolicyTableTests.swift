import Foundation
import PolicyRows
import Testing

/// The decision table by real sessions: what a client reads is what the core alone decides.
@Suite(
    "Policy: the decision table over TCP", .serialized,
    .enabled(if: TestNetwork.canBeMade, "\(TestNetwork.requirement)"))
struct PolicyTableTests {
    private struct Outcome {
        var phase: DecisionTable.Row.Phase
        var reply: String
        var size: Int?
    }

    @Test("every row of a session without a password: where it is refused, the reply, and the reason in the log")
    func rows() async throws {
        let lines = try PolicyFolder.sourceLines()
        var count = 0
        for group in try PolicyFolder.groups() {
            let rows = group.filter(\.user.isEmpty)
            try await Instance.run { settings in
                try settings.usePolicySample(group[0].parameters)
                try settings.useNetwork()
            } _: { instance in
                var refused: [DecisionTable.Row] = []
                for row in rows {
                    count += 1
                    let outcome = try Self.run(row, instance)
                    let got = "\(outcome.phase.rawValue) \(outcome.reply)"
                    #expect(outcome.phase == row.phase, "\(row): \(got)")
                    if outcome.phase != .ok, outcome.phase != .freeze { refused.append(row) }
                    guard outcome.phase == row.phase else { continue }
                    if row.phase != .ok, row.phase != .freeze {
                        #expect(outcome.reply.hasPrefix(row.code), "\(row): \(got)")
                        let fragment = row.replyFragment
                        #expect(fragment.isEmpty || outcome.reply.contains(fragment), "\(row): \(got)")
                    }
                    if let size = row.also["size"], let advertised = outcome.size, let wanted = Int(size), wanted > 0 {
                        #expect(advertised == wanted, "\(row): SIZE \(advertised)")
                    }
                }
                // One line a refusal; the order is that of the workers.
                try await waitUntil(
                    "all refusals are in the log",
                    details: { "\(instance.refusals.count) of \(refused.count)" }
                ) { instance.refusals.count >= refused.count }
                // Addresses are logged in their shortest form, without needless quotes.
                func key(_ client: String, _ command: String) -> String {
                    "\(client) \(command)".filter { $0 != "\"" && $0 != "\\" }
                }
                let logged = Dictionary(grouping: instance.refusals) { key($0.client, $0.command) }
                for row in refused where row.phase != .ok && row.phase != .freeze {
                    let reasons = (logged[key(Self.literal(row.client), Self.command(row))] ?? []).map(\.reason)
                    let complaints = reasons.map { row.complaint(about: $0, sources: lines) }
                    if !complaints.contains(where: { $0 == nil }) {
                        Issue.record("\(row): \(complaints.first.flatMap { $0 } ?? "not in the log")")
                    }
                }
            }
        }
        #expect(count >= 300)
    }

    /// As replies and logs write it.
    private static func literal(_ client: String) -> String {
        let client = client.hasPrefix("::ffff:") ? String(client.dropFirst(7)) : client
        return client.contains(":") ? "[IPv6:\(client)]" : "[\(client)]"
    }

    /// The command that is refused, as the log writes it.
    private static func command(_ row: DecisionTable.Row) -> String {
        switch row.phase {
        case .connect, .ok, .freeze: "connect"
        case .helo: "EHLO \(row.helo)"
        case .mail: "MAIL FROM:<\(row.sender)>"
        case .rcpt: "RCPT TO:<\(row.recipient)>"
        }
    }

    /// One session, up to the first refusal.
    private static func run(_ row: DecisionTable.Row, _ instance: Instance) throws -> Outcome {
        let source = row.client.hasPrefix("::ffff:") ? String(row.client.dropFirst(7)) : row.client
        let client = try instance.connect(from: source)
        let greeting = try client.readReply()
        guard greeting.code == 220 else { return Outcome(phase: .connect, reply: wire(greeting)) }
        let hello = try client.command("EHLO \(row.helo)")
        guard hello.code == 250 else { return Outcome(phase: .helo, reply: wire(hello)) }
        let size = hello.texts.first { $0.hasPrefix("SIZE ") }.flatMap { Int($0.dropFirst(5)) }
        let mail = try client.command("MAIL FROM:<\(row.sender)>")
        guard mail.code == 250 else { return Outcome(phase: .mail, reply: wire(mail), size: size) }
        let recipient = try client.command("RCPT TO:<\(row.recipient)>")
        guard recipient.code == 250 else { return Outcome(phase: .rcpt, reply: wire(recipient), size: size) }
        guard row.phase == .freeze else { return Outcome(phase: .ok, reply: wire(recipient), size: size) }
        // Only the spool tells whether it is frozen.
        let before = instance.spoolFiles["freezer"]?.count ?? 0
        guard try client.command("DATA").code == 354 else { throw HarnessError("\(row): DATA") }
        let stored = try client.command("Subject: \(row.name)\r\n\r\n.")
        guard stored.code == 250 else { throw HarnessError("\(row): \(stored)") }
        let frozen = instance.spoolFiles["freezer"]?.count ?? 0
        return Outcome(phase: frozen == before + 1 ? .freeze : .ok, reply: wire(stored), size: size)
    }

    /// All lines as one, the code and status once in front.
    private static func wire(_ reply: Connection.Reply) -> String {
        let status = reply.texts.last?.split(separator: " ").first { $0.contains(".") }.map { "\($0) " } ?? ""
        let texts = reply.texts.map { $0.hasPrefix(status) ? String($0.dropFirst(status.count)) : $0 }
        return "\(reply.code) \(status)\(texts.joined(separator: " / "))"
    }
}

extension Instance {
    /// What smtpserver has refused: `refused` and `connection-refused` lines of its log.
    var refusals: [(client: String, command: String, reason: String)] {
        log.split(separator: "\n")
            .filter { $0.contains(" refused ") || $0.contains(" connection-refused ") }
            .map { line in
                func value(_ key: String) -> String { Self.value(key, in: line) ?? "" }
                return (value("client"), value("command"), value("reason"))
            }
    }
}
