import COpenSSL
import Testing

@testable import TransportSecurity

@Suite("handshake")
struct HandshakeTests {
    /// A kind of key, the versions that can use it, and the cipher list that the client needs for it.
    private static let kinds: [(certificate: String, version: TLSProtocolVersion, ciphers: String?)] = [
        ("ec", .tls12, nil), ("ec", .tls13, nil), ("rsa", .tls12, nil), ("rsa", .tls13, nil),
        ("ed", .tls12, nil), ("ed", .tls13, nil), ("dsa", .tls12, "DHE-DSS-AES128-GCM-SHA256"),
    ]

    @Test("both ends agree and exchange octets with each kind of key, however the octets are split", arguments: kinds)
    func keys(certificate: String, version: TLSProtocolVersion, ciphers: String?) throws {
        let keys = try TestKeys.shared()
        var settings = TLSServerSettings()
        settings.maximumProtocol = version
        var clientSettings = TLSClientSettings()
        clientSettings.cipherList = ciphers
        for step in [1, 7, 1000, Int.max] {
            let pair = try Pair(
                try keys.material(certificate), settings, client: try keys.material(authorities: "ca"), clientSettings,
                verification: .names(["mx.example.test"]), step: step)
            #expect(pair.handshake().isEstablished)
            let text = Array("EHLO client.example.test\r\n".utf8)
            #expect(try pair.send(text, from: pair.client, to: pair.server) == text)
            #expect(try pair.send(text, from: pair.server, to: pair.client) == text)
            let info = try #require(pair.server.session)
            #expect(info.protocolName == version.description)
            #expect(info.serverName == "mx.example.test")
            #expect(info.secretBits >= 128)
            #expect(info.peer == nil && !info.isPeerVerified && !info.isResumed)
            let clientInfo = try #require(pair.client.session)
            #expect(clientInfo.cipher == info.cipher)
            #expect(clientInfo.isPeerVerified && clientInfo.verifyError == nil)
            #expect(clientInfo.peer?.commonName == "mx.example.test")
            #expect(clientInfo.peer?.subject == "CN=mx.example.test,O=Tests")
            #expect(clientInfo.peer?.issuer == "CN=Test CA,O=Tests")
        }
    }

    @Test(
        "of two certificates the one is shown that the client can use",
        arguments: [
            ("rsa", "ec", "ECDHE-ECDSA-AES128-GCM-SHA256", "EC prime256v1"),
            ("rsa", "ec", "ECDHE-RSA-AES128-GCM-SHA256", "RSA 2048"),
            ("rsa", "dsa", "DHE-DSS-AES128-GCM-SHA256", "DSA 2048"),
            ("rsa", "dsa", "DHE-RSA-AES128-GCM-SHA256", "RSA 2048"),
        ])
    func twoCertificates(first: String, second: String, ciphers: String, keyType: String) throws {
        var clientSettings = TLSClientSettings()
        clientSettings.cipherList = ciphers
        clientSettings.maximumProtocol = .tls12
        let keys = try TestKeys.shared()
        let pair = try Pair(try keys.material(first, second: second), client: TLSMaterial(), clientSettings)
        #expect(pair.handshake().isEstablished)
        let shown = try #require(pair.client.session?.peer?.fingerprint)
        let expected = try PEM.certificates(
            try keys.octets(keyType.hasPrefix("RSA") ? "\(first).pem" : "\(second).pem"))
        #expect(expected[0].fingerprint == shown)
        #expect(expected[0].keyType == keyType)
    }

    @Test("DH parameters of the operator are used if they are strong enough", arguments: ["dh2048", "dh512"])
    func dhParameters(file: String) throws {
        let keys = try TestKeys.shared()
        var material = try keys.material("rsa")
        material.dhParameters = [TLSMaterial.Text(file: file, octets: try keys.octets(file))]
        var clientSettings = TLSClientSettings()
        clientSettings.cipherList = "DHE-RSA-AES128-GCM-SHA256"
        clientSettings.maximumProtocol = .tls12
        let pair = try Pair(material, client: TLSMaterial(), clientSettings)
        #expect(pair.handshake().isEstablished)
    }

