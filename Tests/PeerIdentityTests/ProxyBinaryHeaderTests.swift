import MailModel
import Testing

@testable import PeerIdentity

@Suite("PROXY protocol, version 2")
struct ProxyBinaryHeaderTests {
    private static func v4(_ authority: String? = nil, _ tls: ProxiedTLS? = nil) throws -> ProxyHeader {
        .proxied(
            ProxiedConnection(
                source: try endpoint("192.0.2.1", 56324), destination: try endpoint("192.0.2.25", 25),
                authority: authority, tls: tls))
    }

    @Test("addresses of both families; what stands behind the header stays")
    func addresses() throws {
        let octets = binary()
        let (result, consumed) = decode([octets + [1, 2, 3]])
        #expect(result == .header(try Self.v4()))
        #expect(consumed == octets.count)
        let six = ProxyHeader.proxied(
            ProxiedConnection(
                source: try endpoint("2001:db8::1", 56324), destination: try endpoint("2001:db8::25", 465)))
        #expect(decode([binary(family: 0x21, addresses: Binary.v6)]).result == .header(six))
    }

    @Test(
        "a connection of the proxy's own, whatever else it says",
        arguments: [
            binary(versionAndCommand: 0x20, family: 0, addresses: []), binary(versionAndCommand: 0x20),
            binary(versionAndCommand: 0x20, family: 0x21, addresses: [1, 2, 3]),
        ])
    func local(octets: [UInt8]) {
        let (result, consumed) = decode([octets + [9]])
        #expect(result == .header(.local))
        #expect(consumed == octets.count)
    }

    @Test(
        "kinds of connection that are not TCP",
        arguments: [0x00, 0x01, 0x10, 0x12, 0x22, 0x20, 0x31, 0x32, 0x30] as [UInt8])
    func unknown(family: UInt8) {
        #expect(decode([binary(family: family)]).result == .header(.unknown))
        #expect(decode([binary(family: family, addresses: [])]).result == .header(.unknown))
    }

    @Test(
        "headers that are none",
        arguments: [
            (binary(versionAndCommand: 0x11), .unsupportedVersion(1), 13),
            (binary(versionAndCommand: 0x31), .unsupportedVersion(3), 13),
            (binary(versionAndCommand: 0x22), .unknownCommand(2), 13), (binary(family: 0x41), .unknownFamily(0x41), 14),
            (binary(family: 0x13), .unknownFamily(0x13), 14),
            (binary(addresses: Array(Binary.v4.dropLast())), .noAddresses(0x11), 27),
            (binary(family: 0x21, addresses: Binary.v4), .noAddresses(0x21), 28),
            (binary(addresses: []), .noAddresses(0x11), 16),
            (binary(vectors: [2]), .malformedVector(2), 29), (binary(vectors: [4, 0]), .malformedVector(4), 30),
            (binary(vectors: [4, 0, 2, 0]), .malformedVector(4), 32),
            (binary(vectors: [0xee, 0xff, 0xff]), .malformedVector(0xee), 31),
            (binary(vectors: vector(3, [0, 0, 0])), .malformedVector(3), 34),
            (binary(vectors: vector(3, [0, 0, 0, 0])), .wrongChecksum, 35),
            (binary(vectors: vector(2, [65]) + vector(2, [65])), .repeatedVector(2), 36),
            (binary(vectors: vector(0x20, [1, 0, 0, 0])), .malformedVector(0x20), 35),
            (binary(vectors: vector(0x20, [1, 0, 0, 0, 0, 0x21])), .malformedVector(0x21), 37),
            (
                binary(vectors: vector(0x20, [1, 0, 0, 0, 0] + vector(0x22, []) + vector(0x22, []))),
                .repeatedVector(0x22), 42
            ),
        ] as [([UInt8], ProxyHeaderError, Int)])
    func wrong(octets: [UInt8], error: ProxyHeaderError, consumed: Int) {
        let (result, taken) = decode([octets + [0]])
        #expect(result == .failure(error))
        #expect(taken == consumed)
        #expect(!error.description.isEmpty)
    }

