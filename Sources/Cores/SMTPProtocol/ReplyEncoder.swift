import MailModel

/// Writes replies (RFC 5321 §4.2) at the end of a buffer.
///
/// What goes out is printable ASCII (RFC 5321 §4.2; beyond it only VRFY and EXPN may go, RFC 6531 §3.7.4.2), and no line over 512 octets, whatever the text: a text from elsewhere can
/// neither break a reply in two nor overrun a client (RFC 5321 §4.5.3.1.5).
public struct ReplyEncoder: Hashable, Sendable {
    /// Octets, CRLF included.
    public static let maximumLineLength = 512

    /// Whether ENHANCEDSTATUSCODES is offered (RFC 2034); otherwise the status is left out.
    public var writesEnhancedStatus: Bool
    /// Whether a reply of several lines is cut to its last one (`no-multiline-replies`).
    public var writesSingleLines: Bool

    public init(writesEnhancedStatus: Bool = true, writesSingleLines: Bool = false) {
        self.writesEnhancedStatus = writesEnhancedStatus
        self.writesSingleLines = writesSingleLines
    }

    public func encode(_ reply: Reply, into buffer: inout [UInt8]) {
        let last = reply.lines.count - 1
        for (position, text) in reply.lines.enumerated() {
            if writesSingleLines, position < last { continue }
            line(reply.code, reply.status, text, isLast: position == last, into: &buffer)
        }
    }

    /// A line of a reply whose text comes from elsewhere.
    func line(
        _ code: Int, _ status: EnhancedStatusCode?, _ text: String, isLast: Bool, into buffer: inout [UInt8]
    ) {
        let start = buffer.count
        number(code, into: &buffer)
        buffer.append(isLast ? .space : UInt8(ascii: "-"))
        if writesEnhancedStatus, let status {
            number(status.class, into: &buffer)
            buffer.append(.dot)
            number(status.subject, into: &buffer)
            buffer.append(.dot)
            number(status.detail, into: &buffer)
            buffer.append(.space)
        }
        let textStart = buffer.count
        buffer.append(contentsOf: text.utf8)
        for index in textStart..<buffer.count where buffer[index] < 0x20 || buffer[index] >= 0x7f {
            buffer[index] = UInt8(ascii: "?")
        }
        let excess = buffer.count - start - (Self.maximumLineLength - 2)
        if excess > 0 {
            buffer.removeLast(excess)
        }
        buffer.append(.carriageReturn)
        buffer.append(.lineFeed)
    }

    /// A reply of one line whose text is ours: no allocation, no check.
    /// - Parameter status: such as `2.0.0`; may be empty.
    @inline(__always)
    func encode(_ code: Int, _ status: StaticString, _ text: StaticString, into buffer: inout [UInt8]) {
        number(code, into: &buffer)
        buffer.append(.space)
        if writesEnhancedStatus, status.utf8CodeUnitCount > 0 {
            append(status, to: &buffer)
            buffer.append(.space)
        }
        append(text, to: &buffer)
        buffer.append(.carriageReturn)
        buffer.append(.lineFeed)
    }

    @inline(__always)
    func append(_ text: StaticString, to buffer: inout [UInt8]) {
        buffer.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private func number(_ value: Int, into buffer: inout [UInt8]) {
        if value >= 10 { number(value / 10, into: &buffer) }
        buffer.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10))
    }
}
