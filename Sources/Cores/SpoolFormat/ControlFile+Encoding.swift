import MailModel

extension ControlFile {
    /// The head, ending with its checksum line. Offsets of recipients are set in `self`.
    public mutating func encodeHead() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(512 + groups.reduce(0) { $0 + $1.recipients.count } * 160)
        appendPreamble(to: &out)
        for group in groups.indices { Self.append(&groups[group], to: &out) }
        let sum = Checksum(out).digits
        out.append(literal: "E sum ")
        out.append(contentsOf: sum)
        out.append(0x0a)
        return out
    }

    private func appendPreamble(to out: inout [UInt8]) {
        func line(_ name: StaticString, _ value: String) {
            out.append(literal: name)
            out.append(field: value)
            out.append(0x0a)
        }
        out.append(literal: "@ 0x00000007\n")
        line("E version ", "\(neededVersion)")
        line("i ", id.description)
        line("o ", "\(bodyOffset)")
        line("E content ", "\(headerStart) \(messageSize) \(format == .crlf ? "crlf" : "lf")")
        line(
            "E traits ",
            "\(traits.size) \(traits.hasDotLines ? 1 : 0) \(traits.hasEightBit ? 1 : 0) \(traits.longestLine)")
        if isInternationalized { out.append(literal: "E smtputf8 1\n") }
        if isErrorMessage { out.append(literal: "E errormsg 1\n") }
        if let bodyType { line("E bodytype ", bodyType) }
        if let release { line("E holduntil ", release.text) }
        if let priority { line("E mtpriority ", priority.text) }
        if requiresTLS { out.append(literal: "E requiretls 1\n") }
        if let submitter { line("E smtpauth ", submitter.text) }
        for text in extensions where !Self.isReserved(text) { line("E ", text) }
        if !logID.isEmpty { line("l ", logID) }
        if let envelopeID { line("n ", envelopeID) }
        if let notaryReturn { line("R ", notaryReturn.rawValue) }
    }

    private static let reservedNames = [
        "sum", "version", "content", "traits", "smtputf8", "errormsg", "bodytype", "holduntil", "mtpriority",
        "requiretls",
        "smtpauth", "",
    ]

    /// Names of `E` lines that the head itself writes: an extension of such a name would be taken for them.
    private static func isReserved(_ text: String) -> Bool {
        let name = text.utf8.prefix { $0 != 0x20 }
        return reservedNames.contains { $0.utf8.elementsEqual(name) }
    }

    private static func append(_ group: inout ControlGroup, to out: inout [UInt8]) {
        if let errorsTo = group.errorsTo {
            out.append(literal: "e ")
            out.append(field: errorsTo)
            out.append(0x0a)
        }
        out.append(literal: "s ")
        out.append(quad: group.sender)
        out.append(0x0a)
        for index in group.recipients.indices { append(&group.recipients[index], to: &out) }
        group.headerOffset = -1
        guard let header = group.header else { return }
        out.append(literal: "m\n")
        group.headerOffset = out.count
        // An empty line ends the block and a missing line end would hide it: neither may come from the header itself.
        let end = headerBlockEnd(header, from: 0)
        let isTerminated = end > 0 && header[end - 1] == 0x0a && (end == 1 || header[end - 2] == 0x0a)
        out.append(contentsOf: header[..<(isTerminated ? end - 1 : end)])
        if let last = out.last, last != 0x0a { out.append(0x0a) }
        out.append(0x0a)
    }

    private static func append(_ recipient: inout ControlRecipient, to out: inout [UInt8]) {
        recipient.offset = out.count
        out.append(literal: "r           ")
        out.append(quad: recipient.quad)
        out.append(0x0a)
        recipient.notaryOffset = out.count
        out.append(literal: "N ")
        if let deliverBy = recipient.deliverBy {
            out.append(literal: "BY=")
            out.append(text: deliverBy.value)
            out.append(0x20)
        }
        if let original = recipient.originalRecipient {
            out.append(literal: "ORCPT=")
            out.append(word: original)
            out.append(0x20)
        }
        if let envelope = recipient.envelopeRecipient {
            out.append(literal: "INRCPT=rfc822;")
            out.append(text: XText.encode(envelope.utf8))
            out.append(0x20)
        }
        out.append(literal: "NOTIFY=")
        out.append(text: recipient.notify.text)
        out.append(0x0a)
    }
}
