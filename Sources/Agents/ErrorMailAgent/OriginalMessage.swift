import AgentKit
import DeliveryStatus
import SpoolFormat

/// The part of the original message that a report returns.
enum OriginalMessage {
    /// Octets of a returned header; a longer one is cut at the end of a line.
    static let maximumHeader = 128 << 10

    /// Octets of the envelope that are looked at.
    static let maximumEnvelope = 16384

    /// `returnsBody`: if its size and its sender's wishes allow it.
    static func read(
        _ job: DeliveryJob, _ recipient: JobRecipient, returnsBody isWanted: Bool
    ) throws(FileError) -> DeliveryReport.Original {
        let content = job.content
        var header: [UInt8]
        if let replaced = job.header(of: recipient) {
            header = Array(replaced.prefix(maximumHeader))
        } else {
            header = withoutEmptyLine(try content.octets(in: 0..<min(content.headerCount, maximumHeader)))
        }
        let isCut = header.count >= maximumHeader
        if isCut, let newline = header.lastIndex(of: 0x0a) { header.removeLast(header.count - newline - 1) }
        let body = content.headerCount..<content.count
        let isReturned =
            isWanted && !isCut
            && DeliveryReport.returnsBody(
                job.control.notaryReturn, hasFailure: true, size: body.count, requiresTLS: job.control.requiresTLS)
        var original = DeliveryReport.Original(
            id: job.id, format: content.format, header: header, body: isReturned ? try content.octets(in: body) : nil,
            arrivalDate: job.id.unixTime, envelopeID: job.control.envelopeID,
            isInternationalized: job.control.isInternationalized)
        original.takeRequests(of: job.control)
        original.takeOrigin(from: try content.envelope(limit: maximumEnvelope)[...])
        return original
    }

    /// The header section alone: the empty line behind it is not part of it.
    static func withoutEmptyLine(_ octets: [UInt8]) -> [UInt8] {
        var header = octets
        for ending in ["\r\n", "\n"] {
            let isWhole = header.elementsEqual(ending.utf8)
            guard isWhole || header.suffix(ending.utf8.count + 1).elementsEqual("\n\(ending)".utf8) else { continue }
            header.removeLast(ending.utf8.count)
            return header
        }
        return header
    }
}
