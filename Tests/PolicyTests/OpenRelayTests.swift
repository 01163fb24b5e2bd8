import MailModel
import Policy
import PolicyRows
import Testing

/// One session by the core alone, as far as it comes.
private struct RelaySession {
    let database: PolicyMemoryDatabase
    let zones: DecisionZones

    func decide(client: String, helo: String, sender: String, recipient: String) throws -> PolicyAnswer {
        guard let address = IPAddress(client) else { throw DecisionTable.Mistake(description: client) }
        var question = PolicyQuestion(number: 1, verb: .connect, session: "s", client: address)
        var answer = try decide(question)
        guard answer.verdict != .refuse, answer.verdict != .drop else { return answer }
        question.helo = helo
        question.sender = sender
        question.recipient = recipient
        for verb in [PolicyQuestion.Verb.mail, .rcpt] {
            question.state = answer.state
            question.verb = verb
            answer = try decide(question)
            guard answer.verdict != .refuse, answer.verdict != .drop else { return answer }
        }
        return answer
    }

    private func decide(_ question: PolicyQuestion) throws -> PolicyAnswer {
        let facts = DecisionFacts(zones)
        let evaluator = PolicyEvaluator(
            settings: AskerSettings(), database: database, tables: DecisionTables(), facts: facts,
            counters: DecisionCounters())
        while true {
            let suspension: PolicySuspension
            do throws(PolicySuspension) { return try evaluator.decide(question).answer } catch { suspension = error }
            guard case .needs(let questions) = suspension, facts.rounds < 60 else {
                throw DecisionTable.Mistake(description: "\(question): \(suspension)")
            }
            facts.ask(questions)
        }
    }
}

@Suite("Policy: no open relay, by the core alone")
struct OpenRelayTests {
    private static func policies() throws -> [(name: String, files: [String: String])] {
        var sample: [String: String] = [:]
        for name in PolicyFolder.sources { sample[name] = try PolicyFolder.read(name) }
        var shipped: [String: String] = [
            "localnames": "example.test\n", "smtp-policy.mx": "backup.test\n.gateway.test\n",
        ]
        shipped["smtp-policy.relay"] = "[10.60.0.0]/24\n"
        shipped["smtp-policy.src"] = try? PolicyFolder.read("../../db/smtp-policy.src")
        return [("the sample", sample), ("what is shipped", shipped), ("none", RelayPolicies.none)]
            + RelayPolicies.pairs
    }

    private static func session(_ files: [String: String]) throws -> RelaySession {
        RelaySession(
            database: try PolicyMemoryDatabase(merging: files.mapValues { Array($0.utf8) }),
            zones: try DecisionZones(text: PolicyFolder.read("zones")))
    }

    @Test("at least 40 tricks are known")
    func count() { #expect(RelayTrick.all.count >= 40) }

    @Test("no trick relays for a client that nobody trusts, under any of the policies")
    func tricks() throws {
        for policy in try Self.policies() {
            let session = try Self.session(policy.files)
            for trick in RelayTrick.all {
                let answer = try session.decide(
                    client: trick.client, helo: trick.helo, sender: trick.sender, recipient: trick.recipient)
                let code = answer.reply?.code ?? 0
                #expect(
                    answer.verdict == .refuse && (500...599).contains(code),
                    "\(policy.name): \(trick): \(answer.verdict) \(code) \(answer.reason)")
            }
        }
    }

    @Test("what is ours, and what we are a relay for, is taken from everybody")
    func honest() throws {
        for policy in try Self.policies() {
            let session = try Self.session(policy.files)
            for recipient in RelayTrick.honest {
                let answer = try session.decide(
                    client: "203.0.113.9", helo: "client.test", sender: "u@client.test", recipient: recipient)
                #expect(answer.verdict == .accept, "\(policy.name): \(recipient): \(answer.reason)")
            }
        }
    }

    @Test("a network of smtp-policy.relay may relay under each of the policies")
    func relayClients() throws {
        for policy in try Self.policies() {
            let session = try Self.session(policy.files)
            for recipient in ["u@aother.test", "u@mxother.test", "u%aother.test@backup.test"] {
                let answer = try session.decide(
                    client: "10.60.0.1", helo: "client.test", sender: "u@client.test", recipient: recipient)
                #expect(answer.verdict == .accept, "\(policy.name): \(recipient): \(answer.reason)")
            }
        }
    }
}
