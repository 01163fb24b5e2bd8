import MailModel

extension ControlFile {
    /// Reads a control file: the head with its checksum, then the records. A torn last record is left out.
    public static func parse(_ octets: [UInt8]) throws(ControlFileError) -> ControlFile {
        let headEnd = try verifiedHeadEnd(octets)
        var file = ControlFile(
            id: SpoolID(rawValue: 0), headerStart: 0, bodyOffset: 0, messageSize: 0, logID: "", groups: [])
        var reader = HeadReader(octets: octets, end: headEnd)
        try reader.read(into: &file)
        file.records = ResultRecord.parseAll(octets[headEnd...])
        return file
    }

    /// The end of the `E sum` line, if what stands before it has that checksum once the mutable bytes of `r` lines are blanked.
    public static func verifiedHeadEnd(_ octets: [UInt8]) throws(ControlFileError) -> Int {
        let marker = Array("\nE sum ".utf8)
        var index = 0
        while let newline = octets[index...].firstIndex(of: 0x0a) {
            index = newline + 1
            guard octets[newline...].starts(with: marker) else { continue }
            let digits = newline + marker.count
            guard digits + 8 < octets.count, octets[digits + 8] == 0x0a else { throw .torn }
            var head = Array(octets[0...newline])
            blankMutableBytes(&head)
            guard Checksum(head).text.utf8.elementsEqual(octets[digits..<(digits + 8)]) else { throw .torn }
            return digits + 9
        }
        throw .torn
    }

    /// Tag, pid and delay fields (bytes 1...11 of each `r` line) change during delivery and are not part of the checksum.
    private static func blankMutableBytes(_ head: inout [UInt8]) {
        var start = 0
        while start < head.count {
            let end = head[start...].firstIndex(of: 0x0a) ?? head.count
            switch head[start] {
            case UInt8(ascii: "r"):
                if end - start > 12 { for position in (start + 1)...(start + 11) { head[position] = 0x20 } }
                start = end + 1
            case UInt8(ascii: "m") where end == start + 1:
                start = headerBlockEnd(head, from: end + 1)
            default:
                start = end + 1
            }
        }
    }

    /// Index behind the empty line that ends a header block.
    static func headerBlockEnd(_ octets: [UInt8], from start: Int) -> Int {
        var index = start
        while index < octets.count {
            if octets[index] == 0x0a { return index + 1 }
            guard let newline = octets[index...].firstIndex(of: 0x0a) else { return octets.count }
            index = newline + 1
        }
        return octets.count
    }
}

private struct HeadReader {
    let octets: [UInt8]
    let end: Int
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
            let newline = octets[start...].firstIndex(of: 0x0a) ?? end
            number += 1
            index = newline + 1
            guard newline > start else { throw failure("empty line") }
            let kind = octets[start]
            let value = String(decoding: octets[min(start + 2, newline)..<newline], as: UTF8.self)
            switch kind {
            case UInt8(ascii: "@"):
                guard value.hasPrefix("0x"), let flags = UInt32(value.dropFirst(2), radix: 16) else {
                    throw failure("format flags")
                }
                if flags & ~7 != 0 { throw .unsupported("format flags \(value)") }
            case UInt8(ascii: "i"):
                guard let id = SpoolID(value) else { throw failure("message file name") }
                file.id = id
                sawID = true
            case UInt8(ascii: "o"):
                guard let offset = Int(value), offset >= 0 else { throw failure("body offset") }
                file.bodyOffset = offset
            case UInt8(ascii: "l"): file.logID = value
            case UInt8(ascii: "n"): file.envelopeID = value
            case UInt8(ascii: "R"): file.notaryReturn = NotaryReturn(rawValue: value)
            case UInt8(ascii: "E"): try extensionLine(value, into: &file)
            case UInt8(ascii: "e"): errorsTo = value
            case UInt8(ascii: "s"):
                guard let sender = Self.quad(value[...]) else { throw failure("sender") }
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
            default: throw .unsupported("line type '\(Character(UnicodeScalar(kind)))'")
            }
        }
        guard sawID else { throw failure("no message file name") }
    }

    private func extensionLine(_ value: String, into file: inout ControlFile) throws(ControlFileError) {
        let words = value.split(separator: " ")
        switch words.first {
        case "version":
            guard words.count == 2, let version = Int(words[1]) else { throw failure("version") }
            if version > ControlFile.version { throw .unsupported("version \(version)") }
        case "content":
            guard words.count == 4, let start = Int(words[1]), let size = Int(words[2]) else {
                throw failure("content")
            }
            file.headerStart = start
            file.messageSize = size
            file.format = words[3] == "crlf" ? .crlf : .lf
        case "traits":
            guard words.count == 5, let size = Int(words[1]), let longest = Int(words[4]) else {
                throw failure("traits")
            }
            file.traits = MessageTraits(
                size: size, hasDotLines: words[2] == "1", hasEightBit: words[3] == "1", longestLine: longest)
        case "smtputf8": file.isInternationalized = true
        case "errormsg": file.isErrorMessage = true
        case "bodytype": file.bodyType = String(value.dropFirst(9))
        case "sum": return
        default: file.extensions.append(value)
        }
    }

    private func recipientLine(start: Int, newline: Int, into file: inout ControlFile) throws(ControlFileError) {
        guard newline - start > 12, !file.groups.isEmpty, let tag = ControlRecipient.Tag(rawValue: octets[start + 1]),
            let quad = Self.quad(String(decoding: octets[(start + 12)..<newline], as: UTF8.self)[...])
        else { throw failure("recipient") }
        var recipient = ControlRecipient(quad: quad)
        recipient.tag = tag
        recipient.offset = start
        let pid = String(decoding: octets[(start + 2)..<(start + 8)].filter { $0 != 0x20 }, as: UTF8.self)
        recipient.lockHolder = tag == .locked ? Int(pid) : nil
        file.groups[file.groups.count - 1].recipients.append(recipient)
    }

    private func notaryLine(_ value: String, start: Int, into file: inout ControlFile) throws(ControlFileError) {
        guard let group = file.groups.indices.last, let index = file.groups[group].recipients.indices.last else {
            throw failure("notary line before a recipient")
        }
        file.groups[group].recipients[index].notaryOffset = start
        for word in value.split(separator: " ") {
            if word.hasPrefix("ORCPT=") {
                file.groups[group].recipients[index].originalRecipient = String(word.dropFirst(6))
            } else if word.hasPrefix("INRCPT=rfc822;"), let octets = XText.decode(word.dropFirst(14)) {
                file.groups[group].recipients[index].envelopeRecipient = String(decoding: octets, as: UTF8.self)
            } else if word.hasPrefix("NOTIFY=") {
                guard let notify = Notify(word.dropFirst(7)) else { throw failure("NOTIFY") }
                file.groups[group].recipients[index].notify = notify
            }
        }
    }

    /// The user may hold blanks: channel and host are the first two words, the privilege the last.
    private static func quad(_ text: Substring) -> Quad? {
        let front = text.split(separator: " ", maxSplits: 2)
        guard front.count == 3, let last = front[2].lastIndex(of: " "),
            let privilege = Int(front[2][front[2].index(after: last)...])
        else { return nil }
        return Quad(
            channel: String(front[0]), host: String(front[1]), user: String(front[2][..<last]), privilege: privilege)
    }
}
