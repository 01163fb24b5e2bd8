import MailModel
import Testing

@testable import PeerIdentity

@Suite("XCLIENT")
struct ClientAttributesTests {
    @Test("all attributes, in any order and case")
    func all() throws {
        let attributes = try ClientAttributes(
            parsing: "name=client.example.test ADDR=192.0.2.1 PORT=56324 PROTO=esmtp HELO=[192.0.2.1] "
                + "LOGIN=alice+40example.test DESTADDR=IPv6:2001:db8::25 DESTPORT=587")
        var expected = ClientAttributes()
        expected.name = .given(try #require(DomainName("client.example.test")))
        expected.address = .given(try #require(IPAddress("192.0.2.1")))
        expected.port = .given(56324)
        expected.mailProtocol = .esmtp
        expected.helo = .given("[192.0.2.1]")
        expected.login = .given("alice@example.test")
        expected.destinationAddress = .given(try #require(IPAddress("2001:db8::25")))
        expected.destinationPort = .given(587)
        #expect(attributes == expected)
        #expect(ClientAttributes.names.joined(separator: " ") == "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT")
    }

    @Test("what is not known")
    func unavailable() throws {
        let attributes = try ClientAttributes(
            parsing: "NAME=[UNAVAILABLE] ADDR=[unavailable] PORT=[UNAVAILABLE] HELO=[Unavailable] LOGIN=[UNAVAILABLE] "
                + "DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]")
        #expect(attributes.name == .unavailable && attributes.address == .unavailable)
        #expect(attributes.port == .unavailable && attributes.helo == .unavailable && attributes.login == .unavailable)
        #expect(attributes.destinationAddress == .unavailable && attributes.destinationPort == .unavailable)
        #expect(attributes.mailProtocol == nil)
        #expect(try ClientAttributes(parsing: "NAME=[tempunavail]").name == .temporarilyUnavailable)
    }

    @Test(
        "addresses",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("IPV6:::1", "::1"), ("ipv6:2001:db8::1", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"), ("IPV6:::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ])
    func addresses(text: String, address: String) throws {
        #expect(try ClientAttributes(parsing: "ADDR=\(text)").address == .given(try #require(IPAddress(address))))
    }

    @Test(
        "commands that are refused",
        arguments: [
            ("", .missing), ("  ", .missing), ("NAME", .unknown("NAME")), ("IDENT=x", .unknown("IDENT")),
            ("=x", .unknown("")), ("N\u{c4}ME=x", .unknown("N??ME")),
            ("ADDR=192.0.2.1 addr=192.0.2.1", .repeated("ADDR")),
            ("NAME=", .wrongValue("NAME")), ("NAME=-x", .wrongValue("NAME")), ("NAME=a..b", .wrongValue("NAME")),
            ("NAME=a+0Ab", .wrongValue("NAME")), ("NAME=a+zz", .wrongValue("NAME")), ("HELO=a+FF", .wrongValue("HELO")),
            ("ADDR=[192.0.2.1]", .wrongValue("ADDR")), ("ADDR=IPV6:192.0.2.1", .wrongValue("ADDR")),
            ("ADDR=192.0.2", .wrongValue("ADDR")), ("ADDR=[TEMPUNAVAIL]", .wrongValue("ADDR")),
            ("PORT=65536", .wrongValue("PORT")), ("PORT=x", .wrongValue("PORT")), ("PORT=", .wrongValue("PORT")),
            ("PROTO=LMTP", .wrongValue("PROTO")), ("PROTO=+C5+BFMTP", .wrongValue("PROTO")),
            ("PROTO=[UNAVAILABLE]", .wrongValue("PROTO")), ("LOGIN=", .wrongValue("LOGIN")),
            ("LOGIN=a=b", .wrongValue("LOGIN")), ("HELO=a+00b", .wrongValue("HELO")),
            ("HELO=\(String(repeating: "h", count: 256))", .wrongValue("HELO")),
            ("DESTADDR=x", .wrongValue("DESTADDR")), ("DESTPORT=-1", .wrongValue("DESTPORT")),
            ("HELO=\(String(repeating: "h", count: 9000))", .tooLong),
        ] as [(String, ClientAttributesError)])
    func refused(argument: String, error: ClientAttributesError) {
        #expect(throws: error) { try ClientAttributes(parsing: argument) }
        #expect(error.description.utf8.allSatisfy { (0x20...0x7e).contains($0) })
    }

    @Test("what a later command says holds, and what it does not say stays")
    func adds() throws {
        var attributes = try ClientAttributes(parsing: "NAME=a.test ADDR=192.0.2.1 HELO=x")
        attributes.add(try ClientAttributes(parsing: "HELO=y LOGIN=alice NAME=[UNAVAILABLE]"))
        #expect(attributes == (try ClientAttributes(parsing: "NAME=[UNAVAILABLE] ADDR=192.0.2.1 HELO=y LOGIN=alice")))
    }
}
