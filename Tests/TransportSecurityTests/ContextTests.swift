import Testing

@testable import TransportSecurity

@Suite("contexts")
struct ContextTests {
    struct Bad: Sendable, CustomTestStringConvertible {
        var certificate: String? = "ec"
        var second: String?
        var change: @Sendable (inout TLSServerSettings) -> Void = { _ in }
        let error: String
        var testDescription: String { error }
    }

    private static let bad = [
        Bad(certificate: nil, error: "a server needs a certificate and its key"),
        Bad(change: { $0.cipherList = "NONSENSE" }, error: "cipher list \"NONSENSE\": no cipher match"),
        Bad(change: { $0.cipherSuites = "NONSENSE" }, error: "TLS 1.3 cipher suites \"NONSENSE\": "),
        Bad(change: { $0.maximumProtocol = .tls11 }, error: "protocols from TLSv1.2 to TLSv1.1 are none"),
        Bad(certificate: "small", error: "small.pem: the certificate cannot be used: ee key too small"),
        Bad(
            certificate: "ec", second: "other",
            error: "other.pem: the second certificate's key must be of another type than the first one's, EC prime256v1"
        ),
    ]

    @Test("bad settings are refused with what is wrong", arguments: bad)
    func badSettings(row: Bad) throws {
        var settings = TLSServerSettings()
        row.change(&settings)
        let material = try TestKeys.shared().material(row.certificate, second: row.second)
        let failure = try #require(throws: TLSFailure.self) { try TLSServerContext(material, settings) }
        #expect(failure.kind == .configuration)
        #expect(failure.description.hasPrefix(row.error))
    }

    @Test("a context tells of its certificates")
    func summaries() throws {
        let context = try TLSServerContext(
            try TestKeys.shared().material("ec", second: "rsa", named: ["ended"]), .init())
        #expect(context.summaries.count == 3)
        let prefix = "ec.pem: CN=mx.example.test,O=Tests, for mx.example.test, mail.example.test, issued by "
        #expect(context.summaries[0].hasPrefix(prefix + "CN=Test CA,O=Tests, EC prime256v1, until 20"))
        #expect(context.summaries[1].contains("RSA 2048"))
        let ended = try PEM.certificates(try TestKeys.shared().octets("ended.pem"))[0]
        #expect(context.notAfter == ended.notAfter)
    }

    @Test("connections outlive the context that was replaced")
    func replaced() throws {
        let keys = try TestKeys.shared()
        var context: TLSServerContext? = try TLSServerContext(try keys.material("ec", named: ["other"]), .init())
        weak let old = context
        let pair = Pair(
            try TLSConnection(server: try #require(context)),
            try TLSConnection(
                client: try TLSClientContext(TLSMaterial(), .init()), serverName: "other.example.test",
                verification: .none))
        context = nil
        #expect(old != nil)
        #expect(pair.handshake().isEstablished)
        #expect(try pair.send([1, 2], from: pair.client, to: pair.server) == [1, 2])
    }

    @Test("threads share a context, each with connections of its own")
    func threads() async throws {
        let keys = try TestKeys.shared()
        var settings = TLSServerSettings()
        settings.isSessionCacheUsed = true
        let server = try TLSServerContext(try keys.material("ec", second: "rsa", named: ["other"]), settings)
        let client = try TLSClientContext(try keys.material(authorities: "ca"), .init())
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<4 {
                group.addTask {
                    let name = number % 2 == 0 ? "other.example.test" : "mx.example.test"
                    var session: TLSClientSession?
                    var resumed = 0
                    for _ in 0..<10 {
                        let end = try TLSConnection(
                            client: client, serverName: name, verification: .names([name]), resuming: session)
                        let pair = Pair(try TLSConnection(server: server), end)
                        guard pair.handshake().isEstablished else { continue }
                        try pair.settle()
                        if end.session?.isResumed == true { resumed += 1 }
                        session = end.clientSession
                    }
                    return resumed
                }
            }
            for try await resumed in group { #expect(resumed == 9) }
        }
    }

    @Test("a protocol's name is read in any case")
    func protocols() {
        #expect(TLSProtocolVersion("TLSv1.2") == .tls12 && TLSProtocolVersion("tlsv1") == .tls10)
        #expect(TLSProtocolVersion("SSLv3") == nil && TLSProtocolVersion("") == nil)
        for version in TLSProtocolVersion.allCases { #expect(TLSProtocolVersion(version.description) == version) }
    }

    @Test("a fingerprint is read with and without colons, and nothing else is one")
    func fingerprints() throws {
        let octets = (0..<32).map { UInt8($0 * 7) }
        let fingerprint = try #require(TLSFingerprint(octets: octets))
        let text = fingerprint.description
        #expect(text.hasPrefix("00:07:0E:"))
        #expect(TLSFingerprint(text) == fingerprint)
        #expect(TLSFingerprint(text.filter { $0 != ":" }.lowercased()) == fingerprint)
        for bad in [
            "", "00", text + ":", ":" + text, text + ":00", String(text.dropLast()), "0:" + text.dropFirst(2),
            text + " ",
        ] {
            #expect(TLSFingerprint(bad) == nil, "\(bad)")
        }
        #expect(TLSFingerprint(octets: [1]) == nil)
    }

    @Test("what a log gets is one line of bounded length")
    func logText() {
        #expect(TLSFailure(.misuse, file: "a\nb", "c\r\nd").description == "a b: c  d")
        #expect(LogText.line("aäb", limit: 2) == "a…")
        #expect(LogText.line("aäb", limit: 3) == "aä…")
        #expect(LogText.line("aäb", limit: 4) == "aäb")
    }
}
