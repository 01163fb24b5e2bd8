import MailModel

/// A set of attributes; all numbers below 96 fit.
struct PolicyAttributeSet: Hashable, Sendable, ExpressibleByArrayLiteral {
    private var bits: UInt64 = 0

    init(arrayLiteral attributes: PolicyAttribute...) {
        for attribute in attributes { bits |= Self.bit(attribute) }
    }

    var isEmpty: Bool { bits == 0 }
    func contains(_ attribute: PolicyAttribute) -> Bool { bits & Self.bit(attribute) != 0 }
    mutating func remove(_ attribute: PolicyAttribute) { bits &= ~Self.bit(attribute) }
    func union(_ other: PolicyAttributeSet) -> PolicyAttributeSet {
        var union = self
        union.bits |= other.bits
        return union
    }

    /// ZMailer's numbers are below 32; ours from 64 on come behind them.
    private static func bit(_ attribute: PolicyAttribute) -> UInt64 {
        let number = attribute.rawValue
        return 1 << UInt64(number < 32 ? number : number < 96 ? number - 32 : 63)
    }
}

/// What a look-up found: the attributes of interest, each as it was met first (policy.md §5).
struct PolicyFindings {
    struct Found {
        let attribute: PolicyAttribute
        let value: ArraySlice<UInt8>
        /// The text that stood in front of it; `nil`: none.
        let message: ArraySlice<UInt8>?
        /// `file:line`, may be empty.
        let origin: ArraySlice<UInt8>

        var isPlus: Bool { value.first == UInt8(ascii: "+") }
        var isMinus: Bool { value.first == UInt8(ascii: "-") }
        /// Of a number attribute.
        var number: Int { Octets.decimal(value) ?? 0 }
    }

    /// The key that was found, as in the database; empty: none was.
    var key: [UInt8] = []
    private(set) var all: [Found] = []

    var isFound: Bool { !key.isEmpty }

    subscript(attribute: PolicyAttribute) -> Found? {
        for found in all where found.attribute == attribute { return found }
        return nil
    }

    /// The attribute if its value is `+`.
    func plus(_ attribute: PolicyAttribute) -> Found? {
        guard let found = self[attribute], found.isPlus else { return nil }
        return found
    }

    func minus(_ attribute: PolicyAttribute) -> Found? {
        guard let found = self[attribute], found.isMinus else { return nil }
        return found
    }

    mutating func add(_ found: Found) { all.append(found) }

    /// The entry for all that is not listed: `.`, or a network of width 0.
    var isDefault: Bool {
        switch key.count {
        case 4: key[1] == PolicyKey.Kind.domain && key[2] == UInt8(ascii: ".")
        case 7: key[1] == PolicyKey.Kind.v4 && key[6] == 0
        case 19: key[1] == PolicyKey.Kind.v6 && key[18] == 0
        default: false
        }
    }

    /// `relaytarget - @smtp-policy.src:12 via .`.
    func reason(_ found: Found) -> String {
        var text = "\(found.attribute.name) \(Octets.text(found.value))"
        if !found.origin.isEmpty { text += " @\(Octets.text(found.origin))" }
        if let key = PolicyKey(octets: key) { text += " via \(key)" }
        return text
    }
}
