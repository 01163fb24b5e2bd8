import MailModel

extension SPFRecord {
    /// Parses the whole record: an error anywhere is an error of the record, wherever a match would be (RFC 7208 §4.6).
    public init(parsing octets: [UInt8]) throws(SPFSyntaxError) {
        guard Self.hasVersion(octets) else { throw SPFSyntaxError(.notARecord, octets[...]) }
        try self.init(terms: octets.dropFirst(6))
    }

    /// terms = *( 1*SP ( directive / modifier ) ), trailing spaces allowed.
    init(terms: ArraySlice<UInt8>) throws(SPFSyntaxError) {
        var directives: [SPFDirective] = []
        var redirect: SPFMacroString?
        var explanation: SPFMacroString?
        for term in terms.split(separator: 0x20) {
            let name = term.prefix { Self.isNameOctet($0) }
            guard name.endIndex < term.endIndex, term[name.endIndex] == UInt8(ascii: "=") else {
                directives.append(try SPFDirective(parsing: term))
                continue
            }
            // A name that begins otherwise is no name, and a qualifier makes no modifier.
            guard let first = name.first, SPFText.isLetter(first) else { throw SPFSyntaxError(.modifierName, term) }
            let value = term[(name.endIndex + 1)...]
            switch String(decoding: name.map(SPFText.lowercased), as: UTF8.self) {
            case "redirect":
                if redirect != nil { throw SPFSyntaxError(.repeatedModifier, term) }
                redirect = try SPFMacroString(parsing: value, as: .domain)
            case "exp":
                if explanation != nil { throw SPFSyntaxError(.repeatedModifier, term) }
                explanation = try SPFMacroString(parsing: value, as: .domain)
            default:
                // Unknown modifiers mean nothing, but must be well formed.
                _ = try SPFMacroString(parsing: value, as: .modifierValue)
            }
        }
        self.init(directives: directives, redirect: redirect, explanation: explanation)
    }

    /// name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )
    private static func isNameOctet(_ octet: UInt8) -> Bool {
        SPFText.isLetterOrDigit(octet) || octet == UInt8(ascii: "-") || octet == UInt8(ascii: "_")
            || octet == UInt8(ascii: ".")
    }
}

