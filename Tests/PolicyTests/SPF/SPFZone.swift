import MailModel
import Policy

/// A small DNS: one record a line, `name TYPE data`. `MX` has a preference before the name, `TXT` takes the rest of the line
/// with `\xNN` for odd octets, `FAIL TYPE` makes questions of that type fail. A name with any record exists.
struct SPFZone: NameFacts {
    private var answers: [NameQuestion: NameFact.Answer] = [:]
    private var names: Set<String> = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard parts.count >= 2, !parts[0].isEmpty else { continue }
            add(parts[0].replacing("\\040", with: " ").lowercased(), parts[1], parts.count == 3 ? parts[2] : "")
        }
    }

    private mutating func add(_ name: String, _ type: String, _ data: String) {
        names.insert(name)
        switch type {
        case "A": addAddress(data, NameQuestion(name, .a))
        case "AAAA": addAddress(data, NameQuestion(name, .aaaa))
        case "MX":
            let parts = data.split(separator: " ").map(String.init)
            var found = [NameFact.Exchanger(preference: Int(parts[0]) ?? 0, name: parts[1])]
            if case .exchangers(let others)? = answers[NameQuestion(name, .mx)] { found = others + found }
            answers[NameQuestion(name, .mx)] = .exchangers(found)
        case "TXT":
            var found = [Self.octets(data)]
            if case .texts(let others)? = answers[NameQuestion(name, .txt)] { found = others + found }
            answers[NameQuestion(name, .txt)] = .texts(found)
        case "PTR":
            var found = [data]
            if case .names(let others)? = answers[NameQuestion(name, .ptr)] { found = others + found }
            answers[NameQuestion(name, .ptr)] = .names(found)
        case "FAIL":
            for type in [NameQuestion.RecordType.a, .aaaa, .mx, .txt, .ptr]
            where data.isEmpty || type.rawValue == data {
                answers[NameQuestion(name, type)] = .failure("SERVFAIL")
            }
        case "NONE": break
        default: preconditionFailure("no type \(type)")
        }
    }

    private mutating func addAddress(_ text: String, _ question: NameQuestion) {
        guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
        var found = [address]
        if case .addresses(let others)? = answers[question] { found = others + found }
        answers[question] = .addresses(found)
    }

    private static func octets(_ text: String) -> [UInt8] {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let octet = rest.popFirst() {
            if octet == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"),
                let value = UInt8(String(decoding: rest.dropFirst().prefix(2), as: UTF8.self), radix: 16)
            {
                out.append(value)
                rest = rest.dropFirst(3)
            } else {
                out.append(octet)
            }
        }
        return out
    }

    func answer(_ question: NameQuestion) -> NameFact.Answer {
        if let answer = answers[question] { return answer }
        return names.contains(question.name) ? .noData : .noName
    }

    func fact(_ question: NameQuestion) -> NameFact? { NameFact(answer(question)) }
}

/// Facts that were asked for, and nothing else.
struct SPFFacts: NameFacts {
    var known: [NameQuestion: NameFact] = [:]
    func fact(_ question: NameQuestion) -> NameFact? { known[question] }
}

/// A check with the words of a test row.
struct SPFCase {
    var client: String
    var sender: String
    var helo = "mail.example.net"
    var settings = SPFSettings()
    var wantsSteps = false

    enum Feeding: CaseIterable {
        /// The zone is known already.
        case everything
        /// What is needed, all of it.
        case asNeeded
        /// The first of what is needed.
        case oneByOne
    }
    struct Run {
        var result: SPFResult
        /// What each round asked for.
        var rounds: [[NameQuestion]] = []
    }

    func run(_ zone: SPFZone, _ feeding: Feeding = .asNeeded) -> Run {
        guard let address = IPAddress(client) else { preconditionFailure("\(client) is no address") }
        var facts = SPFFacts()
        var rounds: [[NameQuestion]] = []
        while true {
            let check = SPFCheck(
                client: address, helo: helo, sender: sender, receiver: "mx.receiver.example",
                facts: feeding == .everything ? zone : facts, settings: settings, time: 1_700_000_000,
                wantsSteps: wantsSteps)
            do throws(PolicySuspension) {
                return Run(result: try check.run(), rounds: rounds)
            } catch {
                guard case .needs(let questions) = error, !questions.isEmpty else {
                    preconditionFailure("no trouble here")
                }
                rounds.append(questions)
                for question in feeding == .oneByOne ? questions.prefix(1) : questions[...] {
                    precondition(facts.known[question] == nil, "asked again: \(question)")
                    facts.known[question] = NameFact(zone.answer(question))
                }
            }
        }
    }
}
