import MailModel

/// What a check is about: the facts of the session, and the texts that macros stand for (RFC 7208 §4.1, §7.2).
struct SPFIdentity {
    /// IPv4-mapped addresses are IPv4 (RFC 7208 §5).
    let client: IPAddress
    let helo: String
    /// Without a local part it gets `postmaster` (RFC 7208 §4.3); `<>` is postmaster at the HELO name (§2.4).
    let localPart: String
    /// U-labels are A-labels here.
    let domain: String
    let kind: SPFResult.Identity
    /// As the session has it, for the trace field.
    let sender: String
    let receiver: String
    /// Seconds since 1970.
    let time: Int64

    init(client: IPAddress, helo: String, sender: String, receiver: String, time: Int64) {
        self.client = client.unmapped
        self.helo = helo
        self.sender = sender
        self.receiver = receiver
        self.time = time
        guard !sender.isEmpty else {
            localPart = "postmaster"
            domain = Self.ascii(helo)
            kind = .helo
            return
        }
        kind = .mailFrom
        guard let at = sender.utf8.lastIndex(of: UInt8(ascii: "@")) else {
            localPart = "postmaster"
            domain = Self.ascii(sender)
            return
        }
        localPart = at == sender.startIndex ? "postmaster" : String(sender[..<at])
        domain = Self.ascii(String(sender[sender.utf8.index(after: at)...]))
    }

    private static func ascii(_ domain: String) -> String {
        domain.utf8.allSatisfy { $0 < 0x80 } ? domain : asciiName(domain) ?? domain
    }

    /// What a letter stands for; `%{p}` is not known here.
    func text(of letter: SPFMacro.Letter, in domain: SPFDomain) -> [UInt8] {
        switch letter {
        case .sender: Array("\(localPart)@\(self.domain)".utf8)
        case .localPart: Array(localPart.utf8)
        case .senderDomain: Array(self.domain.utf8)
        case .domain: domain.text
        case .address: Array(client.macroText.utf8)
        case .validatedName: Array("unknown".utf8)
        case .family: if case .v4 = client { Array("in-addr".utf8) } else { Array("ip6".utf8) }
        case .helo: Array(helo.utf8)
        case .readableAddress: Array("\(client)".utf8)
        case .receiver: Array((receiver.isEmpty ? "unknown" : receiver).utf8)
        case .time: Array("\(time)".utf8)
        }
    }
}
