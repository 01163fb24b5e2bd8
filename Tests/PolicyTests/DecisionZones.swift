import MailModel
import Policy
import PolicyRows

/// What the file `Tests/Policy/zones` (RESOLVERZONES) answers, as libunbound does with its local zones: what is not in a
/// `static` zone does not exist, what is below a `refuse` zone fails.
struct DecisionZones {
    private var zones: [(name: String, type: String)] = []
    private var records: [String: [(type: String, data: [String])]] = [:]
    /// Names that exist, those above a record included.
    private var names: Set<String> = []

    init(text: String) throws {
        for line in text.split(separator: "\n") where line.first != "#" {
            let parts = line.split(separator: " ", maxSplits: 1)
            switch parts.first {
            case "zone"?:
                let words = Self.words(parts[1])
                zones.append((Self.key(words[0]), words[1]))
            case "data"?:
                let isQuoted = parts[1].first == "\"" && parts[1].last == "\""
                let record = Self.words(isQuoted ? parts[1].dropFirst().dropLast() : parts[1])
                guard record.count >= 5 else { throw Self.mistake(line) }
                let name = Self.key(record[0])
                records[name, default: []].append((record[3], Array(record[4...])))
                var above = name[...]
                while !above.isEmpty {
                    names.insert(String(above))
                    above = above.firstIndex(of: ".").map { above[above.index(after: $0)...] } ?? ""
                }
            default: throw Self.mistake(line)
            }
        }
    }

    func answer(_ question: NameQuestion) -> NameFact.Answer {
        let name = Self.key(question.name)
        let zone = zones.filter { $0.name.isEmpty || name == $0.name || name.hasSuffix("." + $0.name) }
            .max { $0.name.count < $1.name.count }
        if let found = records[name] {
            let data = found.filter { $0.type == question.type.rawValue }.map { $0.data }
            return data.isEmpty ? .noData : Self.answer(question.type, data)
        }
        if zone?.type == "refuse" { return .failure("REFUSED") }
        return names.contains(name) ? .noData : .noName
    }

    private static func answer(_ type: NameQuestion.RecordType, _ data: [[String]]) -> NameFact.Answer {
        switch type {
        case .a, .aaaa: .addresses(data.compactMap { IPAddress($0[0]) })
        case .mx:
            .exchangers(
                data.map { NameFact.Exchanger(preference: Int($0[0]) ?? 0, name: $0[1] == "." ? "." : key($0[1])) }
                    .sorted { $0.preference < $1.preference })
        case .txt: .texts(data.map { Array($0.joined().utf8) })
        case .ptr: .names(data.map { key($0[0]) })
        }
    }

    private static func key(_ name: String) -> String {
        let lower = name.lowercased()
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }

    private static func mistake(_ line: Substring) -> DecisionTable.Mistake {
        DecisionTable.Mistake(description: "zones: cannot read: \(line)")
    }

    /// Blanks separate words outside quotes.
    private static func words(_ line: Substring) -> [String] {
        var words: [String] = []
        var word = ""
        var isQuoted = false
        var isWord = false
        for character in line {
            if character == "\"" {
                isQuoted.toggle()
                isWord = true
            } else if character == " ", !isQuoted {
                if isWord { words.append(word) }
                word = ""
                isWord = false
            } else {
                word.append(character)
                isWord = true
            }
        }
        if isWord { words.append(word) }
        return words
    }
}

/// Facts that come only when they were asked for, as an engine's do.
final class DecisionFacts: NameFacts {
    private let zones: DecisionZones
    private var known: [NameQuestion: NameFact] = [:]
    private(set) var rounds = 0

    init(_ zones: DecisionZones) { self.zones = zones }

    func fact(_ question: NameQuestion) -> NameFact? { known[question] }

    func ask(_ questions: [NameQuestion]) {
        rounds += 1
        for question in questions { known[question] = NameFact(zones.answer(question)) }
    }
}

/// Nobody was here before.
struct DecisionCounters: PolicyCounters {
    var now: Int64 { 1_800_000_000 }
    var totalConnections: Int { 1 }
    func connections(of address: IPAddress) -> Int { 1 }
    func messages(_ key: RateKey) -> Int { 0 }
    func messages(ofAccount name: String) -> Int { 0 }
    func recipients(_ key: RateKey) -> Int { 0 }
    func authFailures(_ key: RateKey) -> Int { 0 }
    func authFailures(as user: String) -> Int { 0 }
    func firstSeen(_ key: GreylistKey) -> Int64? { nil }
}

/// `localnames`, `users` and `aliases` of `Tests/Policy`.
struct DecisionTables: PolicyTables {
    private static let own: Set<String> = ["192.0.2.25", "2001:db8::25", "127.0.0.1", "::1"]

    func isOwnAddress(_ address: IPAddress) -> Bool { Self.own.contains("\(address.unmapped)") }

    func localDomain(_ domain: MailDomain) throws(PolicyTrouble) -> String? {
        switch domain.key {
        case "example.test": return "localnames:2"
        case "dept.example.test": return "localnames:3"
        case "second.test": return "localnames:4"
        case "[192.0.2.25]", "[ipv6:2001:db8::25]", "[127.0.0.1]", "[ipv6:::1]": return "own address"
        default: return domain.key.hasSuffix(".dept.example.test") ? "localnames:3" : nil
        }
    }

    func localRecipient(_ localPart: String) throws(PolicyTrouble) -> String? {
        switch localPart.lowercased().split(separator: "+").first {
        case "alice", "bob", "postmaster": return "users:1"
        case "team", "100%": return "aliases:1"
        default: return nil
        }
    }

    func destinations(_ address: String, expanding: Bool) throws(PolicyTrouble) -> [Destination] { [] }
}
