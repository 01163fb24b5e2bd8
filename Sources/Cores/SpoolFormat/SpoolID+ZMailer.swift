import MailModel

extension SpoolID {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123abcdefghijklmnopqrstuvwxyz4567890-".utf8)
    /// Characters behind the number: three for the year, one each for month, day, hour, minute, second.
    private static let stampLength = 8

    /// ZMailer's spool id (spool.md §3): `S`, our name in the place of the inode, the time of its making.
    public var zmailerName: String {
        let date = CalendarDate(unixTime: unixTime)
        let fields = [
            date.year >> 12 & 63, date.year >> 6 & 63, date.year & 63, date.month - 1, date.day - 1, date.hour,
            date.minute, date.second,
        ]
        return "S\(self)" + String(decoding: fields.map { Self.alphabet[$0] }, as: UTF8.self)
    }

    /// The message of such a spool id; `nil` if it is none of ours.
    public init?(zmailerName text: some StringProtocol) {
        let octets = Array(text.utf8)
        guard octets.first == UInt8(ascii: "S"), octets.count > 1 + Self.stampLength,
            let id = SpoolID(octets: octets[1..<(octets.count - Self.stampLength)]), id.zmailerName == text
        else { return nil }
        self = id
    }
}
