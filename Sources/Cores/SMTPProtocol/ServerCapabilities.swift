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
    /// Messages of a connection: `LIMITS MAILMAX` (RFC 9422 §3.1).
    public var messageLimit: Int?
    public var hasDeliverBy = false
    /// Seconds: the shortest time for which a message that must come back is taken (RFC 2852 §2); 0 = not said.
    public var minimumDeliverBy = 0
    public var hasMTPriority = false
    /// The name of the policy behind `MT-PRIORITY` (RFC 6710 §9.2), if the server tells it.
    public var priorityPolicy: String?
    /// Seconds for which the server holds a message: `FUTURERELEASE` (RFC 4865 §3); `nil` = not offered.
    public var longestHold: Int?
    /// `REQUIRETLS` (RFC 8689 §2); means something inside TLS alone.
    public var hasRequireTLS = false
    /// Mechanisms of `AUTH`, in upper case.
    public var authMechanisms: [String] = []

    public init() {}

    /// - Parameter reply: positive; its first line is no keyword.
    public init(_ reply: Reply) {
        isESMTP = true
        for line in reply.lines.dropFirst() {
            let words = line.split(separator: " ")
            guard let keyword = words.first else { continue }
            let name = keyword.uppercased()
            switch name {
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
                for word in words.dropFirst() {
                    let text = word.dropFirst(8)
                    if word.uppercased().hasPrefix("RCPTMAX=") { limitRecipients(text) }
                    if word.uppercased().hasPrefix("MAILMAX="), let limit = Int(text), limit > 0 {
                        messageLimit = limit
                    }
                }
            case "AUTH": authMechanisms += words.dropFirst().map { $0.uppercased() }
            case _: offer(name, words.dropFirst())
            }
        }
    }

    private mutating func limitRecipients(_ text: Substring) {
        guard let limit = Int(text), limit > 0 else { return }
        recipientLimit = min(recipientLimit ?? limit, limit)
    }
}
