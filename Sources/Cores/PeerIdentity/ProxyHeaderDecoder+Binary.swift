import MailModel

/// Version 2 (§2.2): signature, version and command, family and transport, length, addresses, vectors (TLVs).
extension ProxyHeaderDecoder {
    private static let authority: UInt8 = 0x02
    private static let checksum: UInt8 = 0x03
    private static let tls: UInt8 = 0x20
    private static let tlsVersion: UInt8 = 0x21
    private static let tlsCommonName: UInt8 = 0x22
    private static let tlsCipher: UInt8 = 0x23

    /// `octets`: a whole header whose first 16 octets are right.
    static func header(binary octets: [UInt8]) throws(ProxyHeaderError) -> ProxyHeader {
        // Of a connection of its own a proxy may say anything; it is to be passed over.
        guard octets[12] & 15 == 1 else { return .local }
        let family = octets[13]
        let width: Int
        switch family {
        case 0x11: width = 4
        case 0x21: width = 16
        // Unix sockets, datagrams and whatever the proxy cannot name: no SMTP client comes that way.
        default: return .unknown
        }
        let vectorsStart = binaryHead + 2 * width + 4
        guard octets.count >= vectorsStart,
            let source = IPAddress(octets: Array(octets[16..<(16 + width)])),
            let destination = IPAddress(octets: Array(octets[(16 + width)..<(16 + 2 * width)]))
        else { throw .noAddresses(family) }
        func port(_ index: Int) -> UInt16 { UInt16(octets[index]) << 8 | UInt16(octets[index + 1]) }
        var connection = ProxiedConnection(
            source: PeerEndpoint(source, port: port(vectorsStart - 4)),
            destination: PeerEndpoint(destination, port: port(vectorsStart - 2)))
        let vectors = try vectors(octets[vectorsStart...])
        if let value = vectors[checksum] { try check(value, of: octets) }
        if let value = vectors[authority] { connection.authority = PeerText.exact(value) }
        if let value = vectors[tls] { connection.tls = try proxiedTLS(value) }
        return .proxied(connection)
    }

    /// Values by type. Types that are of no interest may stand there more than once.
    private static func vectors(_ octets: ArraySlice<UInt8>) throws(ProxyHeaderError) -> [UInt8: ArraySlice<UInt8>] {
        var vectors: [UInt8: ArraySlice<UInt8>] = [:]
        var rest = octets
        while let type = rest.first {
            let start = rest.startIndex + 3
            guard start <= rest.endIndex else { throw .malformedVector(type) }
            let length = Int(rest[start - 2]) << 8 | Int(rest[start - 1])
            guard start + length <= rest.endIndex else { throw .malformedVector(type) }
            switch type {
            case authority, checksum, tls, tlsVersion, tlsCommonName, tlsCipher:
                // Who reads the last and who reads the first must not see two clients.
                guard vectors[type] == nil else { throw .repeatedVector(type) }
                vectors[type] = rest[start..<(start + length)]
            default: break
            }
            rest = rest[(start + length)...]
        }
        return vectors
    }

    /// §2.2.3: over the whole header, with zeros in its own place.
    private static func check(_ value: ArraySlice<UInt8>, of octets: [UInt8]) throws(ProxyHeaderError) {
        guard value.count == 4 else { throw .malformedVector(checksum) }
        var cleared = octets
        for index in value.indices { cleared[index] = 0 }
        let stated = value.reduce(0) { $0 << 8 | UInt32($1) }
        guard CRC32C.checksum(cleared) == stated else { throw .wrongChecksum }
    }

    /// §2.2.6; `nil`: the client speaks no TLS.
    private static func proxiedTLS(_ value: ArraySlice<UInt8>) throws(ProxyHeaderError) -> ProxiedTLS? {
        guard value.count >= 5, let flags = value.first else { throw .malformedVector(tls) }
        let vectors = try vectors(value.dropFirst(5))
        guard flags & 1 != 0 else { return nil }
        func text(_ type: UInt8) -> String { vectors[type].flatMap(PeerText.exact) ?? "" }
        let hasCertificate = flags & 6 != 0
        return ProxiedTLS(
            version: text(tlsVersion), cipher: text(tlsCipher), commonName: hasCertificate ? text(tlsCommonName) : "",
            isVerified: hasCertificate && value.dropFirst().prefix(4).allSatisfy { $0 == 0 })
    }
}
