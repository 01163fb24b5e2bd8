import Testing

@testable import TransportSecurity

@Suite("certificate checks")
struct CertificateCheckTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let certificate: String
        var authorities: String? = "ca"
        let verification: TLSVerification
        /// What the client says: the handshake's error, or what an opportunistic one notes; `nil`: all is well.
        var error: String?
        var testDescription: String { "\(certificate) \(verification)" }
    }

    private static let rows = [
        Row(certificate: "ec", verification: .names(["mx.example.test"])),
        Row(certificate: "ec", verification: .names(["MX.example.TEST."])),
        Row(certificate: "ec", verification: .names(["nobody.test", "mail.example.test"])),
        Row(certificate: "ec", verification: .names(["192.0.2.25"])),
        Row(certificate: "ec", verification: .names(["192.0.2.26"]), error: "hostname mismatch"),
        Row(certificate: "ec", verification: .names(["example.test"]), error: "hostname mismatch"),
        // A dot in front: all names below.
        Row(certificate: "ec", verification: .names([".example.test"])),
        Row(certificate: "wild", verification: .names([".wild.test"])),
        Row(certificate: "ec", verification: .names([".mx.example.test"]), error: "hostname mismatch"),
        Row(certificate: "ec", verification: .names([".", "..test", ".xample.test"]), error: "hostname mismatch"),
        Row(certificate: "ec", verification: .names([]), error: "hostname mismatch"),
        Row(
            certificate: "ec", authorities: nil, verification: .names(["mx.example.test"]),
            error: "unable to get local issuer certificate"),
        Row(certificate: "stranger", verification: .names(["mx.example.test"]), error: "self-signed certificate"),
        Row(certificate: "ended", verification: .names(["ended.example.test"]), error: "certificate has expired"),
        Row(certificate: "wild", verification: .names(["a.wild.test"])),
        Row(certificate: "wild", verification: .names(["wild.test"]), error: "hostname mismatch"),
        Row(certificate: "wild", verification: .names(["a.b.wild.test"]), error: "hostname mismatch"),
        Row(certificate: "wild", verification: .names(["foo.part.test"]), error: "hostname mismatch"),
        Row(certificate: "wild", verification: .names(["a.b.inner.test"]), error: "hostname mismatch"),
        Row(certificate: "cn", verification: .names(["cn.example.test"])),
        // Where there are dNSNames the CN does not count (RFC 6125 §6.4.4).
        Row(certificate: "wild", verification: .names(["wild"]), error: "hostname mismatch"),
        Row(certificate: "deep", verification: .names(["deep.example.test"]), error: "unable to get local issuer"),
        Row(certificate: "fullchain", verification: .names(["deep.example.test"])),
        Row(certificate: "stranger", authorities: "stranger", verification: .names(["mx.example.test"])),
    ]

    private func material(_ certificate: String) throws -> TLSMaterial {
        try TestKeys.shared().material(certificate, key: certificate == "fullchain" ? "deep" : nil)
    }

    @Test("a server's certificate passes, or the handshake fails and the server is told", arguments: rows)
    func enforced(row: Row) throws {
        let pair = try Pair(
            try material(row.certificate), client: try TestKeys.shared().material(authorities: row.authorities),
            verification: row.verification)
        let outcome = pair.handshake()
        if let error = row.error {
            let failure = try #require(outcome.client.failure)
            #expect(failure.kind == .verification)
            #expect(failure.description.hasPrefix("certificate verify failed: \(error)"))
            #expect(pair.client.session == nil)
            guard case .alert = outcome.server.failure?.kind else {
                Issue.record("the server was not told: \(outcome.server)")
                return
            }
        } else {
            #expect(outcome.isEstablished)
            #expect(pair.client.session?.isPeerVerified == true)
        }
    }

    @Test("an opportunistic client goes on and says the same", arguments: rows)
    func opportunistic(row: Row) throws {
        guard case .names(let names) = row.verification, !names.isEmpty else { return }
        let pair = try Pair(
            try material(row.certificate), client: try TestKeys.shared().material(authorities: row.authorities),
            verification: .opportunistic(names: names))
        #expect(pair.handshake().isEstablished)
        let info = try #require(pair.client.session)
        #expect(info.isPeerVerified == (row.error == nil))
        #expect(info.verifyError.map { $0.hasPrefix(row.error ?? "nothing") } ?? (row.error == nil))
    }

    @Test("a fingerprint decides alone", arguments: [("stranger", true), ("ended", true), ("ec", false)])
    func fingerprints(certificate: String, isKnown: Bool) throws {
        let keys = try TestKeys.shared()
        var known: Set<TLSFingerprint> = []
        for name in ["stranger", "ended"] {
            known.insert(try #require(try PEM.certificates(try keys.octets("\(name).pem"))[0].fingerprint))
        }
        let pair = try Pair(
            try keys.material(certificate), client: try keys.material(authorities: "ca"),
            verification: .fingerprints(known))
        let outcome = pair.handshake()
        #expect(outcome.isEstablished == isKnown)
        #expect(isKnown || outcome.client.failure?.kind == .verification)
        #expect(!isKnown || pair.client.session?.isPeerVerified == true)
    }

    @Test("the system's certificates do not vouch for a stranger")
    func systemStore() throws {
        var settings = TLSClientSettings()
        settings.isSystemStoreTrusted = true
        let pair = try Pair(
            try material("ec"), client: TLSMaterial(), settings, verification: .names(["mx.example.test"]))
        #expect(pair.handshake().client.failure?.kind == .verification)
    }

    @Test("certificates in a folder under their hashes are trusted")
    func folder() throws {
        try withTemporaryFolder { folder in
            try TestKeys.shared().write("ca.pem", to: folder)
            try openssl("rehash", folder, in: folder)
            var settings = TLSClientSettings()
            settings.authoritiesFolder = folder
            let pair = try Pair(
                try material("ec"), client: TLSMaterial(), settings, verification: .names(["mx.example.test"]))
            #expect(pair.handshake().isEstablished)
        }
    }

    typealias Mode = TLSServerSettings.ClientCertificates

    @Test(
        "a client's certificate is asked for as the settings say",
        arguments: [
            (Mode.none, "client", nil, nil), (.ask, nil, nil, nil), (.ask, "client", "client.example.test", nil),
            (.ask, "stranger", "mx.example.test", "self-signed certificate"),
            (.require, "client", "client.example.test", nil),
            (.require, nil, nil, "peer did not return a certificate"),
            (.require, "stranger", nil, "certificate verify failed: self-signed certificate"),
            (.require, "ended", nil, "certificate verify failed: certificate has expired"),
        ] as [(Mode, String?, String?, String?)], [TLSProtocolVersion.tls12, .tls13])
    func clientCertificates(row: (Mode, String?, String?, String?), version: TLSProtocolVersion) throws {
        let (mode, certificate, commonName, error) = row
        var settings = TLSServerSettings()
        settings.clientCertificates = mode
        settings.maximumProtocol = version
        let keys = try TestKeys.shared()
        let pair = try Pair(
            try keys.material("ec", authorities: "ca"), settings, client: try keys.material(certificate))
        let outcome = pair.handshake()
        if mode == .require, let error {
            #expect(outcome.server.failure?.kind == .verification)
            #expect(outcome.server.failure?.description == error)
            return
        }
        #expect(outcome.isEstablished)
        let info = try #require(pair.server.session)
        #expect(info.peer?.commonName == commonName)
        #expect(info.isPeerVerified == (commonName != nil && error == nil))
        #expect(info.verifyError == error)
    }
}
