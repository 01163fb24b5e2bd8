import MailModel

/// Why what a server sent is not a reply.
public enum ReplySyntaxError: Error, Hashable, Sendable {
    case lineTooLong(limit: Int)
    case tooManyLines(limit: Int)
    /// Not three digits and a blank, a hyphen or the line's end. Holds the beginning of the line, made printable.
    case malformed(String)
}

/// Reads replies out of octets (RFC 5321 §4.2.1); the same replies however the octets are split.
///
/// Tolerates a missing enhanced status, LF as line end, and lines whose codes differ (the last one holds).
public struct ReplyParser: Sendable {
    /// Octets, line end included. RFC 5321 §4.5.3.1.5 allows servers 512; real ones write more.
    public static let defaultMaximumLineLength = 4096
    public static let defaultMaximumLines = 100

    private let maximumLineLength: Int
    private let maximumLines: Int
    private var line: [UInt8] = []
    private var lines: [String] = []
    private var status: EnhancedStatusCode?
    private var failure: ReplySyntaxError?

    public init(
        maximumLineLength: Int = Self.defaultMaximumLineLength, maximumLines: Int = Self.defaultMaximumLines
    ) {
        self.maximumLineLength = maximumLineLength
        self.maximumLines = maximumLines
    }

    /// Takes octets up to the end of one reply; `reply` is `nil` when they do not reach it.
    ///
    /// After an error every call throws it again: the connection is of no more use.
    public mutating func parse(
        _ octets: UnsafeRawBufferPointer
    ) throws(ReplySyntaxError) -> (consumed: Int, reply: Reply?) {
        if let failure { throw failure }
        do {
            return try parseLines(octets)
        } catch {
            failure = error
            line = []
            lines = []
            throw error
        }
    }

    private mutating func parseLines(
        _ octets: UnsafeRawBufferPointer
    ) throws(ReplySyntaxError) -> (consumed: Int, reply: Reply?) {
        var index = 0
        while index < octets.count {
            let end = OctetScan.firstLineFeed(octets, from: index).map { $0 + 1 } ?? octets.count
            guard end - index <= maximumLineLength - line.count else {
                throw .lineTooLong(limit: maximumLineLength)
            }
            line.append(contentsOf: octets[index..<end])
            index = end
            guard line.last == .lineFeed else { break }
            line.removeLast()
            if line.last == .carriageReturn { line.removeLast() }
            let reply = try finishLine()
            line.removeAll(keepingCapacity: true)
            if let reply { return (index, reply) }
        }
        return (index, nil)
    }

    /// `Reply-line = Reply-code [ ("-" / SP) textstring ] CRLF`.
    private mutating func finishLine() throws(ReplySyntaxError) -> Reply? {
        guard line.count >= 3, (0x32...0x35).contains(line[0]), line[1...2].allSatisfy({ (0x30...0x39).contains($0) }),
            line.count == 3 || line[3] == .space || line[3] == UInt8(ascii: "-")
        else { throw .malformed(Self.printable(line.prefix(80))) }
        guard lines.count < maximumLines else { throw .tooManyLines(limit: maximumLines) }
        let code = line[0...2].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        var text = line.dropFirst(4)
        if let (status, length) = Self.status(text), status.class == code / 100 {
            if self.status == nil || self.status?.class != status.class { self.status = status }
            text = text.dropFirst(length)
            if text.first == .space { text.removeFirst() }
        }
        lines.append(Self.printable(text))
        if line.count > 3, line[3] == UInt8(ascii: "-") { return nil }
        let status = self.status?.class == code / 100 ? self.status : nil
        let reply = Reply(code, status, lines)
        lines = []
        self.status = nil
        return reply
    }

    /// The status at the beginning of `text` and its length; a blank or the end must follow (RFC 2034 §4).
    private static func status(_ text: ArraySlice<UInt8>) -> (EnhancedStatusCode, length: Int)? {
        var numbers = (0, 0, 0)
        var part = 0
        var digits = 0
        var index = text.startIndex
        while index < text.endIndex, text[index] != .space {
            let octet = text[index]
            index += 1
            if octet == .dot {
                guard digits > 0, part < 2 else { return nil }
                part += 1
                digits = 0
                continue
            }
            guard (0x30...0x39).contains(octet), digits < 3 else { return nil }
            digits += 1
            let digit = Int(octet - 0x30)
            switch part {
            case 0: numbers.0 = numbers.0 * 10 + digit
            case 1: numbers.1 = numbers.1 * 10 + digit
            case _: numbers.2 = numbers.2 * 10 + digit
            }
        }
        guard part == 2, digits > 0, numbers.0 == 2 || numbers.0 == 4 || numbers.0 == 5 else { return nil }
        return (EnhancedStatusCode(numbers.0, numbers.1, numbers.2), index - text.startIndex)
    }

    /// Control characters become blanks; what is not UTF-8 is repaired.
    private static func printable(_ octets: some Sequence<UInt8>) -> String {
        String(decoding: octets.map { $0 < 0x20 || $0 == 0x7f ? .space : $0 }, as: UTF8.self)
    }
}
