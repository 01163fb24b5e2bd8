import MailModel

/// One entity of a message (RFC 2045 §2.4): the message itself, a part of a multipart, a message in a message.
struct Entity: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// `text/*`, or nothing said.
        case text
        /// Any other content without entities in it.
        case other
        case multipart
        /// `message/rfc822`, `message/global`: another message.
        case message
        /// Not to be changed: signed, encrypted, in pieces, forbidden to be converted, or in a form that cannot be read.
        case sealed
    }

    /// In the order in which their headers stand in the message.
    let index: Int
    let parent: Int?
    let kind: Kind
    let encoding: TransferEncoding
    let type: ContentType
    /// A message, and not a part: has `MIME-Version` of its own.
    let isMessage: Bool

    init(index: Int, parent: Entity?, header: HeaderSection, isMessage: Bool, isInDigest: Bool, mayHoldEntities: Bool) {
        self.index = index
        self.parent = parent?.index
        self.isMessage = isMessage
        encoding = TransferEncoding(header.value("Content-Transfer-Encoding") ?? "")
        let field = header.first("Content-Type")
        type = field.map { ContentType(header.octets[$0.bodyRange]) } ?? .textPlain
        // RFC 2046 §5.1.5
        let isImplicitMessage = field == nil && isInDigest
        kind =
            Self.isForbidden(header)
            ? .sealed
            : Self.kind(type, encoding, isImplicitMessage: isImplicitMessage, mayHoldEntities: mayHoldEntities)
    }

    /// RFC 2156 §2.3.1 and appendix A: `Conversion: Prohibited`; ZMailer asks for `Content-Conversion`.
    private static func isForbidden(_ header: HeaderSection) -> Bool {
        ["Content-Conversion", "Conversion"].contains { name in
            header.value(name).map { asciiLowercased($0).hasPrefix("prohibited") } ?? false
        }
    }

    private static func kind(
        _ type: ContentType, _ encoding: TransferEncoding, isImplicitMessage: Bool, mayHoldEntities: Bool
    ) -> Kind {
        let isPlain: Bool =
            switch encoding {
            case .sevenBit, .eightBit, .binary: true
            case .quotedPrintable, .base64, .unknown: false
            }
        if isImplicitMessage { return isPlain && mayHoldEntities ? .message : .sealed }
        switch (type.type, type.subtype) {
        // RFC 1847 §2: what is signed is what was sent.
        case ("multipart", "signed"), ("multipart", "encrypted"): return .sealed
        // RFC 2045 §6.4: an encoding would have to be taken off first.
        case ("multipart", _): return isPlain && mayHoldEntities && type.boundary != nil ? .multipart : .sealed
        case ("message", "rfc822"): return isPlain && mayHoldEntities ? .message : .sealed
        // RFC 6532 §3.7 allows encodings here.
        case ("message", "global"): return isPlain ? (mayHoldEntities ? .message : .sealed) : .other
        // RFC 2046 §5.2.2 and §5.2.3: 7bit alone.
        case ("message", "partial"), ("message", "external-body"): return .sealed
        case ("text", _), ("message", _): return .text
        case (_, _): return .other
        }
    }
}
