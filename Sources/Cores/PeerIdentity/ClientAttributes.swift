import MailModel

/// What an XCLIENT command says about the client behind the one that speaks (Postfix, XCLIENT_README).
///
/// It may change who may do what, so only clients that the configuration names may use it. Attributes add up over several
/// commands; one that was never given keeps its real value.
public struct ClientAttributes: Hashable, Sendable {
    /// A value, or that there is none.
    public enum Value<Content: Hashable & Sendable>: Hashable, Sendable {
        case given(Content)
        /// `[UNAVAILABLE]`.
        case unavailable
        /// `[TEMPUNAVAIL]`: the DNS did not answer. Of ``name`` only.
        case temporarilyUnavailable
    }

    public enum MailProtocol: String, Hashable, Sendable {
        case smtp = "SMTP"
        case esmtp = "ESMTP"
    }

    /// The client's host name, as the other server has found it.
    public var name: Value<DomainName>?
    public var address: Value<IPAddress>?
    public var port: Value<UInt16>?
    public var mailProtocol: MailProtocol?
    /// The argument of HELO or EHLO, at most 255 octets.
    public var helo: Value<String>?
    /// The user that the client has logged in as, at most 255 octets.
    public var login: Value<String>?
    /// Where the client connected to.
    public var destinationAddress: Value<IPAddress>?
    public var destinationPort: Value<UInt16>?

    /// What EHLO says behind the keyword.
    public static let names = Attribute.allCases.map(\.rawValue)
    /// Octets of the command's argument: that of a command line.
    public static let maximumLength = 8192

    enum Attribute: String, CaseIterable {
        case name = "NAME"
        case address = "ADDR"
        case port = "PORT"
        case mailProtocol = "PROTO"
        case helo = "HELO"
        case login = "LOGIN"
        case destinationAddress = "DESTADDR"
        case destinationPort = "DESTPORT"
    }

    public init() {}

    /// Reads what stands behind the verb: `NAME=mail.example.org ADDR=192.0.2.1`, one or more, with blanks between.
    public init(parsing argument: some StringProtocol) throws(ClientAttributesError) {
        let octets = Array(argument.utf8)
        guard octets.count <= Self.maximumLength else { throw .tooLong }
        let words = Octets.words(octets[...])
        guard !words.isEmpty else { throw .missing }
        var seen: Set<Attribute> = []
        for word in words {
            guard let equals = Octets.index(of: UInt8(ascii: "="), in: word) else {
                throw .unknown(PeerText.cleaned(word))
            }
            let spelling = word[..<equals]
            guard let attribute = Attribute(spelling) else { throw .unknown(PeerText.cleaned(spelling)) }
            guard seen.insert(attribute).inserted else { throw .repeated(attribute.rawValue) }
            guard let value = XText.decode(Octets.text(word[(equals + 1)...])) else {
                throw .wrongValue(attribute.rawValue)
            }
            guard take(attribute, value[...]) else { throw .wrongValue(attribute.rawValue) }
        }
    }

    /// With what a later command says.
    public mutating func add(_ later: ClientAttributes) {
        name = later.name ?? name
        address = later.address ?? address
        port = later.port ?? port
        mailProtocol = later.mailProtocol ?? mailProtocol
        helo = later.helo ?? helo
        login = later.login ?? login
        destinationAddress = later.destinationAddress ?? destinationAddress
        destinationPort = later.destinationPort ?? destinationPort
    }

    /// `false`: the value is none of the attribute's.
    private mutating func take(_ attribute: Attribute, _ value: ArraySlice<UInt8>) -> Bool {
        switch attribute {
        case .name:
            name = Self.isWord("[TEMPUNAVAIL]", value) ? .temporarilyUnavailable : Self.value(value, Self.domain)
            return name != nil
        case .address:
            address = Self.value(value, Self.address)
            return address != nil
        case .port:
            port = Self.value(value, PeerText.port)
            return port != nil
        case .mailProtocol:
            mailProtocol = Self.isWord("SMTP", value) ? .smtp : Self.isWord("ESMTP", value) ? .esmtp : nil
            return mailProtocol != nil
        case .helo:
            helo = Self.value(value, PeerText.exact)
            return helo != nil
        case .login:
            login = Self.value(value, PeerText.exact)
            return login != nil
        case .destinationAddress:
            destinationAddress = Self.value(value, Self.address)
            return destinationAddress != nil
        case .destinationPort:
            destinationPort = Self.value(value, PeerText.port)
            return destinationPort != nil
        }
    }

    private static func value<Content>(
        _ octets: ArraySlice<UInt8>, _ read: (ArraySlice<UInt8>) -> Content?
    ) -> Value<Content>? {
        isWord("[UNAVAILABLE]", octets) ? .unavailable : read(octets).map { .given($0) }
    }

    private static func isWord(_ word: StaticString, _ octets: ArraySlice<UInt8>) -> Bool {
        octets.count == word.utf8CodeUnitCount && Octets.hasPrefix(octets, word, anyCase: true)
    }

    private static func domain(_ octets: ArraySlice<UInt8>) -> DomainName? {
        PeerText.exact(octets).flatMap { DomainName($0) }
    }

    /// `192.0.2.1` or `IPV6:2001:db8::1`, without brackets; an IPv6 address without the prefix too, as some proxies write it.
    private static func address(_ octets: ArraySlice<UInt8>) -> IPAddress? {
        guard Octets.hasPrefix(octets, "IPV6:", anyCase: true) else { return IPAddress(Octets.text(octets)) }
        guard let address = IPAddress(Octets.text(octets.dropFirst(5))), case .v6 = address else { return nil }
        return address
    }
}

extension ClientAttributes.Attribute {
    /// In any case.
    init?(_ spelling: ArraySlice<UInt8>) {
        let wanted = asciiLowercased(Octets.text(spelling))
        guard let attribute = Self.allCases.first(where: { asciiLowercased($0.rawValue) == wanted }) else { return nil }
        self = attribute
    }
}

/// Why an XCLIENT command is refused (501 5.5.4).
public enum ClientAttributesError: Error, Hashable, Sendable, CustomStringConvertible {
    case missing
    case tooLong
    /// No attribute of that name, or no `=`. Printable, at most 255 octets.
    case unknown(String)
    /// Given twice in one command.
    case repeated(String)
    /// Not xtext (RFC 3461 §4), or not what the attribute can be.
    case wrongValue(String)

    public var description: String {
        switch self {
        case .missing: "XCLIENT needs attributes; valid are \(ClientAttributes.names.joined(separator: " "))"
        case .tooLong: "more than \(ClientAttributes.maximumLength) octets of attributes"
        case .unknown(let word):
            "unknown attribute '\(word)'; valid are \(ClientAttributes.names.joined(separator: " ")), each with =value"
        case .repeated(let name): "attribute \(name) is given twice"
        case .wrongValue(let name): "bad value of attribute \(name)\(Self.valid(name))"
        }
    }

    private static func valid(_ name: String) -> String {
        switch ClientAttributes.Attribute(rawValue: name) {
        case .name?: "; valid are a host name, [UNAVAILABLE] and [TEMPUNAVAIL]"
        case .address?, .destinationAddress?: "; valid are 192.0.2.1, IPV6:2001:db8::1 and [UNAVAILABLE]"
        case .port?, .destinationPort?: "; valid are 0 to 65535 and [UNAVAILABLE]"
        case .mailProtocol?: "; valid are SMTP and ESMTP"
        case .helo?, .login?: "; valid are up to 255 octets in xtext and [UNAVAILABLE]"
        case nil: ""
        }
    }
}
