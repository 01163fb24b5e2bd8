import AgentKit
import Glibc
import MessageConversion
import SMTPProtocol
import SpoolFormat

/// The octets of one message as they go on the wire: what was accepted, octet for octet, but for a header that the router
/// replaced and what a server cannot take. Files with LF as line end get their CRLF from ``DotStuffer``.
struct ContentStream {
    private let content: MessageContent
    /// Stands in front of what is read; emptied by the first read.
    private var front: [UInt8]
    /// Where the next read begins.
    private var offset: Int
    private var stuffer: DotStuffer?
    private var converter: MessageConverter?
    /// Octets behind ``converter``.
    private var convertedSize = 0

    /// Octets that are read at a time where nothing goes on the wire.
    private static let blockSize = 256 * 1024

    /// - Parameter header: CRLF lines without the empty line, in place of the message's own.
    init(_ content: MessageContent, header: [UInt8]?) {
        self.content = content
        front = header.map { $0 + [0x0d, 0x0a] } ?? []
        offset = header == nil ? 0 : content.headerCount
    }

    /// Whether the octets go out unchanged: `format crlf`.
    var isWireFormat: Bool { content.format == .crlf && converter == nil }

    /// Octets on the wire, stuffed dots not counted. Exact for `format crlf`; else an estimate with one more octet for each forty,
    /// which makes it right for short lines (RFC 1870 §5 allows that).
    var size: Int {
        if converter != nil { return convertedSize }
        let count = front.count + content.count - offset
        return isWireFormat ? count : count + (content.count - offset) / 40 + 1
    }

    var isAtEnd: Bool { front.isEmpty && offset >= content.count }

    /// From now on content is framed for DATA.
    mutating func stuffDots() { stuffer = DotStuffer() }

    /// All octets as they are stored, from the first, in blocks.
    func read(_ body: (ArraySlice<UInt8>) -> Void) throws(FileError) {
        if !front.isEmpty { body(front[...]) }
        var offset = offset
        while offset < content.count {
            let octets = try block(at: offset, limit: Self.blockSize)
            body(octets[...])
            offset += octets.count
        }
    }

    /// What is sent is what the plan makes of the content. Goes through it once, to know how many octets that are.
    mutating func convert(_ plan: ConversionPlan) throws(FileError) {
        var converter = MessageConverter(plan)
        var output: [UInt8] = []
        var size = 0
        try read { octets in
            converter.push(octets, into: &output)
            size += output.count
            output.removeAll(keepingCapacity: true)
        }
        converter.finish(into: &output)
        convertedSize = size + output.count
        self.converter = MessageConverter(plan)
    }

    /// Appends what up to `limit` octets of the file become, and the final dot behind the last ones. Throws when the file cannot
    /// be read; then the message must not be completed.
    mutating func append(upTo limit: Int, to output: inout [UInt8]) throws(FileError) {
        append(front, to: &output)
        front = []
        if offset < content.count {
            let octets = try block(at: offset, limit: limit)
            append(octets, to: &output)
            offset += octets.count
        }
        guard isAtEnd else { return }
        if converter != nil {
            var rest: [UInt8] = []
            converter?.finish(into: &rest)
            frame(rest, to: &output)
        }
        stuffer?.finish(into: &output)
    }

    private func block(at offset: Int, limit: Int) throws(FileError) -> [UInt8] {
        let count = min(limit, content.count - offset)
        let octets = try content.octets(in: offset..<(offset + count))
        guard octets.count == count else { throw FileError(call: "read", path: "message file", code: EIO) }
        return octets
    }

    private mutating func append(_ octets: [UInt8], to output: inout [UInt8]) {
        guard converter != nil else {
            frame(octets, to: &output)
            return
        }
        var converted: [UInt8] = []
        converter?.push(octets[...], into: &converted)
        frame(converted, to: &output)
    }

    private mutating func frame(_ octets: [UInt8], to output: inout [UInt8]) {
        if stuffer == nil {
            output.append(contentsOf: octets)
        } else {
            octets.withUnsafeBytes { stuffer?.stuff($0, into: &output) }
        }
    }
}
