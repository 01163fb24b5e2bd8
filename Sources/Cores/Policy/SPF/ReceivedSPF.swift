import MailModel

/// The trace field `Received-SPF` (RFC 7208 §9.1). Whatever client and sender said is quoted, cut to ``limit`` octets and
/// holds no control character: it cannot end the field, a comment or a value.
public struct ReceivedSPF: Hashable, Sendable {
    /// Without the line end, unfolded.
    public let line: String

    /// Octets of a value.
    static let limit = 400

    init(identity: SPFIdentity, outcome: SPFEvaluation.Outcome) {
        let receiver = identity.receiver.isEmpty ? "unknown" : identity.receiver
        var text = "Received-SPF: \(outcome.level.rawValue) (\(Self.comment(receiver)): "
        text += "\(Self.comment(Self.meaning(identity, outcome.level))))"
        var separator = " "
        func add(_ key: String, _ value: String) {
            text += "\(separator)\(key)=\(value)"
            separator = "; "
        }
        add("client-ip", Self.value("\(identity.client)"))
        add("envelope-from", Self.value(identity.sender.isEmpty ? "<>" : identity.sender, allowingUTF8: true))
        add("helo", Self.value(identity.helo))
        add("receiver", Self.value(receiver))
        add("identity", identity.kind.rawValue)
        if !outcome.mechanism.isEmpty { add("mechanism", Self.value(outcome.mechanism)) }
        if !outcome.problem.isEmpty { add("problem", Self.value(outcome.problem)) }
        line = text
    }

    private static func meaning(_ identity: SPFIdentity, _ level: SPFResult.Level) -> String {
        switch level {
        case .pass: "\(identity.client) may send mail from \(identity.domain)"
        case .fail: "\(identity.client) may not send mail from \(identity.domain)"
        case .softfail: "\(identity.client) probably may not send mail from \(identity.domain)"
        case .neutral: "\(identity.domain) says nothing about \(identity.client)"
        case .none: "nothing published by \(identity.domain)"
        case .tempError: "DNS trouble with the record of \(identity.domain)"
        case .permError: "error in the record of \(identity.domain)"
        }
    }

    /// `ccontent` of RFC 5322 §3.2.2.
    private static func comment(_ text: String) -> String {
        SPFText.plain(text).replacing { $0 == "(" || $0 == ")" || $0 == "\\" }
    }

    /// A dot-atom where possible, else a quoted string (RFC 5322 §3.2.3–4).
    private static func value(_ text: String, allowingUTF8: Bool = false) -> String {
        let clean = allowingUTF8 ? visible(text) : SPFText.plain(text, limit: limit)
        if isDotAtom(clean.utf8) { return clean }
        return "\"\(clean.replacing { $0 == "\"" || $0 == "\\" })\""
    }

    /// An internationalized sender stays readable (RFC 6532); control characters, C1 included, become `?`.
    private static func visible(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            guard out.utf8.count < limit else { return out + "..." }
            let isControl =
                scalar.properties.generalCategory == .control || scalar.value == 0x2028 || scalar.value == 0x2029
            out.unicodeScalars.append(isControl ? "?" : scalar)
        }
        return out
    }

    private static func isDotAtom(_ octets: String.UTF8View) -> Bool {
        var previous = UInt8(ascii: ".")
        for octet in octets {
            let isDot = octet == UInt8(ascii: ".")
            guard isDot ? previous != octet : SPFText.isLetterOrDigit(octet) || atomMarks.contains(octet) else {
                return false
            }
            previous = octet
        }
        return previous != UInt8(ascii: ".")
    }

    /// `atext` but letters and digits.
    private static let atomMarks = Array("!#$%&'*+-/=?^_`{|}~".utf8)

    /// A header field in lines of at most 78 octets where it has spaces outside of quotes and comments; joined, the lines are
    /// the field again. Each but the first begins with a space (RFC 5322 §2.2.3).
    public static func folded(_ field: String) -> [String] {
        var lines: [String] = []
        var line: [UInt8] = []
        var word: [UInt8] = []
        var isQuoted = false
        var isEscaped = false
        func endWord() {
            if !line.isEmpty, line.count + word.count > 78, !lines.isEmpty || line.contains(0x20) {
                lines.append(String(decoding: line, as: UTF8.self))
                line = []
            }
            line += word
            word = []
        }
        for octet in field.utf8 {
            if octet == 0x20, !isQuoted { endWord() }
            word.append(octet)
            if isEscaped {
                isEscaped = false
            } else if octet == UInt8(ascii: "\\") {
                isEscaped = true
            } else if octet == UInt8(ascii: "\"") {
                isQuoted.toggle()
            }
        }
        endWord()
        lines.append(String(decoding: line, as: UTF8.self))
        return lines
    }
}

extension String {
    /// With a backslash before each scalar that satisfies `needsEscape`.
    fileprivate func replacing(_ needsEscape: (Unicode.Scalar) -> Bool) -> String {
        var out = ""
        for scalar in unicodeScalars {
            if needsEscape(scalar) { out.unicodeScalars.append("\\") }
            out.unicodeScalars.append(scalar)
        }
        return out
    }
}
