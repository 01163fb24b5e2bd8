import MailModel
import Policy
import PolicyRows
import Testing

/// A session of the table, decided by the core alone.
private struct CoreSession {
    let row: DecisionTable.Row
    let database: PolicyMemoryDatabase
    let zones: DecisionZones
    var settings = AskerSettings()

    init(_ row: DecisionTable.Row, _ database: PolicyMemoryDatabase, _ zones: DecisionZones) throws {
        self.row = row
        self.database = database
        self.zones = zones
        settings.hostName = "mail.example.test"
        settings.limits = ConnectionLimits(perAddress: 100, total: 800)
        for (key, value) in row.parameters {
            switch key {
            case "spf-threshold": settings.spfThreshold = try #require(AskerSettings.SPFThreshold(rawValue: value))
            default: throw DecisionTable.Mistake(description: "\(row): unknown parameter \(key)")
            }
        }
    }

    struct Outcome {
        var phase: DecisionTable.Row.Phase
        var answer: PolicyAnswer
        var connect: PolicyAnswer
    }

    func run() throws -> Outcome {
        guard let client = IPAddress(row.client) else {
            throw DecisionTable.Mistake(description: "\(row): \(row.client) is no address")
        }
        var question = PolicyQuestion(number: 1, verb: .connect, session: "s", client: client)
        question.hasWhosonLogin = row.also["whoson"] == "+"
        let connect = try decide(question)
        guard isAccepted(connect) else { return Outcome(phase: .connect, answer: connect, connect: connect) }
        question.state = connect.state
        question.helo = row.helo
        question.sender = row.sender
        question.authenticatedUser = row.user
        if !connect.needless.contains(.mail) {
            question.verb = .mail
            let mail = try decide(question)
            guard isAccepted(mail) else { return Outcome(phase: .mail, answer: mail, connect: connect) }
            question.state = mail.state
        }
        question.verb = .rcpt
        question.recipient = row.recipient
        let recipient = try decide(question)
        guard isAccepted(recipient) else { return Outcome(phase: .rcpt, answer: recipient, connect: connect) }
        return Outcome(phase: recipient.freezeCode == 0 ? .ok : .freeze, answer: recipient, connect: connect)
    }

    private func isAccepted(_ answer: PolicyAnswer) -> Bool { answer.verdict == .accept || answer.verdict == .submit }

    /// Every question and answer passes through its line, as between smtpserver and the service.
    private func decide(_ question: PolicyQuestion) throws -> PolicyAnswer {
        let asked = try #require(PolicyQuestion(line: question.line))
        let facts = DecisionFacts(zones)
        let evaluator = PolicyEvaluator(
            settings: settings, database: database, tables: DecisionTables(), facts: facts,
            counters: DecisionCounters())
        while true {
            let suspension: PolicySuspension
            do throws(PolicySuspension) {
                let answer = try evaluator.decide(asked).answer
                #expect(answer.state.utf8.count <= 2000)
                return PolicyAnswer(line: answer.line) ?? answer
            } catch {
                suspension = error
            }
            switch suspension {
            case .needs(let questions):
                guard facts.rounds < 60 else {
                    throw DecisionTable.Mistake(description: "\(row): asks without end: \(questions)")
                }
                facts.ask(questions)
            case .trouble(let trouble): return PolicyEvaluator.trouble(asked, "\(trouble)")
            }
        }
    }
}

@Suite("Policy: the decision table, by the core alone")
struct DecisionTableTests {
    private static func database() throws -> PolicyMemoryDatabase {
        var files: [String: [UInt8]] = [:]
        for name in PolicyFolder.sources { files[name] = Array(try PolicyFolder.read(name).utf8) }
        return try PolicyMemoryDatabase(merging: files)
    }

    @Test("the table has 300 rows and more, each with a name of its own")
    func size() throws {
        let rows = try PolicyFolder.table().rows
        #expect(rows.count >= 300)
        #expect(Set(rows.map(\.name)).count == rows.count)
    }

    @Test("the sources use every attribute of the language")
    func attributes() throws {
        let words = Set(
            try PolicyFolder.read("smtp-policy.src").split { $0 == " " || $0 == "\n" }.map { $0.lowercased() })
        for name in PolicyAttribute.names { #expect(words.contains(name), "\(name) is not in smtp-policy.src") }
    }

    @Test("every row: where it is decided, the reply, and the line of the sources that did it")
    func rows() throws {
        let database = try Self.database()
        let zones = try DecisionZones(text: PolicyFolder.read("zones"))
        let lines = try PolicyFolder.sourceLines()
        for row in try PolicyFolder.table().rows {
            let outcome = try CoreSession(row, database, zones).run()
            let answer = outcome.answer
            let got = "\(outcome.phase.rawValue) \(answer.reply?.wire ?? "-") (\(answer.reason))"
            #expect(outcome.phase == row.phase, "\(row): \(got)")
            guard outcome.phase == row.phase else { continue }
            if row.phase != .ok, row.phase != .freeze {
                let reply = answer.reply?.wire ?? ""
                #expect(reply.hasPrefix(row.code), "\(row): \(got)")
                #expect(reply.contains(row.replyFragment), "\(row): \(got)")
            }
            if let complaint = row.complaint(about: answer.reason, sources: lines) {
                Issue.record("\(row): \(complaint)")
            }
            for (key, value) in row.also where key != "whoson" {
                #expect(also(key, outcome) == value, "\(row): \(key): \(got)")
            }
        }
    }

    @Test("a sender without a domain is refused, whoever did not complete it")
    func bareSender() throws {
        let rows = try DecisionTable(text: "bare | - | - | - | u | - | mail | 553 5.7.1 | | |").rows
        let database = try Self.database()
        let zones = try DecisionZones(text: PolicyFolder.read("zones"))
        for row in rows {
            let outcome = try CoreSession(row, database, zones).run()
            #expect(outcome.phase == row.phase)
            #expect(outcome.answer.reply?.wire.hasPrefix(row.code) ?? false, "\(outcome.answer)")
        }
    }

    private func also(_ key: String, _ outcome: CoreSession.Outcome) -> String {
        switch key {
        case "size": "\(outcome.connect.maximumSize)"
        case "filter": outcome.answer.runsFilter ? "+" : "-"
        case "verdict": outcome.answer.verdict.rawValue
        case "flags": outcome.connect.reverseFlags
        case "trusted": outcome.connect.trust.rawValue
        default: "unknown"
        }
    }
}

extension Reply {
    /// All its lines as one, behind code and status.
    fileprivate var wire: String {
        "\(code) \(status.map { "\($0) " } ?? "")\(lines.joined(separator: " / "))"
    }
}
