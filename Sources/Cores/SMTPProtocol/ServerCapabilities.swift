import MailModel

/// What the reply to EHLO or LHLO offers (RFC 5321 §4.1.1.1).
public struct ServerCapabilities: Hashable, Sendable {
    public var isESMTP = false
    public var hasPipelining = false
    public var has8BitMIME = false
    public var hasChunking = false
    public var hasDSN = false
    public var hasSMTPUTF8 = false
    public var hasEnhancedStatusCodes = false
    public var hasSTARTTLS = false
    /// SIZE was offered; `maximumSize` may still be unknown.
    public var hasSize = false
    /// Octets; `nil` = no fixed limit (RFC 1870 §4).
    public var maximumSize: Int?
    /// Recipients of a transaction: `X-RCPTLIMIT`, or `LIMITS RCPTMAX` (RFC 9422 §3.2).
    public var recipientLimit: Int?
    /// Mechanisms of `AUTH`, in upper case.
    public var authMechanisms: [String] = []

    public init() {}

    /// - Parameter reply: positive; its first line is no keyword.
    public init(_ reply: Reply) {
        isESMTP = true
        for line in reply.lines.dropFirst() {
            let words = line.split(separator: " ")
            guard let keyword = words.first else { continue }
            switch keyword.uppercased() {
            case "PIPELINING": hasPipelining = true
            case "8BITMIME": has8BitMIME = true
            case "CHUNKING": hasChunking = true
            case "DSN": hasDSN = true
            case "SMTPUTF8": hasSMTPUTF8 = true
            case "ENHANCEDSTATUSCODES": hasEnhancedStatusCodes = true
            case "STARTTLS": hasSTARTTLS = true
            case "SIZE":
                hasSize = true
                if words.count > 1, let size = Int(words[1]), size > 0 { maximumSize = size }
            case "X-RCPTLIMIT":
                if words.count > 1 { limitRecipients(words[1]) }
            case "LIMITS":
                for word in words.dropFirst() where word.uppercased().hasPrefix("RCPTMAX=") {
                    limitRecipients(word.dropFirst(8))
                }
            case "AUTH": authMechanisms += words.dropFirst().map { $0.uppercased() }
            case _: break
            }
        }
    }

    private mutating func limitRecipients(_ text: Substring) {
        guard let limit = Int(text), limit > 0 else { return }
        recipientLimit = min(recipientLimit ?? limit, limit)
    }
}
