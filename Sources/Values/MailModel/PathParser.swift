/// Why an address could not be read, and at which octet (0-based, from the start of the parsed text).
public struct AddressSyntaxError: Error, Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case missingOpeningBracket
        case missingClosingBracket
        case emptyLocalPart
        case localPartTooLong
        case invalidLocalPart
        case unterminatedQuotedString
        case missingDomain
        case invalidDomain
        case invalidAddressLiteral
        case invalidSourceRoute
        case pathTooLong
        /// An address with UTF-8 outside a transaction with SMTPUTF8 (RFC 6531 §3.1).
        case internationalizedNotAllowed
        case invalidUTF8
        case nullPathNotAllowed
    }
    public let kind: Kind
    public let offset: Int

    public init(_ kind: Kind, at offset: Int) {
        self.kind = kind
        self.offset = offset
    }
}

extension AddressSyntaxError: CustomStringConvertible {
    public var description: String {
        switch kind {
        case .missingOpeningBracket: "Missing '<' before the address"
        case .missingClosingBracket: "Missing '>' after the address"
        case .emptyLocalPart: "Empty local part"
        case .localPartTooLong: "Local part longer than \(LocalPart.maximumLength) octets"
        case .invalidLocalPart: "Invalid character in the local part"
        case .unterminatedQuotedString: "Quoted string is not closed"
        case .missingDomain: "Address without a domain"
        case .invalidDomain: "Invalid domain name"
        case .invalidAddressLiteral: "Invalid address literal"
        case .invalidSourceRoute: "Invalid source route"
        case .pathTooLong: "Path longer than \(PathParser.maximumPathLength) octets"
        case .internationalizedNotAllowed: "Address with non-ASCII characters needs SMTPUTF8"
        case .invalidUTF8: "Address is not valid UTF-8"
        case .nullPathNotAllowed: "Null address is valid only as a sender"
        }
    }
}

/// Reads the paths of MAIL and RCPT (RFC 5321 §4.1.2–3, RFC 6531 §3.3).
public struct PathParser {
    public struct Options: Sendable {
        public var allowsUTF8: Bool
        /// Style letter `S`: missing brackets and blanks inside them are accepted.
        public var isSloppy: Bool

        public init(allowsUTF8: Bool = false, isSloppy: Bool = false) {
            self.allowsUTF8 = allowsUTF8
            self.isSloppy = isSloppy
        }
    }

    /// A path and what surrounded it.
    public struct Result<Path: Hashable & Sendable>: Hashable, Sendable {
        public let path: Path
        /// `@a,@b` of `<@a,@b:c@d>`, which RFC 5321 §4.1.1.3 says to ignore.
        public let sourceRoute: String?
        /// Index of the first octet behind the path.
        public let end: Int
    }

    /// Octets, brackets included. RFC 5321 §4.5.3.1.3 asks for at least 256.
    public static let maximumPathLength = 1024

    private let bytes: ArraySlice<UInt8>
    private let options: Options
    private(set) var index: Int

    public init(_ bytes: ArraySlice<UInt8>, options: Options) {
        self.bytes = bytes
        self.options = options
        self.index = bytes.startIndex
    }

    public var isAtEnd: Bool { index == bytes.endIndex }

    public static func reversePath(
        _ bytes: ArraySlice<UInt8>, options: Options = Options()
    ) throws(AddressSyntaxError) -> Result<ReversePath> {
        var parser = PathParser(bytes, options: options)
        let (mailbox, _, route) = try parser.path(allowsNull: true)
        return Result(path: mailbox.map(ReversePath.mailbox) ?? .null, sourceRoute: route, end: parser.index)
    }

    public static func forwardPath(
        _ bytes: ArraySlice<UInt8>, options: Options = Options()
    ) throws(AddressSyntaxError) -> Result<ForwardPath> {
        var parser = PathParser(bytes, options: options)
        let (mailbox, isPostmaster, route) = try parser.path(allowsNull: false)
        let path: ForwardPath
        if isPostmaster {
            path = .postmaster
        } else if let mailbox {
            path = .mailbox(mailbox)
        } else {
            throw AddressSyntaxError(.nullPathNotAllowed, at: 0)
        }
        return Result(path: path, sourceRoute: route, end: parser.index)
    }

