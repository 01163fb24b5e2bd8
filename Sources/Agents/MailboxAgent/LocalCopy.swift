import AgentKit
import Glibc
import SpoolFormat

/// The message as mailboxes and programs get it: our trace fields, the header without the fields that they replace, the body;
/// lines end in LF. Read piece by piece, so that the size of a message costs no memory. Confined to one thread.
final class LocalCopy {
    private let content: MessageContent
    /// Trace fields and header, in their local form.
    private let front: UnsafeMutableRawBufferPointer
    private var isFrontRead = false
    /// Where the content continues behind ``front``.
    private let start: Int
    /// Next octet of the content to read.
    private var offset: Int
    private let buffer: UnsafeMutableRawBufferPointer
    /// Octets at the end of what was read last that are not handed out yet.
    private var carry = 0..<0
    /// What is behind ``front``, if it has to be decoded.
    private let decoded: DecodedContent?

    /// Octets read at a time; a longer line comes in several pieces.
    static let pieceSize = 64 * 1024
    /// Octets of a header that is searched for fields to replace; a longer one is passed on as it is.
    static let maximumHeader = 1 << 20

    /// `prefix`: LF lines in front of everything. `header`: CRLF lines that take the place of the message's own. `recipient`: for
    /// whom our own `Received` field, of the message `id`, says that it is. `decodes`: quoted-printable texts become what they
    /// stand for (`-8`), where nothing forbids it.
    init(
        _ content: MessageContent, prefix: String, header: [UInt8]?, for recipient: (JobRecipient, id: SpoolID)? = nil,
        decodes: Bool = false
    ) throws(FileError) {
        var octets = Array(prefix.utf8)
        var head: [UInt8]?
        if let header {
            head = HeaderFilter.removing(TraceFields.replaced, from: header) + [0x0d, 0x0a]
        } else if content.headerCount <= Self.maximumHeader {
            head = HeaderFilter.removing(TraceFields.replaced, from: try content.octets(in: 0..<content.headerCount))
        }
        if let recipient { head = head.map { ReceivedClause.adding(recipient.0, to: $0, id: recipient.id) } }
        start = head == nil ? 0 : content.headerCount
        if decodes, content.format == .crlf, let head {
            decoded = try DecodedContent(content, head: head, start: start)
        } else {
            decoded = nil
        }
        if decoded == nil, let head { octets += Self.local(head) }
        self.content = content
        offset = start
        front = .allocate(byteCount: octets.count, alignment: 1)
        front.copyBytes(from: octets)
        buffer = .allocate(byteCount: Self.pieceSize, alignment: 16)
    }

    deinit {
        front.deallocate()
        buffer.deallocate()
    }

    private static func local(_ header: [UInt8]) -> [UInt8] {
        var octets = header
        let count = octets.withUnsafeMutableBytes { Octets.removeCarriageReturns($0) }
        octets.removeLast(octets.count - count)
        return octets
    }

    /// From the beginning again.
    func rewind() {
        isFrontRead = false
        carry = 0..<0
        offset = start
        decoded?.rewind()
    }

    /// The next octets, valid until the next call; `nil` at the end. A piece ends with a line unless the line is longer than
    /// ``pieceSize``.
    func next() throws(FileError) -> UnsafeRawBufferPointer? {
        if !isFrontRead {
            isFrontRead = true
            if !front.isEmpty { return UnsafeRawBufferPointer(front) }
        }
        if let decoded { return try decoded.next() }
        guard let base = buffer.baseAddress else { return nil }
        if !carry.isEmpty { memmove(base, base + carry.lowerBound, carry.count) }
        var count = carry.count
        carry = 0..<0
        let got = try content.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]), at: offset)
        offset += got
        count += got
        guard count > 0 else { return nil }
        var end = count
        if offset < content.count {
            let read = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            if let newline = Octets.lastIndex(of: 0x0a, in: read) {
                end = newline + 1
            } else if read[count - 1] == 0x0d {
                // Its LF may come next.
                end = count - 1
            }
        }
        carry = end..<count
        switch content.format {
        case .lf: return UnsafeRawBufferPointer(rebasing: buffer[..<end])
        case .crlf:
            let length = Octets.removeCarriageReturns(UnsafeMutableRawBufferPointer(rebasing: buffer[..<end]))
            return UnsafeRawBufferPointer(rebasing: buffer[..<length])
        }
    }
}

extension LocalCopy {
    /// ``next()`` with the failure as a result.
    func piece() throws(DeliveryProblem) -> UnsafeRawBufferPointer? {
        do throws(FileError) { return try next() } catch { throw .content(error) }
    }

    /// The rest of the message, as it is.
    func writeAll(to writer: inout SteadyWriter) throws(DeliveryProblem) {
        while let piece = try piece() { try writer.write(piece) }
    }
}
