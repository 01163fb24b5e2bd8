/// The delivery-status data of one result (scheduler.md §3): no field holds TAB, newline or 0x01.
public struct Notary: Hashable, Sendable {
    public enum Action: String, Hashable, Sendable {
        case delivered, relayed, delayed, failed, expanded
    }
    public var finalRecipient: String
    public var action: Action
    /// An enhanced status code, `5.1.1`.
    public var status: String
    /// `smtp; 550 …`, `x-local; 500 …`; may be empty.
    public var diagnostic: String
    /// `host (address)`; may be empty.
    public var remoteHost: String
    /// `name[pid]` of the agent.
    public var agent: String

    public init(
        finalRecipient: String, action: Action, status: String, diagnostic: String = "", remoteHost: String = "",
        agent: String = ""
    ) {
        self.finalRecipient = finalRecipient
        self.action = action
        self.status = status
        self.diagnostic = diagnostic
        self.remoteHost = remoteHost
        self.agent = agent
    }

    public var encoded: String {
        [finalRecipient, action.rawValue, status, diagnostic, remoteHost, agent].map(SpoolText.field)
            .joined(separator: "\u{01}")
    }

    /// Six fields separated by 0x01; more are ignored.
    public init?(_ text: some StringProtocol) {
        let fields = text.split(separator: "\u{01}", omittingEmptySubsequences: false)
        guard fields.count >= 6, let action = Action(rawValue: String(fields[1])) else { return nil }
        self.init(
            finalRecipient: String(fields[0]), action: action, status: String(fields[2]), diagnostic: String(fields[3]),
            remoteHost: String(fields[4]), agent: String(fields[5]))
    }
}

/// One `d` line of a control file:
/// `d<tag><offset>:<header offset>:<N offset>:<checksum>:<epoch>\t<notary>\t<message>\n`.
/// The tag is ` ` (not reported), `+` (reported). The checksum covers the line behind its tag with the checksum left out,
/// so that the tag can be set in place.
public struct ResultRecord: Hashable, Sendable {
    public var isReported: Bool
    /// The recipient's identity: the offset of its `r`.
    public var offset: Int
    public var headerOffset: Int
    public var notaryOffset: Int
    /// Seconds since 1970.
    public var time: Int64
    public var notary: Notary
    /// Free text; a newline in it is stored as CR.
    public var message: String
    /// Position of the record's `d` relative to the first record; set by parsing.
    public var position: Int

    public init(
        offset: Int, headerOffset: Int, notaryOffset: Int, time: Int64, notary: Notary, message: String,
        isReported: Bool = false
    ) {
        self.isReported = isReported
        self.offset = offset
        self.headerOffset = headerOffset
        self.notaryOffset = notaryOffset
        self.time = time
        self.notary = notary
        self.message = message
        self.position = 0
    }

    public func encoded() -> [UInt8] {
        let front = "\(offset):\(headerOffset):\(notaryOffset):"
        let text = String(decoding: message.utf8.map { $0 == 0x0a ? 0x0d : $0 == 0x09 ? 0x20 : $0 }, as: UTF8.self)
        let back = ":\(time)\t\(notary.encoded)\t\(text)"
        let sum = Checksum((front + back).utf8).text
        return Array("d\(isReported ? "+" : " ")\(front)\(sum)\(back)\n".utf8)
    }

    /// All whole records with a right checksum; anything else is passed over.
    static func parseAll(_ octets: ArraySlice<UInt8>) -> [ResultRecord] {
        var records: [ResultRecord] = []
        var start = octets.startIndex
        while let newline = octets[start...].firstIndex(of: 0x0a) {
            if var record = parse(octets[start..<newline]) {
                record.position = start - octets.startIndex
                records.append(record)
            }
            start = newline + 1
        }
        return records
    }

    static func parse(_ line: ArraySlice<UInt8>) -> ResultRecord? {
        guard line.count > 2, line.first == UInt8(ascii: "d"),
            let text = String(validating: line.dropFirst(2), as: UTF8.self)
        else { return nil }
        let parts = text.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let notary = Notary(parts[1]) else { return nil }
        let numbers = parts[0].split(separator: ":", omittingEmptySubsequences: false)
        guard numbers.count == 5, let offset = Int(numbers[0]), let header = Int(numbers[1]), let n = Int(numbers[2]),
            let time = Int64(numbers[4])
        else { return nil }
        let covered = "\(numbers[0]):\(numbers[1]):\(numbers[2])::\(numbers[4])\t\(parts[1])\t\(parts[2])"
        guard Checksum(covered.utf8).text == numbers[3] else { return nil }
        return ResultRecord(
            offset: offset, headerOffset: header, notaryOffset: n, time: time, notary: notary,
            message: String(parts[2]),
            isReported: line[line.startIndex + 1] == UInt8(ascii: "+"))
    }
}
