import Configuration
import MailModel
import SpoolFormat

/// Tells in the `Received` field of this system for whom a copy is (transport-agents.md §1). For copies at their final place only:
/// what is relayed stays as it came (design §2.8). No other system's field is touched, so no signature that came with a message can
/// be broken by it: our own field was put above them all.
public enum ReceivedClause {
    /// Octets of an original recipient that are told.
    private static let maximumLength = 300

    /// `header`, a header section of CRLF or LF lines, with `(ORCPT <…>)` or `for <…>` in front of the date of its first `Received`
    /// field; as it is if that field does not name `id`, or says for whom it is already.
    public static func adding(_ recipient: JobRecipient, to header: [UInt8], id: SpoolID) -> [UInt8] {
        let section = HeaderSection(header)
        guard let field = section.first("Received"), let clause = clause(recipient) else { return header }
        let words = section.value(field).split { $0 == " " || $0 == "\t" || $0 == ";" }
        guard zip(words, words.dropFirst()).contains(where: { $0 == "id" && $1 == "\(id)" }),
            !words.contains(where: { $0 == "for" || $0 == "(ORCPT" }),
            let semicolon = header[field.range].lastIndex(of: UInt8(ascii: ";"))
        else { return header }
        let ending = header[field.range].suffix(2).elementsEqual([0x0d, 0x0a]) ? "\r\n\t" : "\n\t"
        return Array(header[..<semicolon]) + Array("\(ending)\(clause)".utf8) + Array(header[semicolon...])
    }

    /// Whether the operator wants it: NORECEIVEDFORCLAUSE of zmailer.conf turns it off.
    public static func isWanted(_ zenv: ZEnvironment) -> Bool {
        let value = zenv["NORECEIVEDFORCLAUSE"] ?? ""
        return value.isEmpty || value == "0" || value == "no"
    }

    private static func clause(_ recipient: JobRecipient) -> String? {
        if let original = recipient.recipient.originalRecipient {
            let parts = Octets.split(Array(original.utf8)[...], at: UInt8(ascii: ";"), limit: 2)
            guard parts.count == 2 else { return nil }
            let encoded = Octets.text(parts[1])
            let decoded = XText.decode(encoded).map { Octets.text($0[...]) } ?? encoded
            let text = ReportText.cleaned("\(Octets.text(parts[0]));\(decoded)", maximumLength: maximumLength)
            return "(ORCPT <\(escaped(text))>)"
        }
        let address = recipient.recipient.envelopeRecipient ?? recipient.address
        return Mailbox(address).map { "for <\($0)>" }
    }

    /// A comment ends with its parenthesis (RFC 5322 §3.2.2).
    private static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            if scalar == "(" || scalar == ")" || scalar == "\\" { out.unicodeScalars.append("\\") }
            out.unicodeScalars.append(scalar)
        }
        return out
    }
}
