/// RFC 3463 §2: class "." subject "." detail.
public struct EnhancedStatusCode: Hashable, Sendable, CustomStringConvertible {
    public let `class`: Int
    public let subject: Int
    public let detail: Int

    public init(_ class: Int, _ subject: Int, _ detail: Int) {
        self.class = `class`
        self.subject = subject
        self.detail = detail
    }

    /// Parses `2.1.5`: class 2, 4 or 5; subject and detail 0...999.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3,
            parts.allSatisfy({ (1...3).contains($0.utf8.count) && $0.utf8.allSatisfy { (48...57).contains($0) } }),
            let c = Int(parts[0]), let s = Int(parts[1]), let d = Int(parts[2]), c == 2 || c == 4 || c == 5
        else { return nil }
        self.init(c, s, d)
    }

    public var description: String { "\(`class`).\(subject).\(detail)" }
}

/// An SMTP reply (RFC 5321 §4.2): a code, an enhanced status code (RFC 2034) and one or more lines of text.
public struct Reply: Hashable, Sendable {
    /// 200...599.
    public var code: Int
    public var status: EnhancedStatusCode?
    /// At least one; no line holds CR or LF.
    public var lines: [String]

    public init(_ code: Int, _ status: EnhancedStatusCode? = nil, _ lines: [String]) {
        self.code = code
        self.status = status
        self.lines = lines.isEmpty ? [""] : lines
    }

    public init(_ code: Int, _ status: EnhancedStatusCode? = nil, _ text: String) {
        self.init(code, status, [text])
    }

    public var isPositive: Bool { code < 400 }
    public var isPersistentTransient: Bool { (400..<500).contains(code) }
    public var isPermanent: Bool { code >= 500 }

    /// Code, status and text on one line: for logs and diagnostics.
    public var summary: String {
        let text = lines.joined(separator: " ")
        guard let status else { return "\(code) \(text)" }
        return "\(code) \(status) \(text)"
    }
}
