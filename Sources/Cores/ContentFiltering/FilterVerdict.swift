import MailModel

/// What a content filter says of a message: `[-]digits`, and perhaps a text that may begin with a reply code and an enhanced status
/// code (smtpserver(8), CONTENTFILTER INTERFACE; contentfilter.md §3).
public struct FilterVerdict: Hashable, Sendable {
    public enum Disposition: Hashable, Sendable {
        /// Below 0: the message is not kept.
        case refuse
        /// 0
        case accept
        /// Above 0: kept in the freezer, with this code.
        case freeze(Int)
    }

    public let disposition: Disposition
    /// What the client is told, whatever becomes of the message; `nil`: what fits the disposition. 2xx, 4xx or 5xx, and not 421, which
    /// would announce the end of the session.
    public let code: Int?
    /// Of the class of the code; `nil`: the usual one.
    public let status: EnhancedStatusCode?
    /// The text, cut at its CRs: printable ASCII, none empty. Empty: the filter has no text.
    public let lines: [String]

    /// Pieces of a text; more are left out.
    public static let maximumLines = 17
    /// Octets of a piece, so that a reply line stays within the 512 of RFC 5321 §4.5.3.1.5.
    public static let maximumLineLength = 400

    public init(_ disposition: Disposition, code: Int? = nil, status: EnhancedStatusCode? = nil, lines: [String] = []) {
        self.disposition = disposition
        self.code = code
        self.status = status
        self.lines = lines
    }

    /// Reads a line without its LF; `nil` if it does not begin with a signed integer that a blank or the end of the line follows.
    public init?(line: ArraySlice<UInt8>) {
        var rest = line
        if rest.last == 0x0d { rest.removeLast() }
        let sign = rest.first
        if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { rest.removeFirst() }
        let digits = rest.prefix { (0x30...0x39).contains($0) }
        rest = rest.dropFirst(digits.count)
        guard !digits.isEmpty, digits.count <= 9, let number = Octets.decimal(digits),
            rest.isEmpty || rest.first == 0x20 || rest.first == 0x09
        else { return nil }
        if number == 0 {
            disposition = .accept
        } else {
            disposition = sign == UInt8(ascii: "-") ? .refuse : .freeze(number)
        }
        (code, rest) = Self.code(rest.drop { $0 == 0x20 || $0 == 0x09 })
        let word = rest.prefix { $0 != 0x20 && $0 != 0x09 && $0 != 0x0d }
        if let code, let status = EnhancedStatusCode(octets: word) {
            rest = rest.dropFirst(word.count)
            self.status = status.class == code / 100 ? status : nil
        } else {
            status = nil
        }
        lines = Self.pieces(rest)
    }

    /// The reply code that the text begins with, and what follows it.
    private static func code(_ text: ArraySlice<UInt8>) -> (Int?, ArraySlice<UInt8>) {
        let digits = text.prefix { (0x30...0x39).contains($0) }
        let rest = text.dropFirst(digits.count)
        guard digits.count == 3, let code = Octets.decimal(digits), [2, 4, 5].contains(code / 100),
            rest.first.map({ $0 <= 0x20 }) ?? true
        else { return (nil, text) }
        return (code == 421 ? 451 : code, rest.drop { $0 == 0x20 || $0 == 0x09 })
    }

    private static func pieces(_ text: ArraySlice<UInt8>) -> [String] {
        var pieces: [String] = []
        for piece in Octets.split(text, at: 0x0d) where pieces.count < maximumLines {
            let clean = piece.prefix(maximumLineLength).map { octet -> UInt8 in
                octet < 0x20 || octet == 0x7f ? 0x20 : octet > 0x7f ? UInt8(ascii: "?") : octet
            }
            let end = clean.lastIndex { $0 != 0x20 }.map { $0 + 1 } ?? 0
            let trimmed = clean[..<end].drop { $0 == 0x20 }
            if !trimmed.isEmpty { pieces.append(String(decoding: trimmed, as: UTF8.self)) }
        }
        return pieces
    }

    // MARK: the reply

    /// What the client is told of the message with this name in the spool; `nil`: what it is told without a filter.
    public func reply(id: String) -> Reply? {
        if disposition == .accept, code == nil, lines.isEmpty { return nil }
        let code = code ?? (disposition == .refuse ? 550 : 250)
        let status = status ?? usualStatus(code)
        guard lines.count > 1 else {
            return Reply(code, status, "\(introduction(code))\(lines.first ?? usualText); \(id)")
        }
        var all = lines.dropFirst().map { "msg: \($0)" }
        all.insert("Content-Policy msg: \(lines[0]); \(id)", at: 0)
        all.append(conclusion(code, id: id))
        return Reply(code, status, all)
    }

    private func usualStatus(_ code: Int) -> EnhancedStatusCode {
        code / 100 == 2 && disposition == .accept ? EnhancedStatusCode(2, 0, 0) : EnhancedStatusCode(code / 100, 7, 1)
    }

    private var usualText: String {
        switch disposition {
        case .refuse: "rejected, no further explanations"
        case .accept: "accepted"
        case .freeze: "accepted into freezer, no explanations"
        }
    }

    /// A filter that destroys or delivers what it tells otherwise of does not want the sender to learn of it.
    private func introduction(_ code: Int) -> String {
        guard code / 100 == 2 else { return "Content-Policy reject msg: " }
        guard case .freeze(let number) = disposition else { return "" }
        return "Content-Policy accept-into-freezer-\(number) msg: "
    }

    private func conclusion(_ code: Int, id: String) -> String {
        guard code / 100 == 2 else { return "Content-Policy analysis rejected this message" }
        guard case .freeze(let number) = disposition else { return "Content-Policy accepted this message; \(id)" }
        return "Content-Policy accepted this message into freezer-\(number); \(id)"
    }

    /// For the log: `-1 550 5.7.1 text`, as far as the filter has said it.
    public var summary: String {
        let number =
            switch disposition {
            case .refuse: "-1"
            case .accept: "0"
            case .freeze(let number): "\(number)"
            }
        return ([number, code.map { "\($0)" }, status.map { "\($0)" }].compactMap { $0 } + lines)
            .joined(separator: " ")
    }
}
