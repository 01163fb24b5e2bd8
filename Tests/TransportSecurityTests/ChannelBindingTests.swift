import COpenSSL
import Testing

@testable import TransportSecurity

@Suite("channel bindings")
struct ChannelBindingTests {
    @Test(
        "both ends have the same binding, and another connection has another",
        arguments: [TLSProtocolVersion.tls12, .tls13], ChannelBinding.allCases)
    func same(version: TLSProtocolVersion, type: ChannelBinding) throws {
        var settings = TLSServerSettings()
        settings.maximumProtocol = version
        let pairs = try (0..<2).map { _ in try Pair(try TestKeys.shared().material("ec"), settings) }
        for pair in pairs {
            #expect(pair.server.channelBinding(type) == nil)
            #expect(pair.handshake().isEstablished)
        }
        let values = pairs.map { $0.server.channelBinding(type) }
        #expect(pairs.map { $0.client.channelBinding(type) } == values)
        switch (type, version) {
        case (.tlsUnique, .tls13): #expect(values == [nil, nil])
        case (.tlsServerEndPoint, _): #expect(values[0] == values[1] && values[0]?.count == 32)
        case (.tlsUnique, _): #expect(values[0] != values[1] && values[0]?.count == 12)
        case (.tlsExporter, _): #expect(values[0] != values[1] && values[0]?.count == 32)
        }
    }

    @Test("the server's end point is the digest of its certificate (RFC 5929 §4)")
    func endPoint() throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        #expect(pair.handshake().isEstablished)
        let certificate = try PEM.certificates(try TestKeys.shared().octets("ec.pem"))[0]
        #expect(pair.server.channelBinding(.tlsServerEndPoint) == certificate.fingerprint?.octets)
    }

    @Test("a resumed session of TLS 1.2 binds by the server's Finished, the same at both ends")
    func resumed() throws {
        var settings = TLSServerSettings()
        settings.maximumProtocol = .tls12
        let context = try TLSServerContext(try TestKeys.shared().material("ec"), settings)
        let clientContext = try TLSClientContext(TLSMaterial(), .init())
        var session: TLSClientSession?
        var values: [[UInt8]?] = []
        for isResumed in [false, true] {
            let client = try TLSConnection(
                client: clientContext, serverName: nil, verification: .none, resuming: session)
            let pair = Pair(try TLSConnection(server: context), client)
            #expect(pair.handshake().isEstablished)
            #expect(pair.server.session?.isResumed == isResumed)
            #expect(pair.server.channelBinding(.tlsUnique) == client.channelBinding(.tlsUnique))
            #expect(pair.server.channelBinding(.tlsExporter) == client.channelBinding(.tlsExporter))
            values.append(pair.server.channelBinding(.tlsUnique))
            session = client.clientSession
        }
        #expect(values[0] != nil && values[1] != nil && values[0] != values[1])
    }

    @Test("without the extended master secret a connection of TLS 1.2 has no binding of its own (RFC 9266 §4.2)")
    func withoutExtendedMasterSecret() throws {
        var settings = TLSServerSettings()
        settings.maximumProtocol = .tls12
        let pair = try Pair(try TestKeys.shared().material("ec"), settings)
        // SSL_OP_NO_EXTENDED_MASTER_SECRET
        SSL_set_options(pair.client.ssl, 1)
        #expect(pair.handshake().isEstablished)
        #expect(pair.server.channelBinding(.tlsUnique) == nil)
        #expect(pair.server.channelBinding(.tlsExporter) == nil)
        #expect(pair.server.channelBinding(.tlsServerEndPoint) != nil)
    }
}
