import Testing

@testable import TransportSecurity

@Suite("handshake")
struct HandshakeTests {
    @Test("both ends agree and exchange octets", arguments: [TLSProtocolVersion.tls12, .tls13])
    func basic(version: TLSProtocolVersion) throws {
        var settings = TLSServerSettings()
        settings.maximumProtocol = version
        let pair = try Pair(try TestKeys.shared().material("ec"), settings)
        #expect(pair.handshake().isEstablished)
        let text = Array("EHLO client.example.test\r\n".utf8)
        #expect(try pair.send(text, from: pair.client, to: pair.server) == text)
        #expect(try pair.send(text, from: pair.server, to: pair.client) == text)
        let info = try #require(pair.server.session)
        #expect(info.protocolName == version.description)
        #expect(info.serverName == "mx.example.test")
    }
}
