import AgentKit
import Glibc
import SMTPProtocol
import SpoolFormat

/// The octets of one message as they go on the wire: what was accepted, octet for octet, but for a header that the router
/// replaced. Files with LF as line end get their CRLF from ``DotStuffer``.
struct ContentStream {
    private let content: MessageContent
    /// Stands in front of what is read; emptied by the first read.
    private var front: [UInt8]
    /// Where the next read begins.
    private var offset: Int
    private var stuffer: DotStuffer?

    /// - Parameter header: CRLF lines without the empty line, in place of the message's own.
    init(_ content: MessageContent, header: [UInt8]?) {
        self.content = content
        front = header.map { $0 + [0x0d, 0x0a] } ?? []
        offset = header == nil ? 0 : content.headerCount
    }

    /// Whether the octets go out unchanged: `format crlf`.
    var isWireFormat: Bool { content.format == .crlf }

    /// Octets on the wire, stuffed dots not counted. Exact for `format crlf`; else an estimate with one more octet for each forty,
    /// which makes it right for short lines (RFC 1870 §5 allows that).
    var size: Int {
        let count = front.count + content.count - offset
        return isWireFormat ? count : count + (content.count - offset) / 40 + 1
    }

    var isAtEnd: Bool { front.isEmpty && offset >= content.count }

    /// From now on content is framed for DATA.
    mutating func stuffDots() { stuffer = DotStuffer() }

    /// Appends what up to `limit` octets of the file become, and the final dot behind the last ones. Throws when the file cannot
    /// be read; then the message must not be completed.
    mutating func append(upTo limit: Int, to output: inout [UInt8]) throws(FileError) {
        append(front, to: &output)
        front = []
        let count = min(limit, content.count - offset)
        if count > 0 {
            let octets = try content.octets(in: offset..<(offset + count))
            guard octets.count == count else { throw FileError(call: "read", path: "message file", code: EIO) }
            append(octets, to: &output)
            offset += count
        }
        if isAtEnd { stuffer?.finish(into: &output) }
    }

    private mutating func append(_ octets: [UInt8], to output: inout [UInt8]) {
        if stuffer == nil {
            output.append(contentsOf: octets)
        } else {
            octets.withUnsafeBytes { stuffer?.stuff($0, into: &output) }
        }
    }
}
