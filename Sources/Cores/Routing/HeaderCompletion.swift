import MailModel

/// Completes the header of submitted mail (RFC 6409 §8, router.md §2): missing `Message-Id`, `Date`, `From` and `To` are added,
/// `Bcc` is removed. Relayed mail never comes here.
public struct HeaderCompletion: Hashable, Sendable {
    public var id: String
    public var hostName: String
    /// The envelope's sender, `nil` for `<>`.
    public var sender: String?
    /// When the message came in; seconds since 1970.
    public var time: Int64

    public init(id: String, hostName: String, sender: String?, time: Int64) {
        self.id = id
        self.hostName = hostName
        self.sender = sender
        self.time = time
    }

    /// The header as it should be, CRLF lines without the empty line, and its Message-Id; header `nil` if nothing had to change.
    public func complete(_ section: HeaderSection) -> (header: [UInt8]?, messageID: String?) {
        let isResent = section.fields.contains { asciiLowercased($0.name).hasPrefix("resent-") }
        let prefix = isResent ? "Resent-" : ""
        var added = ""
        var removes = false
        if section.first("\(prefix)Message-Id") == nil {
            added += "\(prefix)Message-Id: \(newMessageID)\r\n"
        }
        if section.first("\(prefix)Date") == nil {
            added += "\(prefix)Date: \(CalendarDate(unixTime: time).rfc5322)\r\n"
        }
        if section.first("\(prefix)From") == nil {
            added += "\(prefix)From: \(sender.map { "<\($0)>" } ?? "MAILER-DAEMON@\(hostName)")\r\n"
        }
        let hasRecipients = ["\(prefix)To", "\(prefix)Cc"].contains { section.first($0) != nil }
        if !hasRecipients {
            added += "\(prefix)To: unlisted-recipients:; (no To-header on input)\r\n"
        }
        var header: [UInt8] = []
        header.reserveCapacity(section.end + added.utf8.count)
        for field in section.fields {
            switch asciiLowercased(field.name) {
            case "bcc", "resent-bcc": removes = true
            default: append(section.octets[field.range], to: &header)
            }
        }
        header.append(contentsOf: added.utf8)
        let messageID = section.value("Message-Id") ?? (isResent ? nil : newMessageID)
        return (removes || !added.isEmpty ? header : nil, messageID)
    }

    private var newMessageID: String {
        let stamp = CalendarDate(unixTime: time).rfc3339.filter { $0 != "-" && $0 != ":" && $0 != "T" }
        return "<\(id)/\(stamp)@\(hostName)>"
    }

    /// Line ends become CRLF; a last line without one gets it.
    private func append(_ field: ArraySlice<UInt8>, to header: inout [UInt8]) {
        var previous: UInt8 = 0
        for byte in field {
            if byte == 0x0a, previous != 0x0d { header.append(0x0d) }
            header.append(byte)
            previous = byte
        }
        if previous != 0x0a { header += previous == 0x0d ? [0x0a] : [0x0d, 0x0a] }
    }
}