    private func error(_ kind: AddressSyntaxError.Kind, at position: Int? = nil) -> AddressSyntaxError {
        AddressSyntaxError(kind, at: (position ?? index) - bytes.startIndex)
    }

    private var current: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

    private mutating func skipBlanksIfSloppy() {
        guard options.isSloppy else { return }
        while let byte = current, byte == 0x20 || byte == 0x09 { index += 1 }
    }

    private mutating func path(
        allowsNull: Bool
    ) throws(AddressSyntaxError) -> (mailbox: Mailbox?, isPostmaster: Bool, route: String?) {
        skipBlanksIfSloppy()
        let start = index
        var bracketed = false
        var isDoubled = false
        if current == UInt8(ascii: "<") {
            bracketed = true
            index += 1
            if options.isSloppy, current == UInt8(ascii: "<") {
                isDoubled = true
                index += 1
            }
        } else if !options.isSloppy {
            throw error(.missingOpeningBracket)
        }
        skipBlanksIfSloppy()
        if bracketed, current == UInt8(ascii: ">") {
            guard allowsNull else { throw error(.nullPathNotAllowed) }
            index += 1
            if isDoubled, current == UInt8(ascii: ">") { index += 1 }
            return (nil, false, nil)
        }
        let route = try sourceRoute()
        let isPostmaster = !allowsNull && route == nil && skipPostmaster(bracketed: bracketed)
        let mailbox: Mailbox? = if isPostmaster { nil } else { try self.mailbox() }
        skipBlanksIfSloppy()
        if bracketed {
            guard current == UInt8(ascii: ">") else { throw error(.missingClosingBracket) }
            index += 1
            if options.isSloppy, current == UInt8(ascii: ">") { index += 1 }
        }
        guard index - start <= Self.maximumPathLength else { throw error(.pathTooLong, at: start) }
        return (mailbox, isPostmaster, route)
    }

    /// RFC 5321 §4.1.1.3: `<Postmaster>`, any case, without a domain.
    private mutating func skipPostmaster(bracketed: Bool) -> Bool {
        let word = "postmaster".utf8
        guard bytes[index...].count >= word.count else { return false }
        for (mine, theirs) in zip(word, bytes[index...]) where mine != theirs | 0x20 { return false }
        let next = index + word.count
        if bracketed {
            let behind = options.isSloppy ? bytes[next...].first { $0 != 0x20 && $0 != 0x09 } : bytes[next...].first
            guard behind == UInt8(ascii: ">") else { return false }
        } else {
            guard next == bytes.endIndex || bytes[next] == 0x20 || bytes[next] == 0x09 else { return false }
        }
        index = next
        return true
    }

    /// `A-d-l ":"`: read and kept as text, not acted on.
    private mutating func sourceRoute() throws(AddressSyntaxError) -> String? {
        guard current == UInt8(ascii: "@") else { return nil }
        let start = index
        while true {
            guard current == UInt8(ascii: "@") else { throw error(.invalidSourceRoute) }
            index += 1
            let name = index
            while let byte = current, byte != UInt8(ascii: ","), byte != UInt8(ascii: ":"), byte != UInt8(ascii: ">") {
                index += 1
            }
            guard let text = String(validating: bytes[name..<index], as: UTF8.self) else {
                throw error(.invalidUTF8, at: name)
            }
            if !options.allowsUTF8, text.utf8.contains(where: { $0 >= 0x80 }) {
                throw error(.internationalizedNotAllowed, at: name)
            }
            guard DomainName(text) != nil else { throw error(.invalidSourceRoute, at: name) }
            if current == UInt8(ascii: ":") { break }
            guard current == UInt8(ascii: ",") else { throw error(.invalidSourceRoute) }
            index += 1
        }
        let route = String(decoding: bytes[start..<index], as: UTF8.self)
        index += 1
        return route
    }

