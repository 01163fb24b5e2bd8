import MailModel
import Policy

/// A small world for decisions: a database made of source lines, names that the DNS knows, tables, counters.
struct PolicyWorld {
    var database: PolicyMemoryDatabase
    var settings = AskerSettings()
    var tables = WorldTables()
    var facts = WorldFacts()
    var counters = WorldCounters()

    init(_ source: String) throws {
        database = try PolicyMemoryDatabase(sources: [(file: "src", text: source)])
        settings.hostName = "mx.example.test"
        settings.contactPointer = "see https://example.test/postmaster"
    }

    /// A broken database, or one of another make.
    var broken: PolicyTrouble?

    func decide(_ question: PolicyQuestion) throws -> PolicyDecision {
        let evaluator = PolicyEvaluator(
            settings: settings, database: database, tables: tables, facts: facts, counters: counters)
        for _ in 0..<30 {
            do throws(PolicySuspension) {
                return try evaluator.decide(question)
            } catch {
                switch error {
                case .trouble(let trouble):
                    return PolicyDecision(PolicyEvaluator.trouble(question, trouble.description))
                case .needs(let questions): facts.tell(questions)
                }
            }
        }
        throw PolicyTrouble("asks for ever")
    }

    /// A session up to one recipient; the answers of connect, HELO, MAIL and RCPT, up to the first refusal.
    func session(
        _ client: String, helo: String = "client.test", from: String = "x@sender.test", to: [String] = [],
        user: String = "", identity: PolicyQuestion.Identity = .login, steps: Bool = false
    ) throws -> [PolicyDecision] {
        var decisions: [PolicyDecision] = []
        var question = PolicyQuestion(
            number: 1, verb: .connect, session: "s", client: IPAddress(client), helo: helo, sender: from,
            authenticatedUser: user, identity: identity, wantsSteps: steps)
        func ask(_ verb: PolicyQuestion.Verb, _ recipient: String = "") throws -> Bool {
            question.verb = verb
            question.recipient = recipient
            let decision = try decide(question)
            decisions.append(decision)
            if !decision.answer.state.isEmpty { question.state = decision.answer.state }
            return decision.answer.verdict == .accept || decision.answer.verdict == .submit
        }
        guard try ask(.connect), try ask(.helo), try ask(.mail) else { return decisions }
        for recipient in to { _ = try ask(.rcpt, recipient) }
        return decisions
    }

    /// Of the last answer: verdict, code, status, text, and `freeze` if it freezes.
    func outcome(
        _ client: String, helo: String = "client.test", from: String = "x@sender.test", to: String? = nil,
        user: String = ""
    ) throws -> String {
        let answer = try session(client, helo: helo, from: from, to: to.map { [$0] } ?? [], user: user).last?.answer
        return answer.map(summary) ?? ""
    }
}

func summary(_ answer: PolicyAnswer) -> String {
    let reply = answer.reply.map { " \($0.code) \($0.status.map { "\($0)" } ?? "-")" } ?? ""
    return "\(answer.verdict.rawValue)\(reply)\(answer.freezeCode == 0 ? "" : " freeze")"
}

/// What the DNS answers; all else is no such name.
final class WorldFacts: NameFacts {
    var records: [NameQuestion: NameFact.Answer] = [:]
    /// What was asked for, in rounds.
    var rounds: [[NameQuestion]] = []
    private var known: Set<NameQuestion> = []

    func fact(_ question: NameQuestion) -> NameFact? {
        known.contains(question) ? answer(question) : nil
    }

    func tell(_ questions: [NameQuestion]) {
        rounds.append(questions)
        known.formUnion(questions)
    }

    private func answer(_ question: NameQuestion) -> NameFact {
        NameFact(records[NameQuestion(question.name, question.type)] ?? .noName)
    }

    func forget() {
        known = []
        rounds = []
    }

    func address(_ name: String, _ addresses: String...) {
        let all = addresses.compactMap { IPAddress($0) }
        let four = all.filter { if case .v4 = $0 { true } else { false } }
        let six = all.filter { if case .v6 = $0 { true } else { false } }
        records[NameQuestion(name, .a)] = four.isEmpty ? .noData : .addresses(four)
        records[NameQuestion(name, .aaaa)] = six.isEmpty ? .noData : .addresses(six)
        records[NameQuestion(name, .mx)] = records[NameQuestion(name, .mx)] ?? .noData
    }

