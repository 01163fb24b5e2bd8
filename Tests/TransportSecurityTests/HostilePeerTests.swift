import COpenSSL
import Testing

@testable import TransportSecurity

@Suite("hostile peer")
struct HostilePeerTests {
    private static let noHandshakes: [[UInt8]] = [
        Array("EHLO client.example.test\r\n".utf8), Array("GET / HTTP/1.0\r\n\r\n".utf8),
        [UInt8](repeating: 0, count: 600), [UInt8](repeating: 0xff, count: 600),
        // A record of a length that none may have, a fatal alert, application data before any handshake.
        [22, 3, 1, 0xff, 0xff] + [UInt8](repeating: 1, count: 100), [21, 3, 1, 0, 2, 2, 40],
        [23, 3, 3, 0, 4, 1, 2, 3, 4],
        // A handshake message that announces 16 MiB.
        [22, 3, 1, 0, 8, 1, 0xff, 0xff, 0xff, 3, 3, 0, 0],
    ]

    @Test("what is no handshake is refused, and the connection is of no use afterwards", arguments: noHandshakes)
    func noHandshake(octets: [UInt8]) throws {
        for step in [1, Int.max] {
            let server = try TLSConnection(server: try TLSServerContext(try TestKeys.shared().material("ec"), .init()))
            var failure: TLSFailure?
            var rest = octets[...]
            while !rest.isEmpty, failure == nil {
                let piece = Array(rest.prefix(step))
                rest = rest.dropFirst(piece.count)
                do throws(TLSFailure) {
                    try server.receive(piece)
                    _ = try server.handshake()
                } catch {
                    failure = error
                }
            }
            let first = try #require(failure)
            #expect(first.kind != .misuse && first.kind != .configuration)
            #expect(!first.description.isEmpty && !first.description.contains("\n"))
            #expect(throws: first) { try server.handshake() }
            #expect(throws: first) { try server.receive([1]) }
            #expect(throws: first) { try server.read() }
            #expect(throws: first) { try server.write([1]) }
            #expect(server.session == nil)
            #expect(server.takeOutput().count < 100)
            server.close()
            #expect(!server.hasOutput)
        }
    }

