/// The rows of `Tests/Policy/decisions.table`: what the core's test, the test of `zmailer explain` and the one over TCP run.
public struct DecisionTable: Sendable {
    public struct Row: Hashable, Sendable, CustomStringConvertible {
        public enum Phase: String, Hashable, Sendable {
            case connect
            case helo
            case mail
            case rcpt
            case ok
            case freeze
        }
        /// Of the file, for messages.
        public let line: Int
        public let name: String
        public let client: String
        public let helo: String
        /// Empty: not authenticated.
        public let user: String
        /// Empty: the null sender.
        public let sender: String
        public let recipient: String
        public let phase: Phase
        /// How the reply begins: `550 5.7.1`, `550 5`, `250`.
        public let code: String
        public let replyFragment: String
        /// `attribute value via key`, `via key`, `~text`, or empty.
        public let reason: String
        /// `size=1000`, `filter=-`, `verdict=submit`, `flags=OK/OK`, `trusted=+`; and the fact `whoson=+`.
        public let also: [String: String]
        /// Of smtpserver.conf: `spf-threshold`, …
        public let parameters: [String: String]

        /// Whether only the core can be given such a session: nothing outside says that a whoson server knows a login.
        public var isForCore: Bool { also["whoson"] != nil }

        public var description: String { "decisions.table:\(line): \(name)" }
    }

    public let rows: [Row]

    /// Throws the number of a line that is no row.
    public init(text: String) throws(Mistake) {
        var rows: [Row] = []
        var parameters: [String: String] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.isEmpty || line.first == "#" { continue }
            if line.first == "@" {
                parameters = Self.pairs(line.dropFirst())
                continue
            }
            let fields = line.split(separator: "|", omittingEmptySubsequences: false).map(Self.trimmed)
            guard fields.count == 11, let phase = Row.Phase(rawValue: fields[6]) else {
                throw Mistake(description: "decisions.table:\(index + 1): not 11 fields, or no phase: \(line)")
            }
            func field(_ number: Int, _ ordinary: String) -> String {
                fields[number] == "-" ? ordinary : fields[number] == "<>" ? "" : fields[number]
            }
            rows.append(
                Row(
                    line: index + 1, name: fields[0], client: field(1, "203.0.113.9"), helo: field(2, "client.test"),
                    user: field(3, ""), sender: field(4, "u@client.test"), recipient: field(5, "alice@example.test"),
                    phase: phase, code: fields[7], replyFragment: fields[8], reason: fields[9],
                    also: Self.pairs(fields[10][...]), parameters: parameters))
        }
        self.rows = rows
    }

    public struct Mistake: Error, CustomStringConvertible {
        public let description: String
        public init(description: String) { self.description = description }
    }

    private static func pairs(_ text: Substring) -> [String: String] {
        var pairs: [String: String] = [:]
        for word in text.split(separator: " ") {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            pairs[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
        }
        return pairs
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

extension DecisionTable.Row {
    /// What is wrong with a `reason` that came with the decision, or nil. `sources`: the lines of each file, by name.
    public func complaint(about reason: String, sources: [String: [Substring]]) -> String? {
        if self.reason.isEmpty { return reason.isEmpty ? "no reason at all" : nil }
        if self.reason.first == "~" {
            return Self.split(reason, at: String(self.reason.dropFirst())) == nil ? "'\(reason)' has no such text" : nil
        }
        guard let via = Self.split(self.reason, at: "via ") else { return "the row has no 'via'" }
        let attribute = via.before.hasSuffix(" ") ? String(via.before.dropLast()) : via.before
        guard let found = Self.split(reason, at: "\(attribute)\(attribute.isEmpty ? "" : " ")@") else {
            return "'\(reason)' does not name '\(attribute) @file:line'"
        }
        let words = found.after.split(separator: " ", maxSplits: 1)
        let place = words.first.map { $0.split(separator: ":") } ?? []
        guard words.count == 2, place.count == 2, let number = Int(place[1]), let lines = sources[String(place[0])],
            lines.indices.contains(number - 1)
        else { return "'\(reason)' does not name a line of a source" }
        let rest = words[1]
        guard
            rest == "via \(via.after)" || rest.hasPrefix("via \(via.after) ") || rest.hasPrefix("via \(via.after),")
                || rest.hasPrefix("via \(via.after):") || rest.hasPrefix("via \(via.after);")
        else { return "'\(reason)' does not say 'via \(via.after)'" }
        // An attribute that policy-builder.sh adds to a line is not written there; the line's key is.
        let line = lines[number - 1].lowercased()
        guard line.contains(attribute.lowercased()) || line.contains(via.after) else {
            return "'\(reason)': line \(number) of \(place[0]) has no '\(attribute)': \(line)"
        }
        return nil
    }

    private static func split(_ text: String, at separator: String) -> (before: String, after: String)? {
        let text = Array(text.utf8)
        let wanted = Array(separator.utf8)
        guard text.count >= wanted.count else { return nil }
        for start in 0...(text.count - wanted.count) where text[start..<start + wanted.count].elementsEqual(wanted) {
            return (
                String(decoding: text[..<start], as: UTF8.self),
                String(decoding: text[(start + wanted.count)...], as: UTF8.self)
            )
        }
        return nil
    }
}
