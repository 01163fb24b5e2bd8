/// What a message is converted to.
public enum ConversionTarget: Hashable, Sendable {
    /// For a host without 8BITMIME: 8-bit bodies become quoted-printable or base64 (RFC 6152 §3), 8-bit header fields encoded words.
    case sevenBit
    /// For a host that takes 8-bit: quoted-printable texts are decoded.
    case eightBit
}

/// How to convert.
public struct ConversionOptions: Hashable, Sendable {
    public var target: ConversionTarget
    /// Header fields with 8-bit octets become encoded words (RFC 2047), with ``ConversionTarget/sevenBit``.
    public var convertsHeaders: Bool
    /// What 8-bit octets of header fields are taken for where they are not UTF-8: a name of the IANA's registry.
    public var defaultCharset: String

    public init(_ target: ConversionTarget, convertsHeaders: Bool = true, defaultCharset: String = "ISO-8859-1") {
        self.target = target
        self.convertsHeaders = convertsHeaders
        self.defaultCharset = defaultCharset
    }
}

/// What has to be done with each entity of one message, as a ``MessageSurvey`` has found.
public struct ConversionPlan: Hashable, Sendable {
    /// Why a message cannot be made what was asked for.
    public enum Obstacle: String, Hashable, Sendable, CaseIterable {
        case sealed = "a signed or encrypted part, or one that must not be converted, has 8-bit content"
        case unknownEncoding = "a part with 8-bit content has an unknown Content-Transfer-Encoding"
        case header = "its header has 8-bit octets"
        case tooComplex = "it has too many or too large parts"
    }

    enum Action: UInt8, Hashable, Sendable {
        case keep
        case quotedPrintable
        case base64
        /// Quoted-printable with 8-bit octets in it: once more, and right.
        case recode
        /// Taken off, where the result is 7-bit, or is not.
        case decodeToSevenBit
        case decodeToEightBit
        /// Only the label is changed.
        case labelSevenBit
        case labelEightBit
        /// 8-bit octets become question marks: they are in a place where nobody looks, and nothing better can be done.
        case strip
        /// Both: what stands around the parts of a multipart, and its label.
        case stripAndLabelSevenBit
    }

    let options: ConversionOptions
    /// By ``Entity/index``.
    let actions: [Action]
    /// By ``Entity/index``: the body has 8-bit octets, so that a charset has to be named.
    let hasEightBit: [Bool]
    /// Header fields of some entity have 8-bit octets.
    public let hasEightBitHeader: Bool
    /// Somewhere is an octet above 127.
    public let hasEightBitOctets: Bool
    /// With one the message must be left as it is.
    public let obstacle: Obstacle?

    /// Whether the result has octets above 127.
    public var producesEightBit: Bool {
        options.target == .eightBit && (hasEightBitOctets || actions.contains(.decodeToEightBit))
    }

    /// Whether a conversion would change anything.
    public var isNeeded: Bool {
        (options.target == .sevenBit && hasEightBitHeader && options.convertsHeaders)
            || actions.contains { $0 != .keep }
    }
}
