import MailModel

/// What a milter says (`SMFIR_…`, libmilter/mfdef.h), with its data checked.
public enum MilterResponse: Hashable, Sendable {
    case negotiate(MilterOptions)
    case `continue`
    case accept
    case reject
    case temporaryFailure
    case discard
    case connectionFailure
    case shutdown
    case reply(Reply)
    /// No more of the body.
    case skip
    /// It is still at work.
    case progress
    case addField(MilterField)
    case insertField(index: UInt32, MilterField)
    /// An empty value: the field goes.
    case changeField(index: UInt32, MilterField)
    /// Without angle brackets.
    case addRecipient(String, hasParameters: Bool)
    case deleteRecipient(String)
    case changeSender(String)
    case replaceBody
    case quarantine(String)

    public init(_ packet: MilterPacket) throws(MilterProtocolError) {
        let data = packet.data
        func malformed(_ reason: String) -> MilterProtocolError { .malformed(response: packet.command, reason: reason) }
        func plain(_ response: MilterResponse) throws(MilterProtocolError) -> MilterResponse {
            guard data.isEmpty else { throw malformed("has data") }
            return response
        }
        switch packet.command {
        case UInt8(ascii: "O"):
            guard data.count >= 12 else { throw malformed("shorter than 12 octets") }
            self = .negotiate(
                MilterOptions(
                    version: Self.number(data[0..<4]), actions: MilterActions(rawValue: Self.number(data[4..<8])),
                    steps: MilterSteps(rawValue: Self.number(data[8..<12]))))
        case UInt8(ascii: "c"): self = try plain(.continue)
        case UInt8(ascii: "a"): self = try plain(.accept)
        case UInt8(ascii: "r"): self = try plain(.reject)
        case UInt8(ascii: "t"): self = try plain(.temporaryFailure)
        case UInt8(ascii: "d"): self = try plain(.discard)
        case UInt8(ascii: "f"): self = try plain(.connectionFailure)
        case UInt8(ascii: "4"): self = try plain(.shutdown)
        case UInt8(ascii: "s"): self = try plain(.skip)
        case UInt8(ascii: "p"): self = try plain(.progress)
        case UInt8(ascii: "b"): self = .replaceBody
        case UInt8(ascii: "y"):
            guard let text = Self.texts(data[...], 1...1)?.first, let reply = MilterReplyText.parse(text) else {
                throw malformed("no SMTP reply of class 4 or 5")
            }
            self = .reply(reply)
        case UInt8(ascii: "h"):
            guard let field = Self.field(data[...]) else { throw malformed("no header field") }
            self = .addField(field)
        case UInt8(ascii: "i"), UInt8(ascii: "m"):
            guard data.count > 4, let field = Self.field(data[4...]) else { throw malformed("no header field") }
            let index = Self.number(data[0..<4])
            let isInsertion = packet.command == UInt8(ascii: "i")
            self = isInsertion ? .insertField(index: index, field) : .changeField(index: index, field)
        case UInt8(ascii: "+"), UInt8(ascii: "2"), UInt8(ascii: "-"):
            guard let texts = Self.texts(data[...], 1...2), let address = Self.address(texts[0]) else {
                throw malformed("no mail address")
            }
            self =
                packet.command == UInt8(ascii: "-")
                ? .deleteRecipient(address) : .addRecipient(address, hasParameters: texts.count > 1)
        case UInt8(ascii: "e"):
            guard let text = Self.texts(data[...], 1...2)?.first else { throw malformed("no mail address") }
            self = .changeSender(Octets.cleaned(Octets.text(text.prefix(512))))
        case UInt8(ascii: "q"):
            guard let text = Self.texts(data[...], 1...1)?.first else { throw malformed("no reason") }
            self = .quarantine(Octets.cleaned(Octets.text(text.prefix(MilterReplyText.maximumLine))))
        default: throw .unknownResponse(packet.command)
        }
    }

    /// Network order.
    static func number(_ octets: ArraySlice<UInt8>) -> UInt32 { octets.reduce(0) { $0 << 8 | UInt32($1) } }

    /// The texts of `data`, each ended by NUL; `nil` unless there are as many as `count` says and nothing behind them.
    static func texts(_ data: ArraySlice<UInt8>, _ count: ClosedRange<Int>) -> [ArraySlice<UInt8>]? {
        guard data.last == 0 else { return nil }
        let texts = Octets.split(data.dropLast(), at: 0, limit: count.upperBound + 1)
        return count.contains(texts.count) ? texts : nil
    }

    /// Octets of a value in a response: an edit line of a content filter has room for it.
    static let maximumValue = 60_000

    private static func field(_ data: ArraySlice<UInt8>) -> MilterField? {
        guard let texts = texts(data, 2...2), (1...256).contains(texts[0].count), texts[1].count <= maximumValue,
            texts[0].allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: ":") })
        else { return nil }
        return MilterField(name: Array(texts[0]), value: folded(texts[1]))
    }

    /// A value that stays one field: CR in front of LF goes, a line that is none of a folded field's becomes one, what is empty
    /// goes; other control octets become blanks.
    private static func folded(_ value: ArraySlice<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        for (number, line) in Octets.split(value, at: 0x0a).enumerated() {
            var line = line
            while line.last == 0x0d { line.removeLast() }
            if number > 0 {
                guard line.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
                out.append(0x0a)
                if line.first != 0x20, line.first != 0x09 { out.append(0x09) }
            }
            for octet in line { out.append((octet < 0x20 && octet != 0x09) || octet == 0x7f ? 0x20 : octet) }
        }
        return out
    }

    private static func address(_ text: ArraySlice<UInt8>) -> String? {
        guard text.count <= 512, let whole = String(validating: text, as: UTF8.self) else { return nil }
        let isBracketed = whole.utf8.first == UInt8(ascii: "<") && whole.utf8.last == UInt8(ascii: ">")
        let bare = isBracketed ? String(whole.dropFirst().dropLast()) : whole
        if let mailbox = Mailbox(bare) { return mailbox.description }
        return asciiLowercased(bare) == "postmaster" ? bare : nil
    }
}
