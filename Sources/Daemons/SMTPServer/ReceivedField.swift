import Configuration
import MailModel
import SMTPProtocol

/// The trace of one message: `rcvdfrom` of its envelope and its `Received:` field (RFC 5321 §4.4, smtpserver.md §9).
struct Trace: Sendable {
    /// The confirmed name of the client, else its address literal.
    var clientName: String
    /// `[192.0.2.1]`, `[IPv6:…]`; without brackets for what is no network client.
    var clientLiteral: String
    /// 0: none.
    var clientPort: Int
    /// What is known about the client's name, see ``hostFlags(reverse:name:address:hello:)``; `nil`: nothing was looked up.
    var hostFlags: String?
    var hello: ServerSession.Hello?
    var hostName: String
    var protocolName: String
    /// What was found out of the client beside that; shown only where `rcvd-…` asks for it.
    var ident: String?
    var whoson: String?
    /// The authenticated user.
    var user: String?
    /// Protocol, cipher and bits of TLS.
    var cipher: String?
    /// Of the client's certificate.
    var peerCommonName: String?
    var shown: SMTPServerConfiguration.TraceElements = []
    /// That of MT-PRIORITY.
    var priority: Int?

    /// `host ([192.0.2.1]:4711 "EHLO client.example" rhost-flags-OK-OK-OK-FAIL)`.
    var receivedFrom: String {
        var text = "\(clientName) (\(clientLiteral)"
        if clientPort > 0 { text += ":\(clientPort)" }
        if let hello { text += " \"\(hello.kind.rawValue) \(Self.quoted(hello.argument))\"" }
        text += elements(shown)
        if let hostFlags { text += " rhost-flags-\(hostFlags)" }
        return text + ")"
    }

    /// All that is known, whether it is shown or not: a `comment` of the envelope (smtpserver.md §9).
    var findings: String? {
        let text = elements([.ident, .whoson, .user, .tlsMode, .tlsPeer])
        return cipher == nil && user == nil && ident == nil && whoson == nil ? nil : String(text.dropFirst())
    }

    private func elements(_ shown: SMTPServerConfiguration.TraceElements) -> String {
        var text = ""
        if shown.contains(.ident), let ident { text += " ident: \"\(Self.quoted(ident))\"" }
        if shown.contains(.whoson), let whoson { text += " whoson: \"\(Self.quoted(whoson))\"" }
        if shown.contains(.user) { text += " smtp-auth: \(Self.quotedOrNone(user))" }
        if shown.contains(.tlsMode) { text += " TLS-CIPHER: \(Self.quotedOrNone(cipher))" }
        if shown.contains(.tlsPeer) { text += " TLS-PEER-CN1: \(Self.quotedOrNone(peerCommonName))" }
        return text
    }

    private static func quotedOrNone(_ text: String?) -> String { text.map { "\"\(quoted($0))\"" } ?? "<none>" }

    /// `A-B-C-D` of smtpserver.md §9, each `OK`, `FAIL` or `??` (unknown): the address has a name, that name has the address,
    /// the HELO argument is a domain or literal, it is the client's name or address.
    ///
    /// - Parameters:
    ///   - reverse: A and B as the policy found them, `A-B`, or one word for both.
    ///   - name: the confirmed name.
    static func hostFlags(reverse: String, name: String?, address: IPAddress, hello: String?) -> String {
        let words = reverse.split(separator: "-", maxSplits: 1)
        let first = flag(words.first)
        let second = flag(words.last)
        guard let hello else { return "\(first)-\(second)-??-??" }
        let isValid = MailDomain(hello) != nil
        let matches: String
        if AddressLiteral.address(in: hello)?.unmapped == address
            || name.map({ asciiLowercased($0) == asciiLowercased(hello) }) == true
        {
            matches = "OK"
        } else if name == nil, AddressLiteral.address(in: hello) == nil {
            matches = "??"
        } else {
            matches = "FAIL"
        }
        return "\(first)-\(second)-\(isValid ? "OK" : "FAIL")-\(matches)"
    }

    private static func flag(_ word: Substring?) -> String {
        switch word {
        case "OK"?: "OK"
        case "FAIL"?: "FAIL"
        case _: "??"
        }
    }

    /// The field with its line ends; `recipient` only if the message has a single one.
    func field(id: String, recipient: ForwardPath?, date: String) -> String {
        var text = "Received: from \(receivedFrom)\r\n\tby \(hostName) with \(protocolName) id \(id)"
        if let recipient { text += "\r\n\tfor \(recipient)" }
        // RFC 6710 §7: an additional clause, behind all others.
        if let priority { text += "\r\n\tPRIORITY \(priority)" }
        text += "; \(date)\r\n"
        return text
    }

    /// The `with` of RFC 3848 and RFC 6531 §4.3.
    ///
    /// *Deviates:* ZMailer writes SUBMIT for submission; no such protocol is registered (RFC 5321 §4.4).
    static func protocolName(
        hello: ServerSession.Hello?, isLMTP: Bool, isSMTPUTF8: Bool, isSecure: Bool = false,
        isAuthenticated: Bool = false, isBSMTP: Bool = false
    ) -> String {
        if isBSMTP { return "BSMTP" }
        let suffix = (isSecure ? "S" : "") + (isAuthenticated ? "A" : "")
        if isLMTP { return (isSMTPUTF8 ? "UTF8LMTP" : "LMTP") + suffix }
        if isSMTPUTF8 { return "UTF8SMTP" + suffix }
        switch hello?.kind {
        case .ehlo?, .lhlo?: return "ESMTP" + suffix
        // There is no name for SMTP with TLS or AUTH: neither can be had without EHLO, but behind implicit TLS.
        case .helo?, nil: return suffix.isEmpty ? "SMTP" : "ESMTP" + suffix
        }
    }

    /// A quoted text inside a comment: `"`, `\`, `(` and `)` get a backslash, what is not printable ASCII becomes `\ooo`.
    static func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { octet in
            (0x20...0x7e).contains(octet) && octet != 0x22 && octet != 0x5c && octet != 0x28 && octet != 0x29
        }
        if isPlain { return text }
        var out = ""
        for octet in text.utf8 {
            switch octet {
            case 0x22, 0x5c, 0x28, 0x29: out += "\\" + String(UnicodeScalar(octet))
            case 0x20...0x7e: out += String(UnicodeScalar(octet))
            default:
                let digits = String(octet, radix: 8)
                out += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
            }
        }
        return out
    }
}
