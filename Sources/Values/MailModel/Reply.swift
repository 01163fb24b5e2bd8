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
    public init?(_ text: some StringProtocol) { self.init(octets: Array(text.utf8)[...]) }

    /// The same from octets: this is read out of every reply line.
    public init?(octets: ArraySlice<UInt8>) {
        var parts = (0, 0, 0)
        var part = 0
        var digits = 0
        var value = 0
        for octet in octets {
            switch octet {
            case 0x30...0x39 where digits < 3:
                value = value * 10 + Int(octet - 0x30)
                digits += 1
            case 0x2e where digits > 0 && part < 2:
                if part == 0 { parts.0 = value } else { parts.1 = value }
                part += 1
                digits = 0
                value = 0
            default:
                return nil
            }
        }
        guard part == 2, digits > 0, parts.0 == 2 || parts.0 == 4 || parts.0 == 5 else { return nil }
        parts.2 = value
        self.init(parts.0, parts.1, parts.2)
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
