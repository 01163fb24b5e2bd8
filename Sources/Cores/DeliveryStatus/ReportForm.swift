import MailModel

/// The text of a report, from a file of `$MAILSHARE/forms/` (router.md §9, docs/man/forms.5): leading lines `HDR field`, `SUB subject`,
/// `ADR address`, `LNG language` and `LBL name text`, then the text. `${name}` is a ``FormVariable``.
public struct ReportForm: Hashable, Sendable {
    /// Whole header fields, `Name: value`, in order.
    public var headers: [String]
    /// `nil`: a general one.
    public var subject: String?
    /// Further recipients of the report.
    public var addresses: [String]
    /// A language tag (RFC 5646): `Content-Language` of the text.
    public var language: String
    public var wording: ReportWording
    /// Lines separated by LF.
    public var text: String

    public init(
        headers: [String] = [], subject: String? = nil, addresses: [String] = [], language: String = "en",
        wording: ReportWording = ReportWording(), text: String
    ) {
        self.headers = headers
        self.subject = subject
        self.addresses = addresses
        self.language = language
        self.wording = wording
        self.text = text
    }

    /// Something in a form that does nothing or not what was meant.
    public struct Mistake: Hashable, Sendable {
        /// 1-based.
        public let line: Int
        /// What is wrong and what would be valid.
        public let reason: String
    }

    /// Reads a form; any text is one. Line ends may be CRLF or LF; what is a mistake is passed over.
    public init(parsing contents: some StringProtocol) { self = Self.read(contents).form }

    /// Reads a form and says what is wrong with it. `base`: the form whose language and labels hold where this one sets none.
    public static func read(
        _ contents: some StringProtocol, base: ReportForm? = nil
    ) -> (form: ReportForm, mistakes: [Mistake]) {
        var form = ReportForm(text: "")
        if let base {
            form.language = base.language
            form.wording = base.wording
        }
        var mistakes: [Mistake] = []
        var number = 0
        var lines = Octets.split(Array(contents.utf8)[...], at: 0x0a)
            .map { Octets.text($0.last == 0x0d ? $0.dropLast() : $0) }[...]
        while let line = lines.first {
            guard let reason = form.take(line, isFirst: number == 0) else { break }
            number += 1
            if !reason.isEmpty { mistakes.append(Mistake(line: number, reason: reason)) }
            lines.removeFirst()
        }
        form.text = lines.joined(separator: "\n")
        for line in lines {
            number += 1
            for reason in FormVariable.mistakes(in: line, allowing: FormVariable.allCases) {
                mistakes.append(Mistake(line: number, reason: reason))
            }
            if line.contains(FormVariable.list.reference), FieldText.trimmed(line) != FormVariable.list.reference {
                mistakes.append(Mistake(line: number, reason: "\(FormVariable.list.reference) needs a line of its own"))
            }
        }
        return (form, mistakes)
    }

    /// Takes an instruction; empty: it is right; `nil`: the text begins here.
    private mutating func take(_ line: String, isFirst: Bool) -> String? {
        // Some editors leave a mark in front of UTF-8.
        let line = isFirst && line.unicodeScalars.first == "\u{feff}" ? String(line.unicodeScalars.dropFirst()) : line
        let value =
            line.utf8.count > 4 ? FieldText.trimmed(String(decoding: line.utf8.dropFirst(4), as: UTF8.self)) : ""
        switch String(decoding: line.utf8.prefix(4), as: UTF8.self) {
        case "HDR ": return takeHeader(value)
        case "SUB ":
            subject = value
            return FormVariable.mistakes(in: value, allowing: FormVariable.forHeader).first ?? ""
        case "ADR ":
            guard Self.isAddress(value) else { return "ADR: '\(value)' is no address; valid is name@domain or name" }
            addresses.append(value)
            return ""
        case "LNG ":
            guard Self.isLanguage(value) else { return "LNG: '\(value)' is no language; valid are tags like de, pt-BR" }
            language = value
            return ""
        case "LBL ":
            let name = value.prefix { $0 != " " }
            let text = FieldText.cleaned(value.dropFirst(name.count), isASCII: false)
            guard !text.isEmpty, wording.set(String(name), text) else {
                return "LBL: '\(value)': valid is a name and a text; names are "
                    + "\(ReportWording.Label.allCases.map(\.rawValue).joined(separator: " ")), "
                    + "and status codes like 4.4.7 or 1.1 (subject.detail)"
            }
            return ""
        default: return nil
        }
    }

    private mutating func takeHeader(_ value: String) -> String {
        guard Self.isField(value) else { return "HDR: '\(value)' is no header field; valid is Name: value" }
        let name = asciiLowercased(value.prefix { $0 != ":" })
        headers.append(value)
        if Self.ownFields.contains(name) { return "HDR: \(name): is set by the report itself" }
        if value.contains("\""), !FieldText.isASCII(value) {
            return "HDR: \(name): a name beyond ASCII cannot stand in quotes"
        }
        return FormVariable.mistakes(in: value, allowing: FormVariable.forHeader).first ?? ""
    }

    /// Fields that a form cannot set.
    static let ownFields: Set<String> = [
        "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
        "content-transfer-encoding", "content-language", "in-reply-to", "references", "return-path", "received",
    ]

    private static func isField(_ text: String) -> Bool {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), colon != text.startIndex else { return false }
        return text.utf8[..<colon].allSatisfy { (0x21...0x7e).contains($0) }
    }

    private static func isAddress(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }
    }

    /// RFC 5646 §2.1, as far as its form goes.
    public static func isLanguage(_ text: String) -> Bool {
        (1...35).contains(text.utf8.count)
            && text.utf8.split(separator: 0x2d, omittingEmptySubsequences: false).allSatisfy { part in
                (1...8).contains(part.count)
                    && part.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0 | 0x20) }
            }
    }
}
