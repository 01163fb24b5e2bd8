import Policy
import Testing

/// RFC 7208 §9.1.
@Suite struct ReceivedSPFTests {
    static let zone = SPFZone(
        """
        d.example TXT v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 -all
        mail.example.net TXT v=spf1 all
        bad.example TXT v=spf1 "moo"(
        broken.example FAIL
        """)

    static func field(_ client: String, _ sender: String, helo: String = "mail.example.net") -> String {
        SPFCase(client: client, sender: sender, helo: helo).run(zone).result.receivedSPF
    }

    @Test func passIsWrittenOut() {
        #expect(
            Self.field("192.0.2.1", "u@d.example") == """
                Received-SPF: pass (mx.receiver.example: 192.0.2.1 may send mail from d.example) \
                client-ip=192.0.2.1; envelope-from="u@d.example"; helo=mail.example.net; \
                receiver=mx.receiver.example; identity=mailfrom; mechanism="ip4:192.0.2.1"
                """)
    }

    @Test func failNamesItsMechanism() {
        let field = Self.field("192.0.2.2", "u@d.example")
        #expect(
            field.hasPrefix("Received-SPF: fail (mx.receiver.example: 192.0.2.2 may not send mail from d.example) "))
        #expect(field.hasSuffix("; identity=mailfrom; mechanism=-all"))
    }

    @Test func addressesWithColonsAreQuoted() {
        #expect(Self.field("2001:db8::1", "u@d.example").contains(" client-ip=\"2001:db8::1\";"))
    }

    @Test func nullSenderIsTheHeloIdentity() {
        let field = Self.field("192.0.2.9", "")
        #expect(field.contains("envelope-from=\"<>\"; helo=mail.example.net;"))
        #expect(field.contains("identity=helo; mechanism=all"))
    }

    @Test func problemsAreTold() {
        #expect(
            Self.field("192.0.2.9", "u@bad.example").hasSuffix(
                #"; problem="SPF record of bad.example: \"\"moo\"(\" is no mechanism""#))
        #expect(
            Self.field("192.0.2.9", "u@broken.example").hasPrefix("Received-SPF: temperror (mx.receiver.example: DNS "))
        #expect(Self.field("192.0.2.9", "u@nowhere.example").contains("; problem=\"no SPF record at nowhere.example\""))
    }

    /// (HELO, what stands in the field)
    static let hostile: [(String, String)] = [
        ("a\r\nBcc: x", "helo=\"a??Bcc: x\""), ("a\"; receiver=b", "helo=\"a\\\"; receiver=b\""),
        ("a\\", "helo=\"a\\\\\""), ("a;b", "helo=\"a;b\""), ("a(b", "helo=\"a(b\""), ("", "helo=\"\""),
        ("a b", "helo=\"a b\""), ("a..b", "helo=\"a..b\""), (".a", "helo=\".a\""), ("a.", "helo=\"a.\""),
        ("j\u{f6}rg.example", "helo=j??rg.example"), ("[192.0.2.1]", "helo=\"[192.0.2.1]\""),
        ("a\u{0}b\t\u{7f}", "helo=a?b??"), ("a+b_c", "helo=a+b_c"),
        (String(repeating: "x", count: 500), "helo=" + String(repeating: "x", count: 400) + "...;"),
    ]

    @Test(arguments: hostile) func heloStaysInItsValue(_ helo: String, _ expected: String) {
        let field = Self.field("192.0.2.1", "u@d.example", helo: helo)
        if expected.hasSuffix("...;") {
            // The dots at the end make it no dot-atom.
            #expect(field.contains("helo=\"" + String(repeating: "x", count: 400) + "...\";"))
        } else {
            #expect(field.contains(" \(expected);"))
        }
    }

    @Test(arguments: [
        ("\"a\\\"b\"@d.example", #"envelope-from="\"a\\\"b\"@d.example""#),
        ("a\r\nX: y@d.example", "envelope-from=\"a??X: y@d.example\""),
        ("j\u{f6}rg@d.example", "envelope-from=\"j\u{f6}rg@d.example\""),
        ("a\u{85}\u{2028}b@d.example", "envelope-from=\"a??b@d.example\""),
    ])
    func senderStaysInItsValue(_ sender: String, _ expected: String) {
        #expect(Self.field("192.0.2.1", sender).contains(" \(expected);"))
    }

    @Test func commentCannotBeClosed() {
        let field = Self.field("192.0.2.1", "u@a)(\\.example")
        #expect(field.hasPrefix("Received-SPF: none (mx.receiver.example: nothing published by a\\)\\(\\\\.example) "))
    }

    @Test func noWordIsTooLongForALine() {
        let helo = String(repeating: "\\\"", count: 1000)
        let field = Self.field("2001:db8::1", "\"\(helo)\"@d.example", helo: helo)
        #expect(field.split(separator: " ").allSatisfy { $0.utf8.count <= 900 })
    }
}