    @Test("an old protocol is refused with an alert", arguments: [TLSProtocolVersion.tls10, .tls11])
    func oldProtocol(version: TLSProtocolVersion) throws {
        var clientSettings = TLSClientSettings()
        clientSettings.minimumProtocol = .tls10
        clientSettings.maximumProtocol = version
        let pair = try Pair(try TestKeys.shared().material("ec"), client: TLSMaterial(), clientSettings)
        let outcome = pair.handshake()
        #expect(outcome.server.failure?.kind == .protocolError)
        #expect(outcome.server.failure?.description == "unsupported protocol")
        // protocol_version, RFC 8446 §6.
        #expect(outcome.client.failure?.kind == .alert(70))
        #expect(pair.server.session == nil)
    }

    @Test(
        "an old protocol is spoken if it is asked for", arguments: [TLSProtocolVersion.tls10, .tls11], ["ec", "rsa"])
    func oldProtocolAllowed(version: TLSProtocolVersion, certificate: String) throws {
        var settings = TLSServerSettings()
        settings.minimumProtocol = .tls10
        var clientSettings = TLSClientSettings()
        clientSettings.minimumProtocol = .tls10
        clientSettings.maximumProtocol = version
        let pair = try Pair(
            try TestKeys.shared().material(certificate), settings, client: TLSMaterial(), clientSettings)
        #expect(pair.handshake().isEstablished)
        #expect(pair.server.session?.protocolName == version.description)
    }

    @Test("ends without a common cipher do not agree, and the client is told")
    func noCommonCipher() throws {
        var clientSettings = TLSClientSettings()
        clientSettings.cipherList = "AES128-SHA"
        clientSettings.maximumProtocol = .tls12
        let pair = try Pair(try TestKeys.shared().material("ec"), client: TLSMaterial(), clientSettings)
        let outcome = pair.handshake()
        #expect(outcome.server.failure?.description == "no shared cipher")
        #expect(outcome.client.failure?.kind == .alert(40))
    }

    /// What the host of a server asks before it takes the next octets on its event loop.
    @Test(
        "only the client's last word of TLS 1.3, with no certificate asked for, is said to cost nothing",
        arguments: [
            ("X25519", TLSProtocolVersion.tls13, false, [false, true]),
            // HelloRetryRequest: the second ClientHello is where the server calculates.
            ("X448:P-256", .tls13, false, [false, false, true]), ("X25519", .tls13, true, [false, false]),
            ("X25519:P-256", .tls12, false, [false, false]),
        ])
    func confirmation(groups: String, version: TLSProtocolVersion, asks: Bool, expected: [Bool]) throws {
        var settings = TLSServerSettings()
        settings.clientCertificates = asks ? .ask : .none
        var clientSettings = TLSClientSettings()
        clientSettings.maximumProtocol = version
        let pair = try Pair(
            try TestKeys.shared().material("ec"), settings, client: TLSMaterial(), clientSettings)
        let setGroupsList: Int32 = 92
        var names = Array(groups.utf8CString)
        #expect(SSL_ctrl(pair.client.ssl, setGroupsList, 0, &names) == 1)
        var said: [Bool] = []
        var isDone = false
        while !isDone, said.count < 5 {
            _ = try pair.client.handshake()
            let octets = pair.client.takeOutput()
            said.append(pair.server.awaitsConfirmation)
            try octets.withUnsafeBytes { try pair.server.receive($0) }
            isDone = try pair.server.handshake() == .established
            let answer = pair.server.takeOutput()
            try answer.withUnsafeBytes { try pair.client.receive($0) }
        }
        #expect(said == expected)
        #expect(!pair.server.awaitsConfirmation)
    }

    @Test("an idle client gets no answer and the server waits")
    func idle() throws {
        let server = try TLSConnection(server: try TLSServerContext(try TestKeys.shared().material("ec"), .init()))
        #expect(try server.handshake() == .needInput)
        #expect(!server.hasOutput)
        #expect(server.session == nil)
    }

    @Test("a call before the end of the handshake is refused and does no harm")
    func tooEarly() throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        #expect(throws: TLSFailure.self) { try pair.server.write([1]) }
        #expect(throws: TLSFailure.self) { try pair.server.read() }
        pair.server.close()
        #expect(!pair.server.hasOutput)
        #expect(pair.handshake().isEstablished)
    }
}

extension Result {
    var failure: Failure? {
        guard case .failure(let failure) = self else { return nil }
        return failure
    }
}
