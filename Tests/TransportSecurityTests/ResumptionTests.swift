import COpenSSL
import Testing

@testable import TransportSecurity

@Suite("resumption")
struct ResumptionTests {
    /// The session of a connection to `context`, and what a second one with it to `later` says.
    private func isResumed(
        first: TLSServerContext, later: TLSServerContext, version: TLSProtocolVersion = .tls13,
        verification: (TLSVerification, TLSVerification) = (.none, .none),
        name: (String?, String?) = ("a.test", "a.test"),
        withoutTickets: Bool = false, clientMaterial: TLSMaterial = TLSMaterial()
    ) throws -> (client: TLSSessionInfo, server: TLSSessionInfo) {
        var settings = TLSClientSettings()
        settings.maximumProtocol = version
        let clientContext = try TLSClientContext(clientMaterial, settings)
        func connect(
            _ context: TLSServerContext, _ name: String?, _ verification: TLSVerification, _ session: TLSClientSession?
        ) throws -> Pair {
            let client = try TLSConnection(
                client: clientContext, serverName: name, verification: verification, resuming: session)
            // SSL_OP_NO_TICKET
            if withoutTickets { SSL_set_options(client.ssl, UInt64(1) << 14) }
            let pair = Pair(try TLSConnection(server: context), client)
            try #require(pair.handshake().isEstablished)
            try pair.settle()
            return pair
        }
        let session = try connect(first, name.0, verification.0, nil).client.clientSession
        let pair = try connect(later, name.1, verification.1, session)
        let text = Array("NOOP\r\n".utf8)
        #expect(try pair.send(text, from: pair.client, to: pair.server) == text)
        let server = try #require(pair.server.session)
        let client = try #require(pair.client.session)
        #expect(server.isResumed == client.isResumed)
        return (client, server)
    }

    private func context(
        _ ticketKey: UInt8? = nil, _ material: TLSMaterial? = nil,
        _ change: (inout TLSServerSettings) -> Void = { _ in }
    ) throws -> TLSServerContext {
        var settings = TLSServerSettings()
        change(&settings)
        var material = try material ?? TestKeys.shared().material("ec")
        if let ticketKey { material.ticketKey = [UInt8](repeating: ticketKey, count: 80) }
        return try TLSServerContext(material, settings)
    }

    @Test("a session is resumed with the same context", arguments: [TLSProtocolVersion.tls12, .tls13])
    func sameContext(version: TLSProtocolVersion) throws {
        let context = try context()
        let info = try isResumed(first: context, later: context, version: version)
        #expect(info.server.isResumed)
        #expect(info.server.serverName == "a.test")
        #expect(info.client.peer?.commonName == "mx.example.test")
    }

    @Test(
        "a session is resumed by contexts with the same ticket key and by no others",
        arguments: [TLSProtocolVersion.tls12, .tls13], [(UInt8(1), UInt8(1), true), (1, 2, false)])
    func ticketKeys(version: TLSProtocolVersion, keys: (UInt8, UInt8, Bool)) throws {
        let info = try isResumed(first: try context(keys.0), later: try context(keys.1), version: version)
        #expect(info.server.isResumed == keys.2)
    }

    @Test("contexts that were made without a ticket key do not share sessions")
    func randomKeys() throws {
        #expect(try !isResumed(first: try context(), later: try context()).server.isResumed)
    }

    @Test("resumption can be turned off", arguments: [TLSProtocolVersion.tls12, .tls13])
    func off(version: TLSProtocolVersion) throws {
        let context = try context(1) { $0.isResumptionOn = false }
        #expect(try !isResumed(first: context, later: context, version: version).server.isResumed)
    }

    @Test("a client without tickets is resumed from memory if that is used", arguments: [false, true])
    func cache(isUsed: Bool) throws {
        let context = try context { $0.isSessionCacheUsed = isUsed }
        let info = try isResumed(first: context, later: context, version: .tls12, withoutTickets: true)
        #expect(info.server.isResumed == isUsed)
    }

    @Test("a session made without a client's certificate does not pass where one is required")
    func clientCertificateRules() throws {
        let keys = try TestKeys.shared()
        let material = try keys.material("ec", authorities: "ca")
        let strict = try context(1, material) { $0.clientCertificates = .require }
        let lax = try context(1, material)
        let client = try keys.material("client")
        #expect(try !isResumed(first: lax, later: strict, clientMaterial: client).server.isResumed)
        let info = try isResumed(first: strict, later: strict, clientMaterial: client)
        #expect(info.server.isResumed && info.server.isPeerVerified)
        #expect(info.server.peer?.commonName == "client.example.test")
    }

    @Test("what was wrong with a client's certificate is still known when its session is resumed")
    func askedAndBad() throws {
        let keys = try TestKeys.shared()
        let context = try context(1, try keys.material("ec", authorities: "ca")) { $0.clientCertificates = .ask }
        let info = try isResumed(first: context, later: context, clientMaterial: try keys.material("stranger"))
        #expect(info.server.isResumed && !info.server.isPeerVerified && info.server.verifyError != nil)
    }

    @Test("a client offers a session only to the same name with the same verification")
    func scope() throws {
        let keys = try TestKeys.shared()
        let context = try context(1)
        let client = try keys.material(authorities: "ca")
        let checked = TLSVerification.names(["mx.example.test"])
        for (verification, name, expected) in [
            ((checked, checked), ("mx.example.test", "mx.example.test"), true),
            ((.none, checked), ("mx.example.test", "mx.example.test"), false),
            ((checked, checked), ("mx.example.test", "mail.example.test"), false),
        ] as [((TLSVerification, TLSVerification), (String, String), Bool)] {
            let info = try isResumed(
                first: context, later: context, verification: verification, name: (name.0, name.1),
                clientMaterial: client)
            #expect(info.client.isResumed == expected)
            #expect(info.client.isPeerVerified)
        }
    }

    @Test("an opportunistic session stays unverified when it is resumed")
    func unverified() throws {
        let context = try context(1)
        let info = try isResumed(first: context, later: context)
        #expect(info.client.isResumed && !info.client.isPeerVerified && info.client.verifyError != nil)
    }
}
