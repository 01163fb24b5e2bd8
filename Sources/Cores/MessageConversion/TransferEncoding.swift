import MailModel

/// `Content-Transfer-Encoding` of an entity (RFC 2045 §6).
enum TransferEncoding: Hashable, Sendable {
    /// Also what has none (RFC 2045 §6.1).
    case sevenBit
    case eightBit
    case binary
    case quotedPrintable
    case base64
    /// Something else: it is left as it is.
    case unknown

    /// - Parameter value: of the header field; comments are none of it.
    init(_ value: some StringProtocol) {
        let word = String(value.prefix { $0 != ";" && $0 != "(" }).filter { !$0.isWhitespace }
        switch asciiLowercased(word) {
        case "", "7bit": self = .sevenBit
        case "8bit": self = .eightBit
        case "binary": self = .binary
        case "quoted-printable": self = .quotedPrintable
        case "base64": self = .base64
        default: self = .unknown
        }
    }
}