    func exchangers(_ name: String, _ hosts: String...) {
        records[NameQuestion(name, .mx)] = .exchangers(
            hosts.enumerated().map { NameFact.Exchanger(preference: $0.offset * 10, name: $0.element) })
    }

    func names(_ reverse: String, _ names: String...) { records[NameQuestion(reverse, .ptr)] = .names(names) }

    func text(_ name: String, _ text: String) { records[NameQuestion(name, .txt)] = .texts([Array(text.utf8)]) }

    func fail(_ name: String, _ types: NameQuestion.RecordType...) {
        for type in types { records[NameQuestion(name, type)] = .failure("SERVFAIL") }
    }
}

struct WorldTables: PolicyTables {
    var own: Set<String> = ["192.0.2.25", "2001:db8::25", "127.0.0.1"]
    var local: Set<String> = ["example.test"]
    var people: Set<String> = ["alice", "john doe", "team"]
    var routes: Set<String> = []
    /// The addresses of each login; the empty one is the null sender.
    var senders: [String: Set<String>] = [:]

    func localDomain(_ domain: MailDomain) throws(PolicyTrouble) -> String? {
        if case .literal(.ip(let address)) = domain, isOwnAddress(address.unmapped) { return "own address" }
        return local.contains(domain.key) ? "localnames:1" : nil
    }

    func localRecipient(_ localPart: String) throws(PolicyTrouble) -> String? {
        people.contains(asciiLowercased(localPart.split(separator: "+").first ?? "")) ? "users:1" : nil
    }

    func destinations(_ address: String, expanding: Bool) throws(PolicyTrouble) -> [Destination] {
        switch address {
        case "alice", "alice@example.test": return [Destination(channel: "local", host: "-", user: "alice")]
        case "team":
            return expanding
                ? [
                    Destination(channel: "local", host: "-", user: "alice"),
                    Destination(channel: "smtp", host: "there.test", user: "bob@there.test"),
                    Destination(channel: "local", host: "pipe.team", user: "|/secret/program"),
                    Destination(channel: "error", host: "nosuchuser", user: "ghost@example.test"),
                ] : [Destination(channel: "local", host: "-", user: "team")]
        case "crowd": return (0..<150).map { Destination(channel: "local", host: "-", user: "user\($0)") }
        case "bob@there.test": return [Destination(channel: "smtp", host: "there.test", user: address)]
        case "broken": return [Destination(channel: "error", host: "expansion", user: address)]
        default: return [Destination(channel: "error", host: "nosuchuser", user: address)]
        }
    }

    func senderRight(
        of login: String, to sender: Mailbox?, table path: String
    ) throws(PolicyTrouble) -> SenderRight {
        guard path == "/senders" else { throw PolicyTrouble("\(path): No such file or directory") }
        guard let addresses = senders[login] else { return .noLine(file: "senders") }
        let isTheirs = addresses.contains(sender?.description ?? "")
        return isTheirs ? .granted(origin: "senders:1") : .denied(origin: "senders:1")
    }

    func isOwnAddress(_ address: IPAddress) -> Bool { own.contains("\(address)") }

    func route(to domain: MailDomain) throws(PolicyTrouble) -> String? {
        routes.contains(domain.key) ? "routes:1" : nil
    }
}

struct WorldCounters: PolicyCounters {
    var now: Int64 = 1_800_000_000
    var totalConnections = 1
    var ofAddress = 1
    var messages = 0
    var accountMessages: [String: Int] = [:]
    var recipients = 0
    var failures = 0
    var userFailures: [String: Int] = [:]
    var seen: [GreylistKey: Int64] = [:]

    func connections(of address: IPAddress) -> Int { ofAddress }
    func messages(_ key: RateKey) -> Int { messages }
    func messages(ofAccount name: String) -> Int { accountMessages[name] ?? 0 }
    func recipients(_ key: RateKey) -> Int { recipients }
    func authFailures(_ key: RateKey) -> Int { failures }
    func authFailures(as user: String) -> Int { userFailures[user] ?? 0 }
    func firstSeen(_ key: GreylistKey) -> Int64? { seen[key] }
}
