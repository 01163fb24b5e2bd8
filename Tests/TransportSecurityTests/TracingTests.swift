import Testing

@testable import TransportSecurity

@Suite("trace")
struct TracingTests {
    private final class Lines {
        var all: [String] = []
    }

    private func lines(_ level: TLSTrace.Level?, _ use: (Pair) throws -> Void) throws -> [String] {
        let lines = Lines()
        let trace = level.map { TLSTrace(level: $0) { lines.all.append($0) } }
        let server = try TLSConnection(
            server: try TLSServerContext(try TestKeys.shared().material("ec"), .init()), trace: trace)
        let client = try TLSConnection(
            client: try TLSClientContext(TLSMaterial(), .init()), serverName: nil, verification: .none)
        try use(Pair(server, client))
        return lines.all
    }

    private func talk(_ pair: Pair) throws {
        #expect(pair.handshake().isEstablished)
        let text = Array("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n".utf8)
        #expect(try pair.send(text, from: pair.client, to: pair.server) == text)
    }

    @Test(
        "each level tells more, and none what is said inside",
        arguments: [TLSTrace.Level.negotiation, .handshakeDump, .wireDump])
    func levels(level: TLSTrace.Level) throws {
        let lines = try lines(level, talk)
        let all = lines.joined(separator: "\n")
        #expect(lines.contains("TLS accept: SSLv3/TLS write server hello"))
        #expect(lines.contains("TLS accept: handshake done"))
        #expect(all.contains("received handshake message") == (level >= .handshakeDump))
        // The subject of the certificate, in the text column of a dump of what TLS 1.3 encrypts.
        #expect(all.contains("Test CA") == (level >= .handshakeDump))
        #expect(all.contains("received on the wire") == (level >= .wireDump))
        #expect(!all.contains("AUTH") && !all.contains("41 55 54 48"))
        #expect(lines.allSatisfy { $0.utf8.count < 120 })
    }

    @Test("an alert is told")
    func alert() throws {
        let lines = try lines(.negotiation) { pair in
            try pair.server.receive(Array("EHLO client.example.test\r\n".utf8))
            #expect(throws: TLSFailure.self) { try pair.server.handshake() }
        }
        #expect(lines.last == "TLS accept: failed: wrong version number")
    }

    @Test("a dump shows octets in both forms and is bounded")
    func dump() {
        let lines = Lines()
        let trace = TLSTrace(level: .wireDump) { lines.all.append($0) }
        let octets = Array("abcdefghijklmnop\r\nA".utf8) + [0xff]
        octets.withUnsafeBytes { Tracing.dump($0, "sent", to: trace) }
        #expect(
            lines.all == [
                "TLS sent, 20 octets", "0000 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70  abcdefghijklmnop",
                "0010 0d 0a 41 ff                                      ..A.",
            ])
        lines.all = []
        [UInt8](repeating: 0, count: 100_000).withUnsafeBytes { Tracing.dump($0, "sent", to: trace) }
        #expect(lines.all.count == Tracing.dumpLimit / 16 + 2)
        #expect(lines.all.last == "… 83104 octets more")
    }
}