extension SPFDirective {
    /// directive = [ qualifier ] mechanism
    init(parsing term: ArraySlice<UInt8>) throws(SPFSyntaxError) {
        let qualifier: SPFResult.Level? =
            switch term.first {
            case UInt8(ascii: "+"): .pass
            case UInt8(ascii: "-"): .fail
            case UInt8(ascii: "~"): .softfail
            case UInt8(ascii: "?"): .neutral
            default: nil
            }
        level = qualifier ?? .pass
        text = term
        let rest = qualifier == nil ? term : term.dropFirst()
        let name = rest.prefix { $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: "/") }
        let argument = rest[name.endIndex...]
        let domain = argument.first == UInt8(ascii: ":") ? argument.dropFirst() : nil
        switch String(decoding: name.map(SPFText.lowercased), as: UTF8.self) {
        case "all":
            guard argument.isEmpty else { throw SPFSyntaxError(.unexpectedArgument, term) }
            mechanism = .all
        case "include":
            guard let domain else { throw SPFSyntaxError(.missingArgument, term) }
            mechanism = .include(try Self.target(domain, term))
        case "exists":
            guard let domain else { throw SPFSyntaxError(.missingArgument, term) }
            mechanism = .exists(try Self.target(domain, term))
        case "ptr":
            if let domain {
                mechanism = .ptr(try Self.target(domain, term))
            } else {
                guard argument.isEmpty else { throw SPFSyntaxError(.unexpectedArgument, term) }
                mechanism = .ptr(nil)
            }
        case "a":
            let (target, v4, v6) = try Self.targetWithLengths(argument, term)
            mechanism = .a(target, v4: v4, v6: v6)
        case "mx":
            let (target, v4, v6) = try Self.targetWithLengths(argument, term)
            mechanism = .mx(target, v4: v4, v6: v6)
        case "ip4":
            guard let domain else { throw SPFSyntaxError(.missingArgument, term) }
            mechanism = .network(try Self.network(domain, term, isV4: true))
        case "ip6":
            guard let domain else { throw SPFSyntaxError(.missingArgument, term) }
            mechanism = .network(try Self.network(domain, term, isV4: false))
        default:
            throw SPFSyntaxError(.unknownMechanism, term)
        }
    }

    private static func target(
        _ octets: ArraySlice<UInt8>, _ term: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> SPFMacroString {
        do throws(SPFSyntaxError) {
            return try SPFMacroString(parsing: octets, as: .domain)
        } catch {
            throw SPFSyntaxError(error.reason, term)
        }
    }

    /// [ ":" domain-spec ] [ ip4-cidr-length ] [ "/" ip6-cidr-length ]
    ///
    /// A domain-spec may hold slashes too, but never ends in one and digits: the lengths are what such an end is.
    private static func targetWithLengths(
        _ argument: ArraySlice<UInt8>, _ term: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> (SPFMacroString?, v4: Int, v6: Int) {
        let slash = UInt8(ascii: "/")
        var rest = argument
        func takeNumber() -> ArraySlice<UInt8>? {
            let digits = rest.suffix(while: SPFText.isDigit)
            guard !digits.isEmpty, digits.startIndex > rest.startIndex, rest[digits.startIndex - 1] == slash else {
                return nil
            }
            rest = rest[..<(digits.startIndex - 1)]
            return digits
        }
        var v4: ArraySlice<UInt8>?
        var v6: ArraySlice<UInt8>?
        if let last = takeNumber() {
            if rest.last == slash {
                rest = rest.dropLast()
                v6 = last
                v4 = takeNumber()
            } else {
                v4 = last
            }
        }
        let lengths = (v4: try length(v4, 32, term), v6: try length(v6, 128, term))
        if rest.isEmpty { return (nil, lengths.v4, lengths.v6) }
        guard rest.first == UInt8(ascii: ":") else { throw SPFSyntaxError(.prefixLength, term) }
        return (try target(rest.dropFirst(), term), lengths.v4, lengths.v6)
    }

    /// "0", or digits that do not begin with it, of at most `limit`.
    private static func length(
        _ digits: ArraySlice<UInt8>?, _ limit: Int, _ term: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> Int {
        guard let digits else { return limit }
        guard digits.count <= 3, digits.count == 1 || digits.first != 0x30, let number = Octets.decimal(digits),
            number <= limit
        else { throw SPFSyntaxError(.prefixLength, term) }
        return number
    }

    /// ip4-network [ ip4-cidr-length ], ip6-network [ ip6-cidr-length ]
    private static func network(
        _ argument: ArraySlice<UInt8>, _ term: ArraySlice<UInt8>, isV4: Bool
    ) throws(SPFSyntaxError) -> IPNetwork {
        let parts = Octets.split(argument, at: UInt8(ascii: "/"), limit: 2)
        let address = IPAddress(Octets.text(parts[0]))
        let limit: Int
        switch address {
        case .v4? where isV4: limit = 32
        case .v6? where !isV4: limit = 128
        case .v4?, .v6?, nil: throw SPFSyntaxError(.address, term)
        }
        var number = limit
        if parts.count == 2 {
            guard parts[1].allSatisfy(SPFText.isDigit), !parts[1].isEmpty else {
                throw SPFSyntaxError(.prefixLength, term)
            }
            number = try length(parts[1], limit, term)
        }
        guard let address, let network = IPNetwork(address, prefixLength: number) else {
            throw SPFSyntaxError(.address, term)
        }
        return network
    }
}

extension ArraySlice {
    /// The longest end of which all elements satisfy `predicate`.
    fileprivate func suffix(while predicate: (Element) -> Bool) -> Self {
        var start = endIndex
        while start > startIndex, predicate(self[start - 1]) { start -= 1 }
        return self[start...]
    }
}
