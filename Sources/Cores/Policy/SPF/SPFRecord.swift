import MailModel

/// A record, or rather its meaning (RFC 7208 §4.6.1, §12).
public struct SPFRecord: Hashable, Sendable {
    /// In the order of the record.
    public let directives: [SPFDirective]
    public let redirect: SPFMacroString?
    public let explanation: SPFMacroString?

    init(directives: [SPFDirective], redirect: SPFMacroString?, explanation: SPFMacroString?) {
        self.directives = directives
        self.redirect = redirect
        self.explanation = explanation
    }

    /// Whether a TXT record is one for us (RFC 7208 §4.5): it begins with the version, and that ends there.
    public static func hasVersion(_ octets: some Collection<UInt8>) -> Bool {
        let version = Array("v=spf1".utf8)
        guard octets.count >= version.count,
            zip(octets, version).allSatisfy({ SPFText.lowercased($0) == $1 })
        else { return false }
        return octets.count == version.count || octets.dropFirst(version.count).first == 0x20
    }
}

/// A mechanism with its qualifier.
public struct SPFDirective: Hashable, Sendable {
    public enum Mechanism: Hashable, Sendable {
        case all
        case include(SPFMacroString)
        /// Without a domain: that of the record. Prefix lengths are 0...32 and 0...128.
        case a(SPFMacroString?, v4: Int, v6: Int)
        case mx(SPFMacroString?, v4: Int, v6: Int)
        case ptr(SPFMacroString?)
        /// `ip4` and `ip6`.
        case network(IPNetwork)
        case exists(SPFMacroString)
    }
    /// What a match means: pass, fail, softfail or neutral.
    public let level: SPFResult.Level
    public let mechanism: Mechanism
    /// As it stands in the record.
    public let text: ArraySlice<UInt8>

    var isAll: Bool { if case .all = mechanism { true } else { false } }
}
