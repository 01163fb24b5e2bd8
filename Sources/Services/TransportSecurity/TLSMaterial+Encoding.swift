extension TLSMaterial {
    /// Octets of an encoding at most.
    public static let maximumEncodedSize = 64 << 20

    private static let magic = Array("ZTLS1\n".utf8)

    /// For the pipe to the process that speaks with the network. It holds the keys.
    ///
    /// Each part is its count of octets (4, most significant first) and the octets; lists begin with their count of elements.
    public func encoded() -> [UInt8] {
        var writer = PartWriter(octets: Self.magic)
        writer.list(identity.map { [$0] } ?? []) { Self.write($1, to: &$0) }
        writer.list(secondIdentity.map { [$0] } ?? []) { Self.write($1, to: &$0) }
        writer.list(namedIdentities) { Self.write($1, to: &$0) }
        writer.list(authorities.map { [$0] } ?? []) { Self.write($1, to: &$0) }
        writer.list(dhParameters) { Self.write($1, to: &$0) }
        writer.part(ticketKey)
        writer.list(warnings) { $0.part(Array($1.utf8)) }
        return writer.octets
    }

    /// What ``encoded()`` gave; anything else is refused, wherever it was cut.
    public init(octets: [UInt8]) throws(TLSFailure) {
        guard octets.count <= Self.maximumEncodedSize, octets.starts(with: Self.magic) else { throw PartReader.failure }
        var reader = PartReader(rest: octets[Self.magic.count...])
        self.init()
        identity = try reader.list(limit: 1, Self.identity).first
        secondIdentity = try reader.list(limit: 1, Self.identity).first
        namedIdentities = try reader.list(limit: Self.maximumNamedPairs, Self.identity)
        authorities = try reader.list(limit: 1, Self.text).first
        dhParameters = try reader.list(limit: 100, Self.text)
        ticketKey = try reader.part()
        warnings = try reader.list(limit: 10_000) { reader throws(TLSFailure) in
            try reader.text()
        }
        guard reader.rest.isEmpty, [0, TicketKey.size].contains(ticketKey.count) else { throw PartReader.failure }
    }

    private static func write(_ identity: Identity, to writer: inout PartWriter) {
        writer.part(Array(identity.certificateFile.utf8))
        writer.part(Array(identity.keyFile.utf8))
        writer.part(identity.certificate)
        writer.part(identity.key)
    }

    private static func write(_ text: Text, to writer: inout PartWriter) {
        writer.part(Array(text.file.utf8))
        writer.part(text.octets)
    }

    private static func identity(_ reader: inout PartReader) throws(TLSFailure) -> Identity {
        Identity(
            certificateFile: try reader.text(), keyFile: try reader.text(),
            certificate: try reader.part(), key: try reader.part())
    }

    private static func text(_ reader: inout PartReader) throws(TLSFailure) -> Text {
        Text(file: try reader.text(), octets: try reader.part())
    }
}

private struct PartWriter {
    var octets: [UInt8]

    mutating func number(_ value: Int) {
        for shift in [24, 16, 8, 0] { octets.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func part(_ part: [UInt8]) {
        number(part.count)
        octets += part
    }

    mutating func list<Element>(_ list: [Element], _ write: (inout PartWriter, Element) -> Void) {
        number(list.count)
        for element in list { write(&self, element) }
    }
}

private struct PartReader {
    var rest: ArraySlice<UInt8>

    static let failure = TLSFailure(.configuration, "octets that are no encoded TLS material, or a part of one")

    mutating func number() throws(TLSFailure) -> Int {
        guard rest.count >= 4 else { throw Self.failure }
        defer { rest = rest.dropFirst(4) }
        return rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func part() throws(TLSFailure) -> [UInt8] {
        let count = try number()
        guard count <= rest.count else { throw Self.failure }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func text() throws(TLSFailure) -> String {
        guard let text = String(validating: try part(), as: UTF8.self) else { throw Self.failure }
        return text
    }

    mutating func list<Element>(
        limit: Int, _ read: (inout PartReader) throws(TLSFailure) -> Element
    ) throws(TLSFailure) -> [Element] {
        let count = try number()
        guard count <= limit else { throw Self.failure }
        var list: [Element] = []
        for _ in 0..<count { list.append(try read(&self)) }
        return list
    }
}
