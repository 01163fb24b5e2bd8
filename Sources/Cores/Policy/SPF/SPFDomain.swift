import MailModel

/// A domain that a check is about, or that a term names.
struct SPFDomain: Hashable {
    /// As it came, without the final dot: what `%{d}` stands for.
    let text: [UInt8]
    /// For the DNS: lower case.
    let name: String

    /// A name that the DNS can be asked for: labels of 1...63 octets, 253 in all; any printable US-ASCII and space but the
    /// backslash, which escapes in the text form of names. `nil`: there can be no such name.
    init?(target octets: [UInt8]) {
        var octets = octets
        if octets.last == UInt8(ascii: ".") { octets.removeLast() }
        guard (1...Self.maximumLength).contains(octets.count) else { return nil }
        var label = 0
        for octet in octets {
            if octet == UInt8(ascii: ".") {
                guard label > 0 else { return nil }
                label = 0
            } else {
                guard (0x20...0x7e).contains(octet), octet != UInt8(ascii: "\\") else { return nil }
                label += 1
                guard label <= 63 else { return nil }
            }
        }
        guard label > 0 else { return nil }
        text = octets
        name = String(decoding: octets.map(SPFText.lowercased), as: UTF8.self)
    }

    /// A domain to check (RFC 7208 §4.3).
    init?(checked text: String) {
        guard let domain = SPFDomain(target: Array(text.utf8)), domain.isMultiLabel else { return nil }
        self = domain
    }

    /// Whether it can be a domain to check: at least two labels, the last not a number; no address literal.
    var isMultiLabel: Bool {
        let labels = text.split(separator: UInt8(ascii: "."))
        guard labels.count > 1, let last = labels.last, text.first != UInt8(ascii: "[") else { return false }
        return !last.allSatisfy(SPFText.isDigit)
    }

    /// RFC 7208 §7.3: octets, without the final dot.
    static let maximumLength = 253

    /// Left labels are dropped until the rest fits (RFC 7208 §7.3).
    static func truncated(_ octets: [UInt8]) -> [UInt8] {
        let end = octets.last == UInt8(ascii: ".") ? octets.count - 1 : octets.count
        guard end > maximumLength else { return octets }
        // The label may begin at the first octet that fits: then the dot is before it.
        guard let dot = octets[(end - maximumLength - 1)..<end].firstIndex(of: UInt8(ascii: ".")) else {
            return octets
        }
        return Array(octets[(dot + 1)...])
    }

    /// Whether `other`, in lower case, is this name or one below it.
    func contains(_ other: String) -> Bool {
        guard other.utf8.count > name.utf8.count else { return other == name }
        return other.utf8.reversed().starts(with: name.utf8.reversed())
            && other.utf8.dropLast(name.utf8.count).last == UInt8(ascii: ".")
    }
}

extension IPAddress {
    /// The name that PTR records are at.
    var reverseName: String {
        switch self {
        case .v4:
            return octets.reversed().map { "\($0)" }.joined(separator: ".") + ".in-addr.arpa"
        case .v6:
            let nibbles = octets.reversed().flatMap { [$0 & 15, $0 >> 4] }
            return nibbles.map { String($0, radix: 16) }.joined(separator: ".") + ".ip6.arpa"
        }
    }

    /// RFC 7208 §7.3: a dotted quad, or 32 nibbles with dots between.
    var macroText: String {
        switch self {
        case .v4:
            return "\(self)"
        case .v6:
            return octets.flatMap { [$0 >> 4, $0 & 15] }.map { String($0, radix: 16) }.joined(separator: ".")
        }
    }
}
