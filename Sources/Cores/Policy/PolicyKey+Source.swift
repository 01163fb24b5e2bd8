import MailModel

extension PolicyKey {
    /// The first word of a source line (policy.md §5), in any case.
    init(source word: ArraySlice<UInt8>) throws(PolicySourceProblem) {
        var hasAt = false
        var hasSlash = false
        var hasUpper = false
        var hasOdd = false
        for byte in word {
            switch byte {
            case UInt8(ascii: "@"): hasAt = true
            case UInt8(ascii: "/"): hasSlash = true
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): hasUpper = true
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "["), 0x80...: hasOdd = true
            case 0..<0x20, 0x7f: throw PolicySourceProblem("the key holds a control character")
            default: break
            }
        }
        guard word.count <= Self.maximumLength else {
            throw PolicySourceProblem("the key has \(word.count) octets; \(Self.maximumLength) are possible")
        }
        guard !hasOdd || String(validating: word, as: UTF8.self) != nil else {
            throw PolicySourceProblem("the key is no UTF-8 text")
        }
        if hasAt {
            self = .user(try Self.user(word, hasUpper: hasUpper, hasOdd: hasOdd))
            return
        }
        let first = word.first ?? 0
        if first == UInt8(ascii: "_"), !hasSlash {
            guard word.count > 1 else { throw PolicySourceProblem("a tag needs a name behind the '_'") }
            self = .tag(PolicyTagCensus.canonical(asciiLowercased(Octets.text(word))))
            return
        }
        if hasSlash || first == UInt8(ascii: "[") || Self.mayBeAddress(word) {
            // Part of an address, such as 192.0.2, would be a domain that no client and no recipient has.
            guard let network = Self.network(word) else {
                throw PolicySourceProblem(
                    "no network: it is written [192.0.2.0]/24 or 192.0.2.0/24 (width 0 to 32), or [IPv6:2001:db8::]/32 (0 to 128)"
                )
            }
            self = .network(network)
            return
        }
        self = .domain(try Self.domain(word))
    }

    /// Digits and dots only, or with a colon: such a word is an address, or nothing.
    private static func mayBeAddress(_ word: ArraySlice<UInt8>) -> Bool {
        guard let last = word.last,
            (0x30...0x39).contains(last) || last == UInt8(ascii: ":") || last == UInt8(ascii: ".") || isHex(last)
        else { return false }
        if word.contains(UInt8(ascii: ":")) { return true }
        return word.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
            && word.contains { $0 != UInt8(ascii: ".") }
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (0x61...0x66).contains(byte | 0x20)
    }

    /// `[1.2.3.0]/24`, `1.2.3.0/24`, `[IPv6:…]/n`, `[IPv6.…]/n`, `IPv6:…/n`, `2001:db8::/32`; without a width, the one address.
    /// Bits behind the width become 0; an IPv4-mapped network is the IPv4 network.
    private static func network(_ word: ArraySlice<UInt8>) -> IPNetwork? {
        var address = word
        var width: Int?
        if let slash = Octets.index(of: UInt8(ascii: "/"), in: word) {
            guard let number = Octets.unsigned(word[(slash + 1)...]), number <= 128 else { return nil }
            width = Int(number)
            address = word[..<slash]
        }
        if address.first == UInt8(ascii: "[") {
            guard address.last == UInt8(ascii: "]") else { return nil }
            address = address.dropFirst().dropLast()
        }
        var mustBeV6 = false
        if Octets.hasPrefix(address, "ipv6:", anyCase: true) || Octets.hasPrefix(address, "ipv6.", anyCase: true) {
            address = address.dropFirst(5)
            mustBeV6 = true
        }
        guard let parsed = IPAddress(Octets.text(address)) else { return nil }
        switch (parsed, parsed.unmapped) {
        case (.v4, _): return mustBeV6 ? nil : IPNetwork(parsed, prefixLength: width ?? 32)?.masked
        case (.v6, .v4(let value)) where width ?? 128 >= 96:
            return IPNetwork(.v4(value), prefixLength: (width ?? 128) - 96)?.masked
        case (.v6, _): return IPNetwork(parsed, prefixLength: width ?? 128)?.masked
        }
    }

    /// `dom`, `.suffix` or `.`, in lower case, without a final dot.
    private static func domain(_ word: ArraySlice<UInt8>) throws(PolicySourceProblem) -> String {
        if word.count == 1, word.first == UInt8(ascii: ".") { return "." }
        var name = word
        if name.last == UInt8(ascii: ".") { name.removeLast() }
        var previous: UInt8 = 0
        for byte in name.first == UInt8(ascii: ".") ? name.dropFirst() : name {
            let isLabel =
                byte >= 0x80 || (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            guard isLabel || (byte == UInt8(ascii: ".") && previous != 0 && previous != byte) else {
                throw PolicySourceProblem(
                    "no key: a domain (example.org), a suffix (.example.org), '.', a user (user@ or user@example.org), "
                        + "a network ([192.0.2.0]/24) or a tag (_name) is needed")
            }
            previous = byte
        }
        guard previous != 0 else { throw PolicySourceProblem("no key: the domain is empty") }
        let text = Octets.text(name)
        if name.allSatisfy({ $0 < 0x80 }) { return asciiLowercased(text) }
        let isSuffix = name.first == UInt8(ascii: ".")
        // An A-label may be longer than its U-label.
        guard let ascii = asciiName(isSuffix ? String(text.dropFirst()) : text), ascii.utf8.count < maximumLength else {
            throw PolicySourceProblem("no key: the domain has no form that the DNS could hold")
        }
        return (isSuffix ? "." : "") + ascii
    }

    /// `user@` or `user@domain`, in lower case; a quoted local part as it would come from the wire.
    private static func user(
        _ word: ArraySlice<UInt8>, hasUpper: Bool, hasOdd: Bool
    ) throws(PolicySourceProblem) -> String {
        var name = word
        if name.last == UInt8(ascii: ".") { name.removeLast() }
        guard name.first != UInt8(ascii: "@") else {
            throw PolicySourceProblem("no key: there is nothing in front of the '@'; a domain is written without it")
        }
        let text = Octets.text(name)
        guard hasOdd else { return hasUpper ? asciiLowercased(text) : text }
        if let mailbox = Mailbox(text) {
            let key = "\(asciiLowercased(mailbox.localPart.encoded))@\(mailbox.domain.lookupName)"
            if key.utf8.count <= maximumLength { return key }
        }
        if name.last == UInt8(ascii: "@"), let mailbox = Mailbox("\(text)x") {
            return asciiLowercased("\(mailbox.localPart.encoded)@")
        }
        throw PolicySourceProblem("no key: that is no address")
    }
}
