import MailModel

/// A zone of `test-dns-rbl` or `rcpt-dns-rbl`.
struct ListZone: Hashable, Sendable {
    /// Lower case, without a final dot.
    let name: String
    /// An allow list: who is on it is exempt from the zones behind it. Written `~zone`, or the name begins with `ok.`.
    let allows: Bool
    /// Which answers count; empty: all that are answers of a list.
    let answers: [UInt32]

    /// Zones of one value.
    static let limit = 20
    /// The man page's `+`.
    static let shorthand = "rbl.maps.vix.com"

    /// `nil` if a zone is none, or there are too many.
    static func list(_ value: ArraySlice<UInt8>) -> [ListZone]? {
        let parts = Octets.split(value, at: UInt8(ascii: ":"))
        guard parts.count <= limit else { return nil }
        var zones: [ListZone] = []
        for part in parts {
            guard let zone = ListZone(part) else { return nil }
            zones.append(zone)
        }
        return zones
    }

    private init?(_ octets: ArraySlice<UInt8>) {
        var name = octets
        var isAllowing = false
        if name.first == UInt8(ascii: "~") {
            isAllowing = true
            name.removeFirst()
        }
        var answers: [UInt32] = []
        if let equals = Octets.index(of: UInt8(ascii: "="), in: name) {
            for part in Octets.split(name[(equals + 1)...], at: UInt8(ascii: ",")) {
                guard case .v4(let address)? = IPAddress(Octets.text(part)), address >> 24 == 127 else { return nil }
                answers.append(address)
            }
            name = name[..<equals]
        }
        if Octets.equal(name, "+") {
            self.name = Self.shorthand
        } else {
            guard let domain = DomainName(Octets.text(name), allowingUTF8: false) else { return nil }
            self.name = domain.key
        }
        allows = isAllowing || self.name.hasPrefix("ok.")
        self.answers = answers
    }
}
