import MailModel

/// Reads the lines of a control file's head whose checksum was right.
struct ControlHeadReader {
    private let octets: [UInt8]
    private let end: Int
    private var index = 0
    private var number = 0
    private var errorsTo: String?

    init(octets: [UInt8], end: Int) {
        self.octets = octets
        self.end = end
    }

    private func failure(_ reason: String) -> ControlFileError { .syntax(line: number, reason: reason) }

    mutating func read(into file: inout ControlFile) throws(ControlFileError) {
        var sawID = false
        while index < end {
            let start = index
            let newline = Octets.index(of: 0x0a, in: octets[start..<end]) ?? end
            number += 1
            index = newline + 1
            guard newline > start else { throw failure("empty line") }
            let value = octets[min(start + 2, newline)..<newline]
            switch octets[start] {
            case UInt8(ascii: "@"): try flags(value)
            case UInt8(ascii: "i"):
                guard let id = SpoolID(octets: value) else { throw failure("message file name") }
                file.id = id
                sawID = true
            case UInt8(ascii: "o"):
                guard let offset = Octets.decimal(value), offset >= 0 else { throw failure("body offset") }
                file.bodyOffset = offset
            case UInt8(ascii: "l"): file.logID = Octets.text(value)
            case UInt8(ascii: "n"): file.envelopeID = Octets.text(value)
            case UInt8(ascii: "R"): file.notaryReturn = NotaryReturn(rawValue: Octets.text(value))
            case UInt8(ascii: "E"): try extensionLine(value, into: &file)
            case UInt8(ascii: "e"): errorsTo = Octets.text(value)
            case UInt8(ascii: "s"):
                guard let sender = Self.quad(value) else { throw failure("sender") }
                file.groups.append(ControlGroup(sender: sender, errorsTo: errorsTo, recipients: []))
                errorsTo = nil
            case UInt8(ascii: "r"): try recipientLine(start: start, newline: newline, into: &file)
            case UInt8(ascii: "N"): try notaryLine(value, start: start, into: &file)
            case UInt8(ascii: "m"):
                guard !file.groups.isEmpty else { throw failure("header block before a sender") }
                let blockEnd = ControlFile.headerBlockEnd(octets, from: index)
                file.groups[file.groups.count - 1].headerOffset = index
                file.groups[file.groups.count - 1].header = Array(octets[index..<max(index, blockEnd - 1)])
                index = blockEnd
            case UInt8(ascii: "v"), UInt8(ascii: "x"), UInt8(ascii: "T"), UInt8(ascii: "X"), UInt8(ascii: "b"): continue
            default: throw .unsupported("line type '\(Character(UnicodeScalar(octets[start])))'")
            }
        }
        guard sawID else { throw failure("no message file name") }
    }

    /// Without the bits for pid (1) and delay (2), `r` lines have another shape.
    private func flags(_ value: ArraySlice<UInt8>) throws(ControlFileError) {
        guard Octets.hasPrefix(value, "0x"), let flags = UInt32(Octets.text(value.dropFirst(2)), radix: 16) else {
            throw failure("format flags")
        }
        if flags & ~7 != 0 || flags & 3 != 3 { throw .unsupported("format flags \(Octets.text(value))") }
    }

    private func extensionLine(
        _ value: ArraySlice<UInt8>, into file: inout ControlFile
    ) throws(ControlFileError) {
        let words = Octets.words(value)
        switch words.first.map(Octets.text) {
        case "version":
            guard words.count == 2, let version = Octets.decimal(words[1]) else { throw failure("version") }
            if version > ControlFile.version { throw .unsupported("version \(version)") }
        case "content":
            guard words.count == 4, let start = Octets.decimal(words[1]), let size = Octets.decimal(words[2]),
                start >= 0, size >= 0
            else { throw failure("content") }
            file.headerStart = start
            file.messageSize = size
            file.format = Octets.equal(words[3], "crlf") ? .crlf : .lf
        case "traits":
            guard words.count == 5, let size = Octets.decimal(words[1]), let longest = Octets.decimal(words[4]),
                size >= 0, longest >= 0
            else { throw failure("traits") }
            file.traits = MessageTraits(
                size: size, hasDotLines: Octets.equal(words[2], "1"), hasEightBit: Octets.equal(words[3], "1"),
                longestLine: longest)
        case "smtputf8": file.isInternationalized = true
        case "errormsg": file.isErrorMessage = true
        case "bodytype": file.bodyType = Octets.text(value.dropFirst(9))
        case "holduntil":
            guard let release = FutureRelease(words: words.dropFirst()) else { throw failure("holduntil") }
            file.release = release
        case "mtpriority": file.priority = words.count == 2 ? MessagePriority(octets: words[1]) : nil
        case "requiretls": file.requiresTLS = true
        case "smtpauth": file.submitter = words.count == 2 ? Submitter(Octets.text(words[1])) : nil
        case "sum": return
        default: file.extensions.append(Octets.text(value))
        }
    }

    private func recipientLine(start: Int, newline: Int, into file: inout ControlFile) throws(ControlFileError) {
        guard newline - start > 12, !file.groups.isEmpty, let quad = Self.quad(octets[(start + 12)..<newline]) else {
            throw failure("recipient")
        }
        var recipient = ControlRecipient(quad: quad)
        // No checksum covers the tag. One that is none says nothing about the recipient: the records do.
        recipient.tag = ControlRecipient.Tag(rawValue: octets[start + 1]) ?? .pending
        recipient.offset = start
        let pid = octets[(start + 2)..<(start + 8)].drop { $0 == 0x20 }
        recipient.lockHolder = recipient.tag == .locked ? Octets.decimal(pid) : nil
        file.groups[file.groups.count - 1].recipients.append(recipient)
    }

    private func notaryLine(
        _ value: ArraySlice<UInt8>, start: Int, into file: inout ControlFile
    ) throws(ControlFileError) {
        guard let group = file.groups.indices.last, let index = file.groups[group].recipients.indices.last else {
            throw failure("notary line before a recipient")
        }
        file.groups[group].recipients[index].notaryOffset = start
        for word in Octets.words(value) {
            if Octets.hasPrefix(word, "ORCPT=") {
                file.groups[group].recipients[index].originalRecipient = Octets.text(word.dropFirst(6))
            } else if Octets.hasPrefix(word, "INRCPT=rfc822;"),
                let decoded = XText.decode(Octets.text(word.dropFirst(14)))
            {
                file.groups[group].recipients[index].envelopeRecipient = Octets.text(decoded[...])
            } else if Octets.hasPrefix(word, "BY=") {
                guard let deliverBy = DeliverByTime(value: word.dropFirst(3)) else { throw failure("BY") }
                file.groups[group].recipients[index].deliverBy = deliverBy
            } else if Octets.hasPrefix(word, "NOTIFY=") {
                guard let notify = Notify(octets: word.dropFirst(7)) else { throw failure("NOTIFY") }
                file.groups[group].recipients[index].notify = notify
            }
        }
    }

    /// The user may hold blanks: channel and host are the first two words, the privilege the last.
    private static func quad(_ text: ArraySlice<UInt8>) -> Quad? {
        let parts = Octets.split(text.drop { $0 == 0x20 }, at: 0x20, limit: 3)
        guard parts.count == 3, !parts[0].isEmpty, !parts[1].isEmpty, let blank = parts[2].lastIndex(of: 0x20),
            let privilege = Octets.decimal(parts[2][(blank + 1)...])
        else { return nil }
        return Quad(
            channel: Octets.text(parts[0]), host: Octets.text(parts[1]), user: Octets.text(parts[2][..<blank]),
            privilege: privilege)
    }
}
