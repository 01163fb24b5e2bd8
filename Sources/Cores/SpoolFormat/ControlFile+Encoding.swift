import MailModel

extension ControlFile {
    /// The head, ending with its checksum line. Offsets of recipients are set in `self`.
    public mutating func encodeHead() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(512)
        func line(_ text: String) {
            out.append(contentsOf: text.utf8)
            out.append(0x0a)
        }
        line("@ 0x00000007")
        line("E version \(Self.version)")
        line("i \(id)")
        line("o \(bodyOffset)")
        line("E content \(headerStart) \(messageSize) \(format == .crlf ? "crlf" : "lf")")
        line(
            "E traits \(traits.size) \(traits.hasDotLines ? 1 : 0) \(traits.hasEightBit ? 1 : 0) \(traits.longestLine)")
        if isInternationalized { line("E smtputf8 1") }
        if isErrorMessage { line("E errormsg 1") }
        if let bodyType { line("E bodytype \(SpoolText.field(bodyType))") }
        for text in extensions { line("E \(text)") }
        if !logID.isEmpty { line("l \(SpoolText.field(logID))") }
        if let envelopeID { line("n \(SpoolText.field(envelopeID))") }
        if let notaryReturn { line("R \(notaryReturn.rawValue)") }
        for group in groups.indices {
            if let errorsTo = groups[group].errorsTo { line("e \(SpoolText.field(errorsTo))") }
            line("s \(SpoolText.quad(groups[group].sender))")
            for index in groups[group].recipients.indices {
                let recipient = groups[group].recipients[index]
                groups[group].recipients[index].offset = out.count
                line("r           \(SpoolText.quad(recipient.quad))")
                groups[group].recipients[index].notaryOffset = out.count
                var notary = "N "
                if let original = recipient.originalRecipient { notary += "ORCPT=\(SpoolText.word(original)) " }
                if let envelope = recipient.envelopeRecipient {
                    notary += "INRCPT=rfc822;\(XText.encode(envelope.utf8)) "
                }
                line(notary + "NOTIFY=\(recipient.notify.text)")
            }
            if let header = groups[group].header {
                line("m")
                groups[group].headerOffset = out.count
                out.append(contentsOf: header)
                out.append(0x0a)
            }
        }
        line("E sum \(Checksum(out).text)")
        return out
    }
}

/// Text that goes into one line of a spool file: whatever would break the line becomes a space.
public enum SpoolText {
    public static func field(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) { return text }
        return String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }, as: UTF8.self)
    }

    /// One word: blanks too are replaced, by `_`.
    public static func word(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }), !text.isEmpty { return text }
        if text.isEmpty { return "-" }
        return String(decoding: text.utf8.map { $0 <= 0x20 || $0 == 0x7f ? 0x5f : $0 }, as: UTF8.self)
    }

    /// `channel host user privilege`.
    public static func quad(_ quad: Quad) -> String {
        "\(word(quad.channel)) \(word(quad.host)) \(field(quad.user)) \(quad.privilege)"
    }
}
