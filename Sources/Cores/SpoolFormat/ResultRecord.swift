import MailModel

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
    /// `name[pid]` of the agent; ``scheduler``.
    public var agent: String
    /// How the way to the remote host was protected: protocol, cipher, whether its certificate was verified. Empty: it was not, or
    /// there was no host. An addition to ZMailer's six fields, left out where it is empty.
    public var security: String

    public init(
        finalRecipient: String, action: Action, status: String, diagnostic: String = "", remoteHost: String = "",
        agent: String = "", security: String = ""
    ) {
        self.finalRecipient = finalRecipient
        self.action = action
        self.status = status
        self.diagnostic = diagnostic
        self.remoteHost = remoteHost
        self.agent = agent
        self.security = security
    }

    /// The ``agent`` of what the scheduler itself has found out.
    public static let scheduler = "scheduler"

    public var encoded: String {
        var octets: [UInt8] = []
        append(to: &octets)
        return String(decoding: octets, as: UTF8.self)
    }

    func append(to octets: inout [UInt8]) {
        octets.append(field: finalRecipient)
        octets.append(0x01)
        octets.append(text: action.rawValue)
        octets.append(0x01)
        octets.append(field: status)
        octets.append(0x01)
        octets.append(field: diagnostic)
        octets.append(0x01)
        octets.append(field: remoteHost)
        octets.append(0x01)
        octets.append(field: agent)
        guard !security.isEmpty else { return }
        octets.append(0x01)
        octets.append(field: security)
    }

    /// Six or seven fields separated by 0x01; more are ignored.
    public init?(_ text: some StringProtocol) { self.init(octets: Array(text.utf8)[...]) }

    /// The same from octets.
    public init?(octets: ArraySlice<UInt8>) {
        let fields = Octets.split(octets, at: 0x01, limit: 8)
        guard fields.count >= 6, let action = Action(rawValue: Octets.text(fields[1])) else { return nil }
        self.init(
            finalRecipient: Octets.text(fields[0]), action: action, status: Octets.text(fields[2]),
            diagnostic: Octets.text(fields[3]), remoteHost: Octets.text(fields[4]), agent: Octets.text(fields[5]),
            security: fields.count > 6 ? Octets.text(fields[6]) : "")
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

    /// No result: the deliver-by-time has passed, of which the sender is told once (RFC 2852 §4.1.3).
    public var isDelayNotice: Bool {
        notary.action == .delayed && notary.status == "4.4.7" && notary.agent == Notary.scheduler
    }

    public func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(256)
        out.append(0x64)
        out.append(isReported ? 0x2b : 0x20)
        for number in [offset, headerOffset, notaryOffset] {
            out.append(decimal: number)
            out.append(0x3a)
        }
        let sumStart = out.count
        out.append(0x3a)
        out.append(decimal: Int(time))
        out.append(0x09)
        notary.append(to: &out)
        out.append(0x09)
        out.append(message: message)
        var sum = Checksum()
        sum.update(out[2...])
        out.insert(contentsOf: sum.digits, at: sumStart)
        out.append(0x0a)
        return out
    }

    /// All whole records with a right checksum; anything else is passed over.
    static func parseAll(_ octets: ArraySlice<UInt8>) -> [ResultRecord] {
        var records: [ResultRecord] = []
        var start = octets.startIndex
        while let newline = Octets.index(of: 0x0a, in: octets[start...]) {
            if var record = parse(octets[start..<newline]) {
                record.position = start - octets.startIndex
                records.append(record)
            }
            start = newline + 1
        }
        return records
    }

    static func parse(_ line: ArraySlice<UInt8>) -> ResultRecord? {
        guard line.count > 2, line.first == UInt8(ascii: "d") else { return nil }
        let parts = Octets.split(line.dropFirst(2), at: 0x09, limit: 3)
        guard parts.count == 3 else { return nil }
        let numbers = Octets.split(parts[0], at: 0x3a)
        guard numbers.count == 5 else { return nil }
        var sum = Checksum()
        sum.update(line[numbers[0].startIndex..<numbers[3].startIndex])
        sum.update(line[numbers[3].endIndex...])
        guard sum.matches(numbers[3]), let offset = Octets.decimal(numbers[0]),
            let header = Octets.decimal(numbers[1]), let notaryOffset = Octets.decimal(numbers[2]),
            let time = Octets.decimal(numbers[4]), let notary = Notary(octets: parts[1])
        else { return nil }
        return ResultRecord(
            offset: offset, headerOffset: header, notaryOffset: notaryOffset, time: Int64(time), notary: notary,
            message: Octets.text(parts[2]), isReported: line[line.startIndex + 1] == UInt8(ascii: "+"))
    }
}
