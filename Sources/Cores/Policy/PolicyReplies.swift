import MailModel

/// What clients are told, in ZMailer's words (policy.md §8.2, smtpserver.md §7.1).
enum PolicyReplies {
    /// Octets of an address in a reply.
    private static let addressLimit = 256

    /// Printable ASCII; all else becomes a blank.
    static func printable(_ octets: ArraySlice<UInt8>) -> String {
        String(decoding: octets.map { (0x20...0x7e).contains($0) ? $0 : 0x20 }, as: UTF8.self)
    }

    private static func literal(_ client: IPAddress?) -> String { client?.literal ?? "[]" }

    private static func bracketed(_ address: String) -> String {
        "<\(address.utf8.count <= addressLimit ? address : "...")>"
    }

    /// The client is not wanted: each of its commands gets this.
    static func rejectedNet(_ client: IPAddress?, _ settings: AskerSettings, _ text: String) -> Reply {
        let hello = "Hello \(literal(client));"
        var lines = ["\(hello) If you feel we mistreat you, do contact us."]
        if !settings.contactPointer.isEmpty { lines.append("\(hello) \(settings.contactPointer)") }
        lines.append(
            text.isEmpty
                ? "\(hello) \(settings.hostName) - You are on our reject-IP-address -list, GO AWAY!"
                : "\(hello) \(text)")
        return Reply(550, EnhancedStatusCode(5, 7, 1), lines)
    }

    /// Below -99 soft.
    static func sender(_ code: Int, _ client: IPAddress?, _ address: String, _ text: String) -> Reply {
        let hello = "Hello \(literal(client)),"
        let sender = bracketed(address)
        if !text.isEmpty {
            let line = "\(hello) for your MAIL FROM address \(sender) policy analysis reported: \(text)"
            return code >= -99
                ? Reply(553, EnhancedStatusCode(5, 7, 1), line) : Reply(451, EnhancedStatusCode(4, 7, 1), line)
        }
        switch code {
        case ..<(-103):
            return Reply(
                451, EnhancedStatusCode(4, 4, 3),
                "\(hello) for your input: \(sender) policy analysis reports temporary DNS error with your source domain."
            )
        case ..<(-100):
            return Reply(
                451, EnhancedStatusCode(4, 4, 3),
                "\(hello) for your input: \(sender) policy analysis reports DNS error with your source domain.")
        case ..<(-99):
            return Reply(
                451, EnhancedStatusCode(4, 7, 1),
                "\(hello) for address \(sender) access denied by the policy analysis functions.")
        case ..<(-1):
            return Reply(
                553, EnhancedStatusCode(5, 4, 3),
                "\(hello) for MAIL FROM address \(sender) the policy analysis reports DNS error with your source domain."
            )
        default:
            return Reply(
                553, EnhancedStatusCode(5, 7, 1),
                "\(hello) for MAIL FROM address \(sender) access is denied by the policy analysis functions.")
        }
    }

    /// Below -99 soft.
    static func recipient(_ code: Int, _ client: IPAddress?, _ address: String, _ text: String) -> Reply {
        let hello = "Hello \(literal(client)),"
        let recipient = bracketed(address)
        var relay: String {
            "Your IP address \(literal(client)) is not allowed to relay to email address \(recipient) via our server; MX rule"
        }
        var domain: String { "\(hello) Policy analysis found DNS error on the target domain: \(recipient)" }
        var other: String { "\(hello) Policy rejection on the target address: \(recipient)" }
        if !text.isEmpty {
            return code >= -99
                ? Reply(
                    550, EnhancedStatusCode(5, 7, 1), "\(hello) Policy analysis reported: \(text) rcpt=\(recipient)")
                : Reply(
                    451, EnhancedStatusCode(4, 7, 1),
                    "\(hello) for recipient address \(recipient) the policy analysis reported: \(text)")
        }
        switch code {
        case ..<(-103):
            return Reply(
                451, EnhancedStatusCode(4, 4, 3),
                "\(hello) policy analysis reports temporary DNS error with the target domain: \(recipient)")
        case ..<(-102): return Reply(451, EnhancedStatusCode(4, 7, 1), relay)
        case ..<(-100): return Reply(451, EnhancedStatusCode(4, 4, 3), domain)
        case ..<(-99): return Reply(451, EnhancedStatusCode(4, 4, 3), other)
        case ..<(-2): return Reply(550, EnhancedStatusCode(5, 7, 1), relay)
        case ..<(-1): return Reply(550, EnhancedStatusCode(5, 4, 3), domain)
        default: return Reply(550, EnhancedStatusCode(5, 7, 1), other)
        }
    }

    /// The login may not use the address; of MAIL, or of RCPT.
    static func notTheirs(_ verb: PolicyQuestion.Verb, _ client: IPAddress?, _ address: String) -> Reply {
        // RFC 6409 §6.1 asks for 5.7.1; 553 is what senders are refused with here.
        Reply(
            verb == .rcpt ? 550 : 553, EnhancedStatusCode(5, 7, 1),
            "Hello \(literal(client)), your login does not permit the MAIL FROM address \(bracketed(address))")
    }

    static func notOfAccount(_ verb: PolicyQuestion.Verb, _ user: String, _ address: String) -> Reply {
        Reply(
            verb == .rcpt ? 550 : 553, EnhancedStatusCode(5, 7, 1),
            "The account \(printable(Array(user.utf8)[...])) may not send as \(bracketed(address)); "
                + "its own name at a domain of this host, or <>, is valid")
    }

    static func tooManyFailures(_ client: IPAddress) -> Reply {
        Reply(
            503, EnhancedStatusCode(5, 5, 1),
            "Hi \(client.literal), Too many authentication failures from your IP this hour..")
    }

    static func earlierRejection(_ client: IPAddress?) -> Reply {
        Reply(
            550, EnhancedStatusCode(5, 7, 1),
            "Hello \(literal(client)), access denied by the policy analysis functions by earlier rejection")
    }
}
