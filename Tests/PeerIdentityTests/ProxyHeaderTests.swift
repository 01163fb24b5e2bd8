import MailModel
import Testing

@testable import PeerIdentity

/// What a decoder says about octets that come in pieces, and how many of them it took.
func decode(
    _ pieces: [[UInt8]], _ decoder: ProxyHeaderDecoder = ProxyHeaderDecoder()
) -> (result: ProxyHeaderDecoder.Result, consumed: Int) {
    var decoder = decoder
    var result = ProxyHeaderDecoder.Result.needMore
    var total = 0
    for piece in pieces where result == .needMore {
        let (consumed, next) = piece.withUnsafeBytes { decoder.decode($0) }
        result = next
        total += consumed
    }
    return (result, total)
}

func endpoint(_ address: String, _ port: UInt16) throws -> PeerEndpoint {
    PeerEndpoint(try #require(IPAddress(address)), port: port)
}

/// A header of version 2; `vectors` stand behind the addresses.
func binary(
    versionAndCommand: UInt8 = 0x21, family: UInt8 = 0x11, addresses: [UInt8] = Binary.v4, vectors: [UInt8] = []
) -> [UInt8] {
    let length = addresses.count + vectors.count
    return ProxyHeaderDecoder.signature + [versionAndCommand, family, UInt8(length >> 8), UInt8(length & 255)]
        + addresses + vectors
}

func vector(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
    [type, UInt8(value.count >> 8), UInt8(value.count & 255)] + value
}

enum Binary {
    /// 192.0.2.1:56324 to 192.0.2.25:25.
    static let v4: [UInt8] = [192, 0, 2, 1, 192, 0, 2, 25, 0xdc, 0x04, 0, 25]
    /// [2001:db8::1]:56324 to [2001:db8::25]:465.
    static let v6: [UInt8] =
        [0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [1] + [0x20, 1, 0x0d, 0xb8]
        + Array(repeating: 0, count: 11) + [0x25] + [0xdc, 0x04, 1, 0xd1]
}

@Suite("PROXY protocol")
struct ProxyHeaderTests {
    @Test(
        "lines of version 1",
        arguments: [
            ("PROXY TCP4 192.0.2.1 192.0.2.25 56324 25", "192.0.2.1", "192.0.2.25", 56324, 25),
            ("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0", "255.255.255.255", "0.0.0.0", 65535, 0),
            ("PROXY TCP6 2001:db8::1 2001:DB8::25 1 587", "2001:db8::1", "2001:db8::25", 1, 587),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25", "::ffff:192.0.2.1", "::1", 1, 25),
            (
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 65535
            ),
        ] as [(String, String, String, UInt16, UInt16)])
    func lines(line: String, source: String, destination: String, port: UInt16, ownPort: UInt16) throws {
        let octets = Array("\(line)\r\n".utf8)
        let expected = ProxyHeader.proxied(
            ProxiedConnection(source: try endpoint(source, port), destination: try endpoint(destination, ownPort)))
        let (result, consumed) = decode([octets + Array("EHLO x\r\n".utf8)])
        #expect(result == .header(expected))
        #expect(consumed == octets.count)
    }

    @Test(
        "what a proxy does not know, it may say in any words",
        arguments: ["PROXY UNKNOWN", "PROXY UNKNOWN ", "PROXY UNKNOWN ::1 whatever \u{1} 7 7 7"])
    func unknown(line: String) {
        #expect(decode([Array("\(line)\r\n".utf8)]).result == .header(.unknown))
    }

    @Test(
        "lines that are none",
        arguments: [
            ("PROXY TCP4 192.0.2.1 192.0.2.25 56324\r\n", .malformedLine),
            ("PROXY TCP4 192.0.2.1 192.0.2.25 56324 25 \r\n", .malformedLine),
            ("PROXY TCP4  192.0.2.1 192.0.2.25 56324 25\r\n", .malformedLine),
            ("PROXY TCP4 192.0.2.1 192.0.2.25 56324 025\r\n", .malformedLine),
            ("PROXY TCP4 192.0.2.1 192.0.2.25 65536 25\r\n", .malformedLine),
            ("PROXY TCP4 192.0.2.1 192.0.2.25 -1 25\r\n", .malformedLine),
            ("PROXY TCP4 192.0.2.01 192.0.2.25 56324 25\r\n", .malformedLine),
            ("PROXY TCP4 ::1 ::1 56324 25\r\n", .malformedLine), ("PROXY TCP4 192.0.2.1\t::1 1 2\r\n", .malformedLine),
            ("PROXY TCP6 192.0.2.1 192.0.2.25 56324 25\r\n", .malformedLine),
            ("PROXY TCP4\r\n", .malformedLine), ("PROXY \r\n", .unknownProtocol),
            ("PROXY UNKNOWN2\r\n", .unknownProtocol),
            ("PROXY UDP4 192.0.2.1 192.0.2.25 1 2\r\n", .unknownProtocol), ("PROXY tcp4 \r\n", .unknownProtocol),
            ("PROXY TCP4 192.0.2.1 192.0.2.25 56324 25\n", .lineEnd), ("PROXY UNKNOWN \r \r\n", .lineEnd),
            ("PROXY\r\n", .notAHeader), ("PROXY\tTCP4", .notAHeader), ("PROXYS", .notAHeader), ("proxy ", .notAHeader),
            ("EHLO client.test\r\n", .notAHeader), ("\r\n\r\n\0\r\nQUIX", .notAHeader), ("\n", .notAHeader),
            (" PROXY TCP4", .notAHeader), ("\u{16}\u{3}\u{1}", .notAHeader),
        ] as [(String, ProxyHeaderError)])
    func wrongLines(text: String, error: ProxyHeaderError) {
        #expect(decode([Array(text.utf8)]).result == .failure(error))
        #expect(!error.description.isEmpty)
    }

    @Test("a line of 107 octets is read, a longer one is not, and no more than these are taken")
    func lineLimit() {
        let longest = "PROXY UNKNOWN " + String(repeating: "x", count: 107 - 14 - 2) + "\r\n"
        #expect(longest.utf8.count == 107)
        #expect(decode([Array(longest.utf8)]).result == .header(.unknown))
        let (result, consumed) = decode([Array(("PROXY UNKNOWN " + String(repeating: "x", count: 5000)).utf8)])
        #expect(result == .failure(.lineTooLong))
        #expect(consumed == 107)
    }

    @Test("a failure comes with the octet that causes it")
    func earlyFailure() {
        #expect(decode([Array("EHLO x".utf8)]).consumed == 1)
        #expect(decode([Array("PROXX".utf8)]).consumed == 5)
        #expect(decode([[0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0b, 7]]).consumed == 12)
    }

    @Test("after its end a decoder takes nothing and says the same again")
    func afterTheEnd() {
        for text in ["PROXY UNKNOWN\r\n", "EHLO"] {
            var decoder = ProxyHeaderDecoder()
            let first = Array(text.utf8).withUnsafeBytes { decoder.decode($0).result }
            let again = Array("PROXY TCP4 1".utf8).withUnsafeBytes { decoder.decode($0) }
            #expect(again.result == first && again.result != .needMore && again.consumed == 0)
        }
    }
}
