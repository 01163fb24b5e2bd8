import MailModel

extension SMTPTLSConfiguration.Destination {
    /// Which next hops a line is for.
    ///
    ///     example.com           this domain or host, also in brackets
    ///     .example.com          all domains below it
    ///     [192.0.2.1]           this address
    ///     *                     all
    ///     example.com:587       any of them, at this port alone
    public struct Pattern: Hashable, Sendable, CustomStringConvertible {
        private enum Host: Hashable, Sendable {
            case any
            /// A-labels in lower case.
            case domain(String)
            /// The same, with the dot in front.
            case below(String)
            case address(IPAddress)
        }
        private let host: Host
        private let port: UInt16?
        public let description: String

        /// `nil` if the text is none of the forms.
        public init?(_ text: some StringProtocol) {
            description = String(text)
            var rest = Substring(text)
            // Colons of an IPv6 address stand inside brackets.
            let tail = rest.lastIndex(of: "]").map { rest[$0...] } ?? rest
            if let colon = tail.lastIndex(of: ":") {
                let digits = rest[rest.index(after: colon)...]
                guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt16(digits), number > 0 else {
                    return nil
                }
                port = number
                rest = rest[..<colon]
            } else {
                port = nil
            }
            switch rest.first {
            case "*":
                guard rest.count == 1 else { return nil }
                host = .any
            case ".":
                guard let name = Self.name(rest.dropFirst()) else { return nil }
                host = .below("." + name)
            case "[":
                let inner = rest.dropFirst().dropLast()
                guard rest.last == "]" else { return nil }
                if let address = AddressLiteral.address(in: rest) ?? IPAddress(inner) {
                    host = .address(address)
                } else if let name = Self.name(inner), !Self.isNumeric(name) {
                    host = .domain(name)
                } else {
                    return nil
                }
            default:
                // An address without brackets would be taken for a domain of digits that nobody has.
                guard let name = Self.name(rest), !Self.isNumeric(name) else { return nil }
                host = .domain(name)
            }
        }

        static let forms = "DOMAIN, .DOMAIN, [ADDRESS] and *, each with an optional :PORT"

        private static func name(_ text: Substring) -> String? { asciiName(String(text)).map { asciiLowercased($0) } }

        private static func isNumeric(_ name: String) -> Bool {
            name.utf8.allSatisfy { (48...57).contains($0) || $0 == UInt8(ascii: ".") }
        }

        /// What a next hop is compared by.
        static func key(of host: MailDomain) -> MailDomain {
            guard case .name(let name) = host, let ascii = asciiName(name.key).flatMap({ DomainName($0) }) else {
                return host
            }
            return .name(ascii)
        }

        /// - Parameter key: of ``key(of:)``.
        func matches(_ key: MailDomain, port: UInt16) -> Bool {
            if let own = self.port, own != port { return false }
            switch (host, key) {
            case (.any, _): return true
            case (.domain(let name), .name(let other)): return other.key == name
            case (.below(let suffix), .name(let other)): return other.key.hasSuffix(suffix)
            case (.address(let address), .literal(.ip(let other))): return address.unmapped == other.unmapped
            case (.domain, .literal), (.below, .literal), (.address, .name), (.address, .literal(.general)):
                return false
            }
        }

        /// Whether all next hops match.
        var isForAll: Bool { host == .any && port == nil }
    }
}
