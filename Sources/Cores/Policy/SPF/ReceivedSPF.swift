import MailModel

/// The trace field `Received-SPF` (RFC 7208 §9.1). Whatever client and sender said is quoted, cut to ``limit`` octets and
/// holds no control character: it cannot end the field, a comment or a value.
struct ReceivedSPF {
    /// Without the line end, unfolded: the server folds it at its spaces, which a quoted string allows too (RFC 5322 §3.2.4).
    let line: String

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
