import MailModel
import Testing

@Suite("IP addresses") struct NetworkAddressTests {
    /// Text, and how RFC 5952 writes it.
    static let valid: [(String, String)] = [
        ("0.0.0.0", "0.0.0.0"), ("192.0.2.1", "192.0.2.1"), ("255.255.255.255", "255.255.255.255"),
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("1:0:0:0:0:0:0:0", "1::"), ("0:0:0:0:0:0:0:1", "::1"), ("0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"), ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("::1.2.3.4", "::102:304"), ("fe80::A", "fe80::a"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ]
    static let invalid = [
        "", ".", "1", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.999", "01.2.3.4",
        "1.2.3.00",
        "1.2.3.4 ", " 1.2.3.4", "+1.2.3.4", "-1.2.3.4", "1.2.3.a", "0x1.2.3.4", "1.2.3.4/24", "1.2.3.4294967297",
        ":", ":::", "1:", ":1", "1:::2", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8", "12345::", "g::", "::1%eth0", "[::1]", "1.2.3.4::", "::1.2.3.4:5", "::1.2.3",
        "::256.1.1.1",
        "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.4.5", "1:2:3:4:5:6:7:8 ", "٣.1.1.1", "::\u{301}1",
        "0000:0000:0000:0000:0000:0000:0000:00001", "::00001",
    ]

    @Test("text is read, and written in its canonical form", arguments: valid)
    func canonical(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
        #expect(IPAddress(octets: address.octets) == address)
        #expect(AddressLiteral.address(in: address.literal) == address)
    }

    @Test("anything else is refused", arguments: invalid)
    func refused(text: String) {
        #expect(IPAddress(text) == nil)
        #expect(AddressLiteral.address(in: "[IPv6:\(text)]") == nil)
    }

    @Test("random addresses come back from their text")
    func roundTrip() {
        var random = SeededGenerator(state: 5952)
        for _ in 0..<5000 {
            var octets = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
            for _ in 0..<Int.random(in: 0...14, using: &random) { octets[Int.random(in: 0..<16, using: &random)] = 0 }
            let address = IPAddress(octets: octets)
            #expect(address.flatMap { IPAddress("\($0)") } == address)
            let v4 = IPAddress(octets: Array(octets.prefix(4)))
            #expect(v4.flatMap { IPAddress("\($0)") } == v4)
        }
    }

    @Test("octets of another number are no address", arguments: [0, 1, 3, 5, 15, 17])
    func octetCount(count: Int) { #expect(IPAddress(octets: [UInt8](repeating: 1, count: count)) == nil) }

    @Test(
        "loopback and mapped addresses are known",
        arguments: [
            ("127.0.0.1", true, "127.0.0.1"), ("127.255.255.255", true, "127.255.255.255"),
            ("128.0.0.1", false, "128.0.0.1"),
            ("::1", true, "::1"), ("::ffff:127.0.0.1", true, "127.0.0.1"), ("::ffff:8.8.8.8", false, "8.8.8.8"),
            ("::", false, "::"), ("::127.0.0.1", false, "::7f00:1"),
        ])
    func loopback(text: String, isLoopback: Bool, unmapped: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.isLoopback == isLoopback)
        #expect(address.unmapped.description == unmapped)
    }

    @Test(
        "a network holds what shares its prefix",
        arguments: [
            ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7/24", "192.0.2.1", true),
            ("0.0.0.0/0", "255.1.2.3", true), ("192.0.2.1/32", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
            ("128.0.0.0/1", "127.255.255.255", false), ("[192.0.2.0]/24", "::ffff:192.0.2.9", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true), ("[IPv6:2001:db8::]/32", "2001:db9::", false),
            ("[IPv6.2001:db8::]/32", "2001:db8::1", true), ("2001:db8::/64", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::/65", "2001:db8::8000:0:0:0", false), ("2001:db8::1/128", "2001:db8::1", true),
            ("2001:db8::1/127", "2001:db8::", true), ("2001:db8::1", "2001:db8::2", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "1.2.3.4", false), ("0.0.0.0/0", "::1", false), ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "::ffff:192.0.3.9", false), ("::ffff:0.0.0.0/96", "8.8.8.8", true),
        ])
    func contains(network: String, address: String, isInside: Bool) throws {
        let network = try #require(IPNetwork(parsing: network))
        #expect(network.contains(try #require(IPAddress(address))) == isInside)
        #expect(IPNetwork(parsing: network.description) == network)
    }

    @Test(
        "a prefix length out of range, or no number, is refused",
        arguments: [
            "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+1", "1.2.3.4/", "1.2.3.4/a", "1.2.3.4/24/24", "::/129", "::/0128",
            "::/½", "/24",
            "", "[1.2.3.4/24]", "1.2.3.4/99999999999999999999",
        ])
    func badNetwork(text: String) { #expect(IPNetwork(parsing: text) == nil) }
}

@Suite("Domain names") struct DomainNameTests {
    @Test(
        "names within the bounds are taken",
        arguments: [
            "a", "a.b", "A-B.c", "_x._y.z", "1", "a.b.", String(repeating: "a", count: 63),
            String(repeating: "abcd.", count: 50) + "abcde", String(repeating: "a.", count: 127) + "a",
            "bücher.example",
            String(repeating: "ж", count: 63) + ".example",
        ])
    func taken(text: String) throws {
        let name = try #require(DomainName(text))
        #expect(name.text == (text.hasSuffix(".") ? String(text.dropLast()) : text))
        #expect(DomainName(name.text) == name)
        #expect(name.key == asciiLowercased(name.text))
    }

    @Test(
        "names beyond them are not",
        arguments: [
            "", ".", "..", ".a", "a..b", "a..", "-a", "a-", "a.-b", "a-.b", "a b", "a\tb", "a/b", "a\u{0}", "a:b",
            "[a]", "a@b",
            String(repeating: "a", count: 64), String(repeating: "abcd.", count: 51) + "a",
            String(repeating: "ж", count: 64),
            String(repeating: "ж", count: 50) + "." + String(repeating: "ж", count: 80),
            "a\u{80}b", "a\u{9f}.b", "a\u{a0}b", "a\u{2028}b", "a\u{2029}b", "a\u{3000}b",
        ])
    func refused(text: String) { #expect(DomainName(text) == nil) }

    @Test("case does not count, spelling is kept")
    func folding() throws {
        let one = try #require(DomainName("Mail.EXAMPLE"))
        let other = try #require(DomainName("mail.example."))
        #expect(one == other)
        #expect(Set([one, other]).count == 1)
        #expect(one.text == "Mail.EXAMPLE")
        #expect(DomainName("é.example", allowingUTF8: false) == nil)
    }
}
