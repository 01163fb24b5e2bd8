/// The text of a report, from a file of `$MAILSHARE/forms/` (router.md §9): leading lines `HDR field`, `SUB subject` and
/// `ADR address`, then the text.
public struct ReportForm: Hashable, Sendable {
    /// Whole header fields, `Name: value`, in order.
    public var headers: [String]
    /// `nil`: a general one.
    public var subject: String?
    /// Further recipients of the report.
    public var addresses: [String]
    /// Lines separated by LF.
    public var text: String

    public init(headers: [String] = [], subject: String? = nil, addresses: [String] = [], text: String) {
        self.headers = headers
        self.subject = subject
        self.addresses = addresses
        self.text = text
    }

    /// Reads a form; any text is one. Line ends may be CRLF or LF; a `HDR` without a valid field name and an address with
    /// control characters or blanks are left out.
    public init(parsing contents: some StringProtocol) {
        self.init(text: "")
        var lines = contents.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }[...]
        while let line = lines.first {
            let value = line.utf8.count > 4 ? FieldText.trimmed(line.dropFirst(4)) : ""
            if line.hasPrefix("HDR ") {
                if Self.isField(value) { headers.append(value) }
            } else if line.hasPrefix("SUB ") {
                subject = value
            } else if line.hasPrefix("ADR ") {
                if Self.isAddress(value) { addresses.append(value) }
            } else {
                break
            }
            lines.removeFirst()
        }
        text = lines.joined(separator: "\n")
    }

    /// The text of last resort: a form that is missing.
    public static let general = ReportForm(
        subject: "Mail could not be delivered",
        text: """
            Your message could not be delivered to the recipients listed below.
            The reason is given with each of them. The mail system will not try again.
            """)

    private static func isField(_ text: String) -> Bool {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), colon != text.startIndex else { return false }
        return text.utf8[..<colon].allSatisfy { (0x21...0x7e).contains($0) }
    }

    private static func isAddress(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }
    }
}
