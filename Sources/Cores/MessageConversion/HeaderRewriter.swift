import MailModel

/// Writes a header section with what a conversion changes in it; every other field stays as it is, octet for octet but for line ends.
struct HeaderRewriter {
    let options: ConversionOptions
    let action: ConversionPlan.Action
    /// The body has 8-bit octets: a text must say what they are, or that nobody knows (RFC 1428 §3).
    let namesCharset: Bool

    static let unknownCharset = "UNKNOWN-8BIT"

    /// - Returns: whether anything was changed.
    func rewrite(_ header: HeaderSection, of entity: Entity, into output: inout [UInt8]) -> Bool {
        let encoding = newEncoding
        let encodesFields = options.target == .sevenBit && options.convertsHeaders
        let needsCharset = namesCharset && encoding != nil && entity.kind == .text && !hasUsableCharset(entity)
        var isChanged = false
        var hasEncoding = false
        var hasType = false
        for field in header.fields {
            let octets = header.octets[field.range]
            switch asciiLowercased(field.name) {
            case "content-transfer-encoding" where encoding != nil:
                isChanged = true
                if let encoding, !hasEncoding { append("Content-Transfer-Encoding: \(encoding)", &output) }
                hasEncoding = true
            case "content-type" where needsCharset && !hasType:
                isChanged = true
                hasType = true
                appendType(header.octets[field.bodyRange], name: field.name, &output)
            case "content-type":
                hasType = true
                if copy(octets, field, header, encodesFields, &output) { isChanged = true }
            default:
                if copy(octets, field, header, encodesFields, &output) { isChanged = true }
            }
        }
        guard let encoding else { return isChanged }
        if entity.isMessage, header.first("MIME-Version") == nil { append("MIME-Version: 1.0", &output) }
        if !hasType, needsCharset { append("Content-Type: text/plain; charset=\(Self.unknownCharset)", &output) }
        if !hasEncoding { append("Content-Transfer-Encoding: \(encoding)", &output) }
        return true
    }

    /// `nil`: as it is.
    private var newEncoding: String? {
        switch action {
        case .keep, .recode, .strip: nil
        case .quotedPrintable: "quoted-printable"
        case .base64: "base64"
        case .decodeToSevenBit, .labelSevenBit, .stripAndLabelSevenBit: "7bit"
        case .decodeToEightBit, .labelEightBit: "8bit"
        }
    }

    /// `us-ascii` cannot be what 8-bit octets are.
    private func hasUsableCharset(_ entity: Entity) -> Bool {
        guard let charset = entity.type.charset else { return false }
        return charset != "us-ascii" && charset != "ascii"
    }

    private func append(_ line: String, _ output: inout [UInt8]) {
        output += line.utf8
        output += [0x0d, 0x0a]
    }

    /// - Returns: whether it was changed.
    private func copy(
        _ octets: ArraySlice<UInt8>, _ field: HeaderSection.Field, _ header: HeaderSection, _ encodes: Bool,
        _ output: inout [UInt8]
    ) -> Bool {
        guard encodes, octets.contains(where: { $0 >= 0x80 }) else {
            output += octets
            return false
        }
        output += field.name.utf8
        output.append(UInt8(ascii: ":"))
        var body = header.octets[field.bodyRange]
        // Ends in CRLF: the walker has made it so.
        body = body.dropLast(2)
        output += FieldEncoder(charset: options.defaultCharset).encode(body, name: field.name)
        output += [0x0d, 0x0a]
        return true
    }

    /// The field with `charset=UNKNOWN-8BIT` in place of the one it has, or behind its parameters.
    private func appendType(_ body: ArraySlice<UInt8>, name: String, _ output: inout [UInt8]) {
        let parts = HeaderTokens.parameters(body)
        output += name.utf8
        output.append(UInt8(ascii: ":"))
        var kept = parts.filter { HeaderTokens.parameter($0)?.name != "charset" || $0.startIndex == body.startIndex }
        if let first = kept.first {
            output += FieldEncoder.stripped(Self.unfolded(first))
            kept.removeFirst()
        }
        for part in kept where !HeaderTokens.trimmed(part).isEmpty {
            output += ";\r\n ".utf8
            output += FieldEncoder.stripped(Self.unfolded(HeaderTokens.trimmed(part)))
        }
        append(";\r\n charset=\(Self.unknownCharset)", &output)
    }

    private static func unfolded(_ octets: ArraySlice<UInt8>) -> [UInt8] { octets.filter { $0 != 0x0d && $0 != 0x0a } }
}