    @Test("a header longer than the limit is refused at its 16th octet")
    func limit() {
        let octets = binary(vectors: vector(4, Array(repeating: 0, count: 65)))
        #expect(decode([octets], ProxyHeaderDecoder(maximumBinaryLength: octets.count)).result != .needMore)
        let (result, consumed) = decode([octets], ProxyHeaderDecoder(maximumBinaryLength: octets.count - 1))
        #expect(result == .failure(.tooLong(octets.count, limit: octets.count - 1)))
        #expect(consumed == 16)
        #expect(
            decode([ProxyHeaderDecoder.signature + [0x21, 0x11, 0xff, 0xff]]).result
                == .failure(.tooLong(65551, limit: 4096)))
    }

    @Test("the name asked for, TLS, and vectors that are of no interest")
    func vectors() throws {
        let tls =
            [UInt8(7), 0, 0, 0, 0] + vector(0x21, Array("TLSv1.3".utf8)) + vector(0x22, Array("Ünit 7".utf8))
            + vector(0x23, Array("TLS_AES_256_GCM_SHA384".utf8)) + vector(0x24, [1]) + vector(0x24, [1])
        let octets = binary(
            vectors: vector(4, [0, 0]) + vector(2, Array("mx.example.test".utf8)) + vector(0x20, tls)
                + vector(5, [1, 2, 3]) + vector(4, []))
        let expected = ProxiedTLS(
            version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", commonName: "Ünit 7", isVerified: true)
        #expect(decode([octets]).result == .header(try Self.v4("mx.example.test", expected)))
    }

    @Test(
        "a certificate counts only if there is one and it was verified",
        arguments: [
            (1, 0, "", false), (1, 1, "", false), (3, 0, "cn", true), (5, 0, "cn", true), (3, 1, "cn", false),
        ] as [(UInt8, UInt8, String, Bool)])
    func certificates(flags: UInt8, verify: UInt8, name: String, isVerified: Bool) throws {
        let value = [flags, 0, 0, 0, verify] + vector(0x22, Array("cn".utf8))
        let expected = ProxiedTLS(commonName: name, isVerified: isVerified)
        #expect(decode([binary(vectors: vector(0x20, value))]).result == .header(try Self.v4(nil, expected)))
        let plain = [flags & 6, 0, 0, 0, verify] + vector(0x22, Array("cn".utf8))
        #expect(decode([binary(vectors: vector(0x20, plain))]).result == .header(try Self.v4()))
    }

    @Test(
        "texts that logs cannot hold count as not told",
        arguments: [[], [0x41, 0x0a], [0xff], Array(repeating: 0x41, count: 256), [0xc2, 0x85]] as [[UInt8]])
    func hostileTexts(text: [UInt8]) throws {
        let tls = [UInt8(3), 0, 0, 0, 0] + vector(0x21, text) + vector(0x22, text) + vector(0x23, text)
        let octets = binary(vectors: vector(2, text) + vector(0x20, tls))
        #expect(decode([octets]).result == .header(try Self.v4(nil, ProxiedTLS(isVerified: true))))
    }

    @Test("a checksum over the whole header, its own place as zeros")
    func checksum() throws {
        // RFC 3720 §B.4.
        #expect(CRC32C.checksum(Array(repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(CRC32C.checksum(Array(repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(CRC32C.checksum(0..<32) == 0x46dd_794e)
        var octets = binary(vectors: vector(2, [0x61]) + vector(3, [0, 0, 0, 0]) + vector(4, [7]))
        let sum = CRC32C.checksum(octets)
        let place = octets.count - 8
        for index in 0..<4 { octets[place + index] = UInt8(truncatingIfNeeded: sum >> (24 - 8 * UInt32(index))) }
        #expect(decode([octets]).result == .header(try Self.v4("a")))
        for index in 16..<octets.count where index != 28 && index != 29 && index != 30 {
            var broken = octets
            broken[index] ^= 1
            guard case .failure = decode([broken]).result else {
                Issue.record("octet \(index) may change")
                continue
            }
        }
    }

    @Test("every split gives the same header, or the same failure, and takes the same octets")
    func everySplit() {
        let inputs = [
            Array("PROXY TCP4 192.0.2.1 192.0.2.25 56324 25\r\nEHLO x\r\n".utf8), Array("PROXY TCP4 1\n".utf8),
            binary(vectors: vector(2, [0x61])) + [1, 2], binary(family: 0x41), binary(vectors: [3]) + [9],
        ]
        for input in inputs {
            let whole = decode([input])
            #expect(whole.result != .needMore)
            #expect(decode(input.map { [$0] }) == whole)
            for first in 0...input.count {
                #expect(decode([Array(input[..<first]), Array(input[first...])]) == whole)
            }
        }
    }

    @Test("a header that does not come to its end is never one")
    func truncated() {
        for input in [Array("PROXY TCP6 ::1 ::1 1 2\r\n".utf8), binary(vectors: vector(2, [0x61]))] {
            for count in 0..<input.count { #expect(decode([Array(input[..<count])]).result == .needMore) }
        }
    }
}
