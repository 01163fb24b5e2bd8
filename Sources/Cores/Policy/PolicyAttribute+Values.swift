import MailModel

extension PolicyAttribute {
    /// By its octets in a source line, in any case.
    init?(octets: ArraySlice<UInt8>) {
        // Most lines of a large source have nothing else.
        if octets.count == 1, octets.first == UInt8(ascii: "=") {
            self = .alias
            return
        }
        guard octets.count <= 20 else { return nil }
        self.init(name: asciiLowercased(Octets.text(octets)))
    }

    /// What its value can be, in words.
    public var expected: String {
        switch valueKind {
        case .tag: "the name of a tag, which begins with '_'"
        case .sign: "+ or -"
        case .text: "a text, in quotes if it has blanks"
        case .number: self == .greylist ? "a number of seconds" : "a number, 0 or more"
        case .rate:
            "messages an hour and, behind a comma, recipients an hour: 100 or 100,1000; below 0 for a hard refusal"
        case .zones: "-, or zones with ':' between them: +, zone, zone=127.0.0.2,127.0.0.4, ~zone"
        case .zonesOrText:
            "-, zones with ':' between them (+, zone, zone=127.0.0.2, ~zone), or a text that begins with '_'"
        case .origin: "file:line"
        }
    }

    /// Largest value of a number: no sum of such overflows.
    static let maximumNumber = 1_000_000_000_000_000

    func accepts(_ value: ArraySlice<UInt8>) -> Bool {
        switch valueKind {
        case .sign: value.count == 1 && (value.first == UInt8(ascii: "+") || value.first == UInt8(ascii: "-"))
        case .text: true
        case .tag: value.first == UInt8(ascii: "_")
        case .number: Octets.unsigned(value).map { $0 <= Self.maximumNumber } ?? false
        case .rate: RateLimits(octets: value) != nil
        case .zones: Octets.equal(value, "-") || ListZone.list(value) != nil
        case .zonesOrText:
            Octets.equal(value, "-") || value.first == UInt8(ascii: "_") || ListZone.list(value) != nil
        case .origin: false
        }
    }
}

/// The value of `ratelimitmsgs`: messages and recipients in an hour; below 0 the refusal is permanent, 0 is no limit.
struct RateLimits: Hashable, Sendable {
    let messages: Int
    let recipients: Int

    init?(octets: ArraySlice<UInt8>) {
        let parts = Octets.split(octets, at: UInt8(ascii: ","))
        guard parts.count <= 2, let messages = Octets.decimal(parts[0]) else { return nil }
        var recipients = 0
        if parts.count == 2 {
            guard let number = Octets.decimal(parts[1]) else { return nil }
            recipients = number
        }
        guard abs(messages) <= 1_000_000_000, abs(recipients) <= 1_000_000_000 else { return nil }
        self.messages = messages
        self.recipients = recipients
    }
}