    mutating func mailbox() throws(AddressSyntaxError) -> Mailbox {
        let start = index
        let local = try localPart()
        guard current == UInt8(ascii: "@") else { throw error(.missingDomain) }
        index += 1
        let domain = try self.domain()
        let mailbox = Mailbox(localPart: local, domain: domain)
        if !options.allowsUTF8, mailbox.isInternationalized { throw error(.internationalizedNotAllowed, at: start) }
        return mailbox
    }

    private mutating func localPart() throws(AddressSyntaxError) -> LocalPart {
        let start = index
        var decoded: [UInt8] = []
        if current == UInt8(ascii: "\"") {
            index += 1
            while true {
                guard let byte = current else { throw error(.unterminatedQuotedString, at: start) }
                if byte == UInt8(ascii: "\"") { break }
                if byte == UInt8(ascii: "\\") {
                    index += 1
                    guard let escaped = current else { throw error(.unterminatedQuotedString, at: start) }
                    guard (0x20...0x7e).contains(escaped) else { throw error(.invalidLocalPart) }
                    decoded.append(escaped)
                } else {
                    guard byte >= 0x20, byte != 0x7f else { throw error(.invalidLocalPart) }
                    decoded.append(byte)
                }
                index += 1
            }
            index += 1
        } else {
            var previousDot = true
            while let byte = current, byte != UInt8(ascii: "@"), byte != UInt8(ascii: ">") {
                if byte == UInt8(ascii: "\\") {
                    // RFC 821 quoting outside quotes; becomes a quoted string (smtpserver.md §6).
                    index += 1
                    guard let escaped = current, (0x20...0x7e).contains(escaped) else { throw error(.invalidLocalPart) }
                    decoded.append(escaped)
                    previousDot = false
                } else if byte == UInt8(ascii: ".") {
                    if previousDot { throw error(.invalidLocalPart) }
                    previousDot = true
                    decoded.append(byte)
                } else if LocalPart.isAtomText(byte) {
                    previousDot = false
                    decoded.append(byte)
                } else {
                    throw error(.invalidLocalPart)
                }
                index += 1
            }
            if !decoded.isEmpty, previousDot { throw error(.invalidLocalPart, at: index - 1) }
        }
        guard !decoded.isEmpty else { throw error(.emptyLocalPart, at: start) }
        guard decoded.count <= LocalPart.maximumLength else { throw error(.localPartTooLong, at: start) }
        guard let text = String(validating: decoded, as: UTF8.self) else { throw error(.invalidUTF8, at: start) }
        guard let local = LocalPart(decoded: text) else { throw error(.invalidLocalPart, at: start) }
        return local
    }

    private mutating func domain() throws(AddressSyntaxError) -> MailDomain {
        let start = index
        if current == UInt8(ascii: "[") {
            while let byte = current, byte != UInt8(ascii: "]") { index += 1 }
            guard current != nil else { throw error(.invalidAddressLiteral, at: start) }
            index += 1
            guard let literal = AddressLiteral(String(decoding: bytes[start..<index], as: UTF8.self)) else {
                throw error(.invalidAddressLiteral, at: start)
            }
            return .literal(literal)
        }
        while let byte = current, byte != UInt8(ascii: ">"), byte != 0x20, byte != 0x09 { index += 1 }
        guard index > start else { throw error(.missingDomain, at: start) }
        guard let text = String(validating: bytes[start..<index], as: UTF8.self) else {
            throw error(.invalidUTF8, at: start)
        }
        if !options.allowsUTF8, text.utf8.contains(where: { $0 >= 0x80 }) {
            throw error(.internationalizedNotAllowed, at: start)
        }
        guard let name = DomainName(text) else { throw error(.invalidDomain, at: start) }
        return .name(name)
    }
}
