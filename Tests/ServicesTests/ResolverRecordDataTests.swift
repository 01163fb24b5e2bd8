import MailModel
import Testing

@testable import Resolver

@Suite("Record data of the wire")
struct ResolverRecordDataTests {
    @Test(
        "a name is read, escaped and bounded",
        arguments: [
            ([0], "."),
            ([1, 97, 0], "a"),
            ([3, 0x6d, 0x58, 0x31, 2, 0x64, 0x65, 0], "mX1.de"),
            ([3, 0x61, 0x2e, 0x5c, 0], "a\\.\\\\"),
            ([2, 0x20, 0xff, 0], "\\032\\255"),
            ([], nil),
            ([1], nil),
            ([1, 97], nil),
            ([2, 97, 0], nil),
            ([0, 0], nil),
            ([0xc0, 0x0c], nil),
            ([64] + Array(repeating: 97, count: 64) + [0], nil),
        ] as [([UInt8], String?)])
    func names(data: [UInt8], expected: String?) {
        #expect(RecordData.name(data) == expected)
    }

    @Test("a name of more than 255 octets is refused")
    func longName() {
        let label: [UInt8] = [63] + Array(repeating: 97, count: 63)
        #expect(RecordData.name(label + label + label + [61] + Array(repeating: 97, count: 61) + [0]) != nil)
        #expect(RecordData.name(label + label + label + label + [0]) == nil)
    }

    @Test(
        "an MX record has a preference and one name",
        arguments: [
            ([0, 10, 1, 97, 0], MXRecord(preference: 10, exchange: "a")),
            ([0xff, 0xff, 0], MXRecord(preference: 65535, exchange: ".")),
            ([0, 10], nil),
            ([0, 10, 1, 97], nil),
            ([0, 10, 1, 97, 0, 0], nil),
        ] as [([UInt8], MXRecord?)])
    func mailExchangers(data: [UInt8], expected: MXRecord?) {
        #expect(MXRecord(recordData: data) == expected)
    }

    @Test(
        "character-strings are joined",
        arguments: [
            ([3, 97, 98, 99], [97, 98, 99]), ([1, 97, 0, 1, 98], [97, 98]), ([0], []), ([], nil),
            ([4, 97, 98, 99], nil),
        ] as [([UInt8], [UInt8]?)])
    func texts(data: [UInt8], expected: [UInt8]?) {
        #expect(RecordData.text(data) == expected)
    }

    @Test("addresses have their exact length")
    func addresses() {
        #expect(RecordData.address4([192, 0, 2, 1]) == IPAddress("192.0.2.1"))
        #expect(RecordData.address4([192, 0, 2]) == nil)
        #expect(RecordData.address4(Array(repeating: 0, count: 16)) == nil)
        #expect(RecordData.address6(Array(repeating: 0, count: 15) + [1]) == IPAddress("::1"))
        #expect(RecordData.address6([192, 0, 2, 1]) == nil)
    }

    @Test("the reverse name turns an address round")
    func reverseNames() {
        #expect(IPAddress("192.0.2.1")?.reverseName == "1.2.0.192.in-addr.arpa")
        #expect(
            IPAddress("2001:db8::567:89ab")?.reverseName
                == "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa")
    }

    @Test(
        "labels outside ASCII become A-labels",
        arguments: [
            ("example.test", "example.test"), ("example.test.", "example.test"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("münchen.de", "xn--mnchen-3ya.de"), ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("правда.рф", "xn--80aafi6cg.xn--p1ai"), ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("a b", nil), ("", nil), ("a..b", nil),
            (String(repeating: "ü", count: 31) + ".de", "xn--tdaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.de"),
        ] as [(String, String?)])
    func internationalNames(name: String, expected: String?) {
        #expect(asciiName(name) == expected)
    }
}
