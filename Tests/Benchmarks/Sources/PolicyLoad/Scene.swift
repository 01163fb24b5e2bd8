import MailModel
import Policy
import Tables

/// Questions about recipients of one kind.
struct Scene {
    let name: String
    let evaluator: PolicyEvaluator
    /// The questions' lines as the service reads them.
    let lines: [String]
    let expected: PolicyAnswer.Verdict

    static func all(_ database: GDBMReader, _ keys: [[UInt8]]) throws -> [Scene] {
        let evaluator = PolicyEvaluator(
            settings: AskerSettings(), database: database, tables: Tables(), facts: Facts(), counters: Counters())
        func scene(_ name: String, _ expected: PolicyAnswer.Verdict, _ recipients: [String]) throws -> Scene {
            var mail = PolicyQuestion(
                number: 1, verb: .connect, session: "s", client: IPAddress("203.0.113.9"), helo: "client.test",
                sender: "someone@sender.test")
            mail.state = try evaluator.decide(mail).answer.state
            mail.verb = .mail
            let state = try evaluator.decide(mail).answer.state
            let lines = recipients.enumerated().map { number, recipient in
                var question = mail
                question.number = UInt64(number)
                question.verb = .rcpt
                question.recipient = recipient
                question.state = state.isEmpty ? mail.state : state
                return question.line
            }
            return Scene(name: name, evaluator: evaluator, lines: lines, expected: expected)
        }
        let listed = keys.compactMap { octets -> String? in
            switch PolicyKey(octets: octets) {
            case .domain(let domain) where !domain.hasPrefix("."): "someone@\(domain)"
            case .user(let user) where !user.hasSuffix("@"): user
            case .domain, .user, .network, .tag, nil: nil
            }
        }
        return [
            try scene("ours, accepted", .accept, (0..<10_000).map { "user\($0)@local.test" }),
            try scene("foreign, refused", .refuse, (0..<10_000).map { "user\($0)@mail.host\($0).example.com" }),
            try scene("on the list, refused", .refuse, Array(listed.prefix(50_000))),
        ]
    }

    func run(_ seconds: Double) throws {
        guard !lines.isEmpty else { return print("recipients \(name): none in the database") }
        var wrong = ""
        let isGood = try PolicyLoad.rate("recipients \(name)", seconds) { number in
            guard let question = PolicyQuestion(line: lines[number % lines.count]) else { return false }
            let answer = try evaluator.decide(question).answer
            let line = answer.line
            if answer.verdict != expected { wrong = line }
            return answer.verdict == expected
        }
        guard isGood else { PolicyLoad.fail("recipients \(name): not all were answered with \(expected): \(wrong)") }
    }
}

private struct Tables: PolicyTables {
    func localDomain(_ domain: MailDomain) -> String? { "\(domain)" == "local.test" ? "localnames:1" : nil }
    func localRecipient(_ localPart: String) -> String? { "users:1" }
    func destinations(_ address: String, expanding: Bool) -> [Destination] { [] }
    func isOwnAddress(_ address: IPAddress) -> Bool { false }
}

/// Every domain has a mail host, which is somebody else.
private struct Facts: NameFacts {
    private let exchangers = NameFact(.exchangers([.init(preference: 10, name: "mx.elsewhere.test")]))
    private let addresses = NameFact(.addresses([.v4(0xc633_6419)]))

    func fact(_ question: NameQuestion) -> NameFact? {
        switch question.type {
        case .mx: exchangers
        case .a: addresses
        case .aaaa, .txt: NameFact(.noData)
        case .ptr: NameFact(.noName)
        }
    }
}

private struct Counters: PolicyCounters {
    let now: Int64 = 1_800_000_000
    let totalConnections = 1
    func connections(of address: IPAddress) -> Int { 1 }
    func messages(_ key: RateKey) -> Int { 0 }
    func messages(ofAccount name: String) -> Int { 0 }
    func recipients(_ key: RateKey) -> Int { 0 }
    func authFailures(_ key: RateKey) -> Int { 0 }
    func authFailures(as user: String) -> Int { 0 }
    func firstSeen(_ key: GreylistKey) -> Int64? { nil }
}
