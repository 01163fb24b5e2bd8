import MailModel

/// Version 1 (§2.1): `PROXY TCP4 192.0.2.1 192.0.2.25 56324 25`.
extension ProxyHeaderDecoder {
    /// `line` without its CRLF.
    static func header(line: ArraySlice<UInt8>) throws(ProxyHeaderError) -> ProxyHeader {
        let words = Octets.split(line, at: 0x20)
        let isV4 = Octets.equal(words[1], "TCP4")
        guard isV4 || Octets.equal(words[1], "TCP6") else {
            // What stands behind it is to be passed over.
            guard Octets.equal(words[1], "UNKNOWN") else { throw .unknownProtocol }
            return .unknown
        }
        guard words.count == 6, let source = address(words[2], isV4: isV4),
            let destination = address(words[3], isV4: isV4), let sourcePort = PeerText.port(words[4]),
            let destinationPort = PeerText.port(words[5])
        else { throw .malformedLine }
        return .proxied(
            ProxiedConnection(
                source: PeerEndpoint(source, port: sourcePort),
                destination: PeerEndpoint(destination, port: destinationPort)))
    }

    private static func address(_ word: ArraySlice<UInt8>, isV4: Bool) -> IPAddress? {
        switch IPAddress(Octets.text(word)) {
        case .v4(let value)? where isV4: .v4(value)
        case .v6(let high, let low)? where !isV4: .v6(high: high, low: low)
        case .v4?, .v6?, nil: nil
        }
    }
}
