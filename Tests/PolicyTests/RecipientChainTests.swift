import MailModel
import Policy
import Testing

/// The default pairs of policy.md §6, with the macros of the sample.
enum Boilerplate {
    static let macros = """
        _rbl0 # nothing
        _rbl1 # nothing
        . = _default_dot
        [0.0.0.0]/0 = _default_ipaddr
        _full_rights rejectnet - relaycustnet + relaytarget + = _rbl1
        _localnames rejectnet - relaycustnet - localdomain + relaytarget + = _rbl1
        _relaytarget relaytarget + = _rbl1
        _bulk_mail message "Your address is not liked source for email" rejectsource + message "Your IP address is not liked source for email" rejectnet + message "This is not accepted relay target" relaytarget -
        example.test = _localnames
        backup.test = _relaytarget
        .gateway.test = _relaytarget
        [10.0.0.0]/24 = _full_rights
        spam.test = _bulk_mail
        [203.0.113.66]/32 rejectnet +

        """
    static let pair1 =
        "_default_dot relaycustomer - relaytarget -\n_default_ipaddr relaycustomer - relaytarget -\n" + macros
    static let pair3 =
        "_default_dot relaycustomer - acceptifmx - senderokwithdns - = _rbl1\n"
        + "_default_ipaddr relaycustomer - acceptifmx - senderokwithdns - = _rbl0\n" + macros
}

@Suite("Policy: recipients")
struct RecipientChainTests {
    static let stranger = "203.0.113.9"
    static let denied = "refuse 550 5.7.1"
    static let unknown = "refuse 550 5.1.1"

    @Test(
        "who may mail whom with the first default pair",
        arguments: [
            (stranger, "alice@example.test", "accept"), (stranger, "ALICE@Example.Test", "accept"),
            (stranger, "alice+lists@example.test", "accept"), (stranger, "\"john doe\"@example.test", "accept"),
            (stranger, "alice@example.test.", "accept"), (stranger, "ghost@example.test", unknown),
            (stranger, "/etc/passwd@example.test", unknown), (stranger, ":include:@example.test", "refuse 553 5.1.3"),
            (stranger, "alice@[192.0.2.25]", "accept"), (stranger, "ghost@[192.0.2.25]", unknown),
            (stranger, "alice@[IPv6:2001:db8::25]", "accept"), (stranger, "alice@[IPv6:::ffff:192.0.2.25]", "accept"),
            (stranger, "postmaster", "accept"), (stranger, "PostMaster", "accept"),
            (stranger, "postmaster@example.test", "accept"), (stranger, "POSTMASTER@[192.0.2.25]", "accept"),
            (stranger, "postmaster@elsewhere.test", denied), (stranger, "bob@elsewhere.test", denied),
            (stranger, "bob@[198.51.100.1]", denied), (stranger, "bob@[IPv6:2001:db8::99]", denied),
            (stranger, "bob@[IPv6:::ffff:198.51.100.1]", denied), (stranger, "bob@[x:y]", denied),
            (stranger, "bob@sub.example.test", denied), (stranger, "bob@notexample.test", denied),
            (stranger, "bob@gateway.test", "accept"), (stranger, "bob@x.gateway.test", "accept"),
            (stranger, "bob@gateway.test.elsewhere.test", denied), ("127.0.0.1", "bob@elsewhere.test", denied),
            ("::1", "bob@elsewhere.test", denied), ("192.0.2.25", "bob@elsewhere.test", denied),
            (stranger, "bob@backup.test", "accept"), (stranger, "nobody.known@backup.test", "accept"),
            (stranger, "bob%elsewhere.test@example.test", denied),
            (stranger, "elsewhere.test!bob@example.test", denied),
            (stranger, "\"bob@elsewhere.test\"@example.test", denied),
            (stranger, "bob%elsewhere.test%example.test@example.test", denied),
            (stranger, "example.test!elsewhere.test!bob@example.test", denied),
            (stranger, "bob%elsewhere.test@backup.test", denied), (stranger, "elsewhere.test!bob@backup.test", denied),
            (stranger, "\"bob%[198.51.100.1]\"@example.test", denied),
            (stranger, "\"bob%elsewhere..test\"@backup.test", denied),
            (stranger, "bob%example.test@backup.test", "accept"),
            (stranger, "bob%backup.test@x.gateway.test", "accept"),
            (stranger, "alice%example.test@example.test", unknown), (stranger, "100%@backup.test", "accept"),
            (stranger, "bob%spam.test@backup.test", denied),
            (stranger, String(repeating: "example.test!", count: 15) + "u@backup.test", "accept"),
            (stranger, String(repeating: "a.b!", count: 30) + "u@backup.test", denied),
            (stranger, String(repeating: "!", count: 40) + "u@backup.test", denied),
            (stranger, "x@spam.test", denied),
            ("10.0.0.1", "bob@real.test", "accept"), ("::ffff:10.0.0.1", "bob@real.test", "accept"),
            ("10.0.0.1", "bob@routed.test", "accept"), ("10.0.0.1", "bob@nowhere.test", "refuse 550 5.4.3"),
            ("10.0.0.1", "bob@broken.test", "refuse 451 4.4.3"), ("10.0.0.1", "bob@[198.51.100.1]", "accept"),
            ("10.0.0.1", "x@spam.test", denied), ("10.0.1.1", "bob@real.test", denied),
            ("10.0.0.1", "ghost@example.test", unknown), ("10.0.0.1", "postmaster", "accept"),
            ("10.0.0.1", "bob%real.test@backup.test", "accept"),
            (stranger, "", "refuse 553 5.1.3"), (stranger, "alice", "refuse 553 5.1.3"),
            (stranger, "@example.test", "refuse 553 5.1.3"), (stranger, "alice@", "refuse 553 5.1.3"),
            (stranger, "alice@example.test@elsewhere.test", "refuse 553 5.1.3"),
        ])
    func pair1(client: String, recipient: String, expected: String) throws {
        var world = try PolicyWorld(Boilerplate.pair1)
        world.facts.address("real.test", "198.51.100.7")
        world.facts.fail("broken.test", .mx)
        world.tables.routes = ["routed.test"]
        #expect(try world.outcome(client, to: recipient) == expected)
    }
}
