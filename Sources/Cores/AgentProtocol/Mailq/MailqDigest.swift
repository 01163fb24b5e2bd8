/// How a digest stands in `AUTH` (scheduler.md §5).
public enum MailqDigest {
    /// Two digits an octet, lower case.
    public static func text(_ octets: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: octets.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