    @Test("clear text after the handshake breaks the connection; what came before it is delivered")
    func injected() throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        #expect(pair.handshake().isEstablished)
        try pair.client.write(Array("NOOP\r\n".utf8))
        try pair.server.receive(pair.client.takeOutput() + Array("MAIL FROM:<>\r\n".utf8))
        #expect(try pair.server.read() == Array("NOOP\r\n".utf8))
        #expect(throws: TLSFailure.self) { try pair.server.read() }
        #expect(throws: TLSFailure.self) { try pair.server.write([1]) }
        #expect(pair.server.hasOutput)
    }

    @Test("an octet that was changed on the way breaks the connection", arguments: [TLSProtocolVersion.tls12, .tls13])
    func changed(version: TLSProtocolVersion) throws {
        var settings = TLSServerSettings()
        settings.maximumProtocol = version
        let pair = try Pair(try TestKeys.shared().material("ec"), settings)
        #expect(pair.handshake().isEstablished)
        try pair.client.write(Array("RCPT TO:<alice@example.test>\r\n".utf8))
        var octets = pair.client.takeOutput()
        octets[octets.count - 3] ^= 1
        try pair.server.receive(octets)
        #expect(throws: TLSFailure.self) { try pair.server.read() }
    }

    @Test("a replayed record breaks the connection")
    func replayed() throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        #expect(pair.handshake().isEstablished)
        try pair.client.write([1, 2, 3])
        let octets = pair.client.takeOutput()
        try pair.server.receive(octets + octets)
        #expect(try pair.server.read() == [1, 2, 3])
        #expect(throws: TLSFailure.self) { try pair.server.read() }
    }

    @Test("a record that is too long is refused")
    func longRecord() throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        #expect(pair.handshake().isEstablished)
        try pair.server.receive([23, 3, 3, 0x48, 0x00] + [UInt8](repeating: 0, count: 0x4800))
        #expect(throws: TLSFailure.self) { try pair.server.read() }
    }

    @Test("an end without close_notify is told from one with it", arguments: [false, true])
    func truncated(isInHandshake: Bool) throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        if isInHandshake {
            _ = try pair.client.handshake()
            try pair.server.receive(Array(pair.client.takeOutput().dropLast(10)))
            #expect(try pair.server.handshake() == .needInput)
            pair.server.receiveEnd()
            let failure = #expect(throws: TLSFailure.self) { try pair.server.handshake() }
            #expect(failure?.kind == .truncated)
            return
        }
        #expect(pair.handshake().isEstablished)
        try pair.client.write(Array("QUIT\r\n".utf8))
        try pair.server.receive(pair.client.takeOutput() + [23, 3, 3])
        pair.server.receiveEnd()
        #expect(try pair.server.read() == Array("QUIT\r\n".utf8))
        let failure = #expect(throws: TLSFailure.self) { try pair.server.read() }
        #expect(failure?.kind == .truncated)
        #expect(!pair.server.isClosedByPeer)
    }

    @Test("close_notify ends one direction; the other goes on")
    func closing() throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        #expect(pair.handshake().isEstablished)
        try pair.client.write(Array("QUIT\r\n".utf8))
        pair.client.close()
        pair.client.close()
        #expect(throws: TLSFailure.self) { try pair.client.write([1]) }
        try pair.server.receive(pair.client.takeOutput())
        pair.server.receiveEnd()
        #expect(try pair.server.read() == Array("QUIT\r\n".utf8))
        #expect(pair.server.isClosedByPeer)
        #expect(try pair.server.read() == [])
        #expect(try pair.server.handshake() == .closed)
        try pair.server.write(Array("221\r\n".utf8))
        pair.server.close()
        try pair.client.receive(pair.server.takeOutput())
        #expect(try pair.client.readAll() == Array("221\r\n".utf8))
        #expect(pair.client.isClosedByPeer)
    }

    @Test("close_notify in the midst of a handshake closes")
    func closedInHandshake() throws {
        var settings = TLSServerSettings()
        settings.maximumProtocol = .tls12
        let pair = try Pair(try TestKeys.shared().material("ec"), settings)
        _ = try pair.client.handshake()
        try pair.server.receive(pair.client.takeOutput())
        #expect(try pair.server.handshake() == .needInput)
        try pair.server.receive([21, 3, 3, 0, 2, 1, 0])
        #expect(try pair.server.handshake() == .closed)
        #expect(pair.server.isClosedByPeer)
        #expect(try pair.server.handshake() == .closed)
        #expect(throws: TLSFailure.self) { try pair.server.write([1]) }
    }

    @Test("three million octets go through in pieces of any size", arguments: [1000, 16_384, 400_000])
    func large(step: Int) throws {
        let pair = try Pair(try TestKeys.shared().material("ec"), step: step)
        #expect(pair.handshake().isEstablished)
        let text = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        #expect(try pair.send(text, from: pair.client, to: pair.server) == text)
    }

    @Test("more than a million octets that nobody reads are refused")
    func unread() throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        #expect(pair.handshake().isEstablished)
        let limit = TLSConnection.maximumPendingInput
        try pair.client.write([UInt8](repeating: 1, count: limit))
        let octets = pair.client.takeOutput()
        try pair.server.receive(Array(octets[..<limit]))
        let failure = #expect(throws: TLSFailure.self) { try pair.server.receive(Array(octets[limit...])) }
        #expect(failure?.kind == .misuse)
        _ = try pair.server.readAll()
        try pair.server.receive(Array(octets[limit...]))
        #expect(try !pair.server.readAll().isEmpty)
    }

    @Test("renegotiation is refused and the connection goes on")
    func renegotiation() throws {
        var settings = TLSServerSettings()
        settings.maximumProtocol = .tls12
        let pair = try Pair(try TestKeys.shared().material("ec"), settings)
        #expect(pair.handshake().isEstablished)
        // SSL_OP_NO_RENEGOTIATION
        SSL_clear_options(pair.client.ssl, UInt64(1) << 30)
        try #require(SSL_renegotiate(pair.client.ssl) == 1)
        _ = SSL_do_handshake(pair.client.ssl)
        ERR_clear_error()
        let octets = pair.client.takeOutput()
        #expect(!octets.isEmpty)
        try pair.server.receive(octets)
        #expect(try pair.server.read() == [])
        let answer = pair.server.takeOutput()
        // One record: a warning.
        #expect(answer.first == 21 && answer.count < 60)
        try pair.server.write(Array("250\r\n".utf8))
        #expect(pair.server.hasOutput)
    }

    @Test("a peer that wants new keys gets them; one that wants them without end and takes no answer is dropped")
    func keyUpdates() throws {
        let pair = try Pair(try TestKeys.shared().material("ec"))
        #expect(pair.handshake().isEstablished)
        func requests(_ count: Int) throws -> [UInt8] {
            for _ in 0..<count {
                try #require(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
                try #require(SSL_do_handshake(pair.client.ssl) == 1)
            }
            return pair.client.takeOutput()
        }
        try pair.server.receive(try requests(3))
        #expect(try pair.server.read() == [])
        #expect(try pair.send([7, 8], from: pair.server, to: pair.client) == [7, 8])
        #expect(try pair.send([7, 8], from: pair.client, to: pair.server) == [7, 8])
        var failure: TLSFailure?
        for _ in 0..<100 where failure == nil {
            let octets = try requests(200)
            do throws(TLSFailure) {
                try pair.server.receive(octets)
                _ = try pair.server.read()
            } catch {
                failure = error
            }
        }
        #expect(failure?.description == "the peer makes us answer more than 262144 octets")
        #expect(pair.server.takeOutput().count <= 262_144)
    }
}
