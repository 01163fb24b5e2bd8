import Foundation

/// What an instance stored, relayed and delivered, found by the word that a row has in its addresses and contents.
struct ConformanceStore: Sendable {
    /// The instance's folder.
    let instance: String
    /// The next hop of `relay.test`.
    let sink: Sink

    /// What of `claims` does not hold; the session is over.
    func faults(of claims: [ConformanceStored], id: String) async throws -> [String] {
        var faults: [String] = []
        for claim in claims {
            switch claim {
            case .count(0):
                if let place = trace(of: id) { faults.append("stored: \(place)") }
            case .count(let count):
                try await waitUntil("\(count) stored of \(id)", details: { self.trace(of: id) ?? "nothing is stored" })
                {
                    self.delivered(id).count + self.relayed(id).count >= count
                }
                try await waitUntil("the spool is done with \(id)") { self.spooled(id).isEmpty }
                let found = delivered(id).count + relayed(id).count
                if found != count { faults.append("\(found) were stored, not \(count)") }
            case .content(let template):
                let expected = template.octets(id: id)
                let content = Self.divided(try await message(id).octets).content
                if content != expected {
                    faults.append("stored: \(Self.shown(content))\ninstead of: \(Self.shown(expected))")
                }
            case .mail(let glob):
                let command = try await message(id).mailCommand
                if !glob.matches(command, id: id) { faults.append("relayed with \(command), not \(glob)") }
            case .recipient(let glob):
                let commands = try await message(id).recipientCommands
                if !commands.contains(where: { glob.matches($0, id: id) }) {
                    faults.append("relayed with \(commands), not \(glob)")
                }
            case .field(let glob):
                // RFC 5322 §1.2.2: the name in any case.
                let fields = Self.fields(try await message(id).octets)
                let pattern = ConformanceGlob(Self.withoutCase(glob.description))
                if !fields.contains(where: { pattern.matches(Self.withoutCase($0), id: id) }) {
                    faults.append("the header is \(fields), without \(glob)")
                }
            case .trace(let glob):
                let field = Self.divided(try await message(id).octets).trace
                if !glob.matches(field, id: id) { faults.append("the trace is \(field), not \(glob)") }
            }
        }
        return faults
    }

    /// The one message that was relayed.
    private func message(_ id: String) async throws -> Sink.Message {
        try await waitUntil("a message of \(id) is relayed", details: { self.trace(of: id) ?? "nothing is stored" }) {
            !self.relayed(id).isEmpty
        }
        let messages = relayed(id)
        guard messages.count == 1 else { throw HarnessError("\(messages.count) messages of \(id) were relayed") }
        return messages[0]
    }

    /// Where something with `id` is; nil: nowhere. The folders are looked through in the order in which messages move, so
    /// that none passes by unseen.
    private func trace(of id: String) -> String? {
        if let file = spooled(id).first { return file }
        if let file = delivered(id).first { return file }
        return relayed(id).first.map { "relayed from \($0.reversePath): " + Self.shown($0.octets) }
    }

    private func spooled(_ id: String) -> [String] {
        ["public", "router", "queue", "transport", "deferred", "freezer", "postman"].flatMap { folder in
            files(below: "\(instance)/postoffice/\(folder)", naming: id).filter { !$0.hasSuffix(".reason") }
        }
    }

    private func delivered(_ id: String) -> [String] { files(below: "\(instance)/mail", naming: id) }

    private func relayed(_ id: String) -> [Sink.Message] {
        let needle = Data(id.utf8)
        return sink.messages.filter { message in
            message.reversePath.contains(id) || message.forwardPaths.contains { $0.contains(id) }
                || Data(message.octets).range(of: needle) != nil
        }
    }

    private func files(below folder: String, naming id: String) -> [String] {
        let needle = Data(id.utf8)
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return names.map { "\(folder)/\($0)" }.filter { path in
            FileManager.default.contents(atPath: path)?.range(of: needle) != nil
        }
    }

    /// The trace fields in front, unfolded, and what is behind them.
    static func divided(_ octets: [UInt8]) -> (trace: String, content: [UInt8]) {
        var rest = octets[...]
        var trace = ""
        while rest.starts(with: "Received:".utf8) || (!trace.isEmpty && (rest.first == 9 || rest.first == 32)) {
            guard let end = rest.firstIndex(of: 10) else { break }
            let line = String(decoding: rest[..<end].filter { $0 != 13 }, as: UTF8.self)
            trace += trace.isEmpty ? line : " " + line.drop { $0 == " " || $0 == "\t" }
            rest = rest[(end + 1)...]
        }
        return (trace, Array(rest))
    }

    /// A field with its name in lower case.
    private static func withoutCase(_ field: String) -> String {
        guard let colon = field.firstIndex(of: ":") else { return field }
        return field[..<colon].lowercased() + field[colon...]
    }

    /// The fields of the header, unfolded.
    private static func fields(_ octets: [UInt8]) -> [String] {
        var fields: [String] = []
        for line in octets.split(separator: 10, omittingEmptySubsequences: false) {
            let text = String(decoding: line.filter { $0 != 13 }, as: UTF8.self)
            if text.isEmpty { break }
            if text.hasPrefix(" ") || text.hasPrefix("\t"), let last = fields.popLast() {
                fields.append(last + " " + text.drop { $0 == " " || $0 == "\t" })
            } else {
                fields.append(text)
            }
        }
        return fields
    }

    private static func shown(_ octets: [UInt8]) -> String {
        let text = octets.prefix(400).map { octet in
            (32...126).contains(octet)
                ? String(UnicodeScalar(octet))
                : octet == 10 ? "\\n" : octet == 13 ? "\\r" : "\\x\(String(octet, radix: 16))"
        }.joined()
        return octets.count > 400 ? text + "… (\(octets.count) octets)" : text
    }
}
