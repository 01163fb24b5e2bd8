import Testing

@testable import TransportSecurity

@Suite("server names")
struct ServerNameTests {
    @Test(
        "a client gets the certificate of the name it asks for, and the default one otherwise",
        arguments: [
            ("mx.example.test", "ec"), ("mail.example.test", "ec"), ("other.example.test", "other"),
            ("OTHER.example.TEST", "other"), ("mx.other.test", "other"), ("a.wild.test", "wild"), ("wild.test", "ec"),
            ("a.b.wild.test", "ec"), ("foo.part.test", "ec"), ("a.b.inner.test", "ec"), ("cn.example.test", "cn"),
            ("unknown.test", "ec"), (nil, "ec"), ("192.0.2.1", "ec"), ("deep.example.test", "deep"),
        ] as [(String?, String)], [TLSProtocolVersion.tls12, .tls13])
    func selection(row: (String?, String), version: TLSProtocolVersion) throws {
        let keys = try TestKeys.shared()
        var settings = TLSServerSettings()
        settings.maximumProtocol = version
        let material = try keys.material("ec", named: ["other", "wild", "cn", "deep"])
        let pair = try Pair(material, settings, name: row.0)
        #expect(pair.handshake().isEstablished)
        let expected = try PEM.certificates(try keys.octets("\(row.1).pem"))[0].fingerprint
        #expect(pair.client.session?.peer?.fingerprint == expected)
    }

    @Test("certificates of two key types for one name are one context", arguments: [true, false])
    func twoTypes(isRSA: Bool) throws {
        let keys = try TestKeys.shared()
        var settings = TLSClientSettings()
        settings.maximumProtocol = .tls12
        settings.cipherList = isRSA ? "ECDHE-RSA-AES128-GCM-SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256"
        let material = try keys.material("ec", named: ["other", "otherrsa"])
        let pair = try Pair(material, client: TLSMaterial(), settings, name: "other.example.test")
        #expect(pair.handshake().isEstablished)
        let expected = try PEM.certificates(try keys.octets(isRSA ? "otherrsa.pem" : "other.pem"))[0].fingerprint
        #expect(pair.client.session?.peer?.fingerprint == expected)
    }

    @Test("an intermediate certificate that only the CA file has is sent too")
    func chainFromAuthorities() throws {
        let keys = try TestKeys.shared()
        let pair = try Pair(
            try keys.material("deep", authorities: "middle"), client: try keys.material(authorities: "ca"),
            verification: .names(["deep.example.test"]))
        #expect(pair.handshake().isEstablished)
    }

    @Test("rules about clients' certificates hold for each name")
    func clientCertificate() throws {
        let keys = try TestKeys.shared()
        var settings = TLSServerSettings()
        settings.clientCertificates = .require
        let material = try keys.material("ec", named: ["other"], authorities: "ca")
        for (certificate, expected) in [("client", true), ("stranger", false)] {
            let pair = try Pair(material, settings, client: try keys.material(certificate), name: "other.example.test")
            #expect(pair.handshake().isEstablished == expected)
        }
    }
}
