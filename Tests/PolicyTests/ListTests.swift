import MailModel
import Policy
import Testing

@Suite("Policy: lists in the DNS")
struct ListTests {
    /// Answers of zones for 203.0.113.9.
    private func world(_ source: String, _ answers: [(zone: String, address: String)]) throws -> PolicyWorld {
        let world = try PolicyWorld(source)
        for (zone, address) in answers {
            let name = "9.113.0.203.\(zone)"
            if address == "fail" {
                world.facts.fail(name, .a)
            } else {
                world.facts.address(name, address)
            }
        }
        return world
    }

    @Test(
        "what is a hit",
        arguments: [
            ("127.0.0.2", "a", true), ("127.0.0.1", "a", true), ("127.1.2.3", "a", true),
            ("127.255.254.255", "a", true),
            ("127.255.255.254", "a", false), ("127.255.255.1", "a", false), ("192.0.2.1", "a", false),
            ("fail", "a", false),
            ("127.0.0.2", "a=127.0.0.2", true), ("127.0.0.4", "a=127.0.0.2,127.0.0.4", true),
            ("127.0.0.3", "a=127.0.0.2", false),
            ("127.0.0.2", "-", false), ("127.0.0.2", "b", false), ("127.0.0.2", "b:c:a", true),
            ("127.0.0.2", "a.", true),
            ("127.0.0.2", "A", true), ("127.0.0.2", "~a", false), ("2001:db8::1", "a", false),
        ])
    func hits(answer: String, zones: String, isHit: Bool) throws {
        let world = try world("[0.0.0.0]/0 test-dns-rbl \(zones)", [("a", answer)])
        #expect(try world.outcome("203.0.113.9") == (isHit ? "refuse 550 5.7.1" : "accept"))
    }

    @Test(
        "allow lists exempt from the zones behind them",
        arguments: [
            ("ok.a:b", true), ("b:ok.a", false), ("~a:b", true), ("b:~a", false), ("~a=127.0.0.9:b", false),
            ("~a=127.0.0.5:b", true), ("~c:b", false), ("~d:b", false),
        ])
    func allows(zones: String, isExempt: Bool) throws {
        let world = try world(
            "[0.0.0.0]/0 test-dns-rbl \(zones)",
            [("a", "127.0.0.5"), ("ok.a", "127.0.0.5"), ("b", "127.0.0.2"), ("d", "198.51.100.1")])
        #expect(try world.outcome("203.0.113.9") == (isExempt ? "accept" : "refuse 550 5.7.1"))
    }

    @Test("all zones are asked at once, + is rbl.maps.vix.com")
    func questions() throws {
        let world = try PolicyWorld("[0.0.0.0]/0 test-dns-rbl +:b rcpt-dns-rbl c")
        _ = try world.session("203.0.113.9")
        #expect(
            Set(world.facts.rounds.first ?? []) == [
                NameQuestion("9.113.0.203.rbl.maps.vix.com", .a, list: "rbl.maps.vix.com"),
                NameQuestion("9.113.0.203.b", .a, list: "b"), NameQuestion("9.113.0.203.c", .a, list: "c"),
                NameQuestion("9.113.0.203.in-addr.arpa", .ptr),
            ])
        #expect(world.facts.rounds.count == 1)
    }

    @Test("IPv6 clients are asked for by their digits, with and without ip6")
    func v6() throws {
        let digits = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
        for name in ["\(digits).a", "\(digits).ip6.a"] {
            let world = try PolicyWorld("[0.0.0.0]/0 test-dns-rbl a")
            world.facts.address(name, "127.0.0.2")
            #expect(try world.outcome("2001:db8::1") == "refuse 550 5.7.1")
        }
    }

    @Test(
        "texts: the list's, that of the entry, the standard one",
        arguments: [
            ("", "Spam from here\u{1b}[1m \u{e4}", "Hello [203.0.113.9]; Spam from here [1m   "),
            ("message entry", "", "Hello [203.0.113.9]; entry"), ("message entry", "list", "Hello [203.0.113.9]; list"),
            ("", "", "Hello [203.0.113.9]; mx.example.test - You are on our reject-IP-address -list, GO AWAY!"),
        ])
    func texts(message: String, text: String, expected: String) throws {
        let world = try world("[0.0.0.0]/0 \(message) test-dns-rbl a", [("a", "127.0.0.2")])
        if !text.isEmpty { world.facts.text("9.113.0.203.a", text) }
        let answer = try world.session("203.0.113.9").last?.answer
        #expect(answer?.reply?.lines.last == expected)
        #expect(answer?.reason == "a 127.0.0.2 test-dns-rbl a @src:1 via [0.0.0.0]/0")
    }

    @Test(
        "trusted clients and our own addresses are not looked up",
        arguments: [
            ("relaycustnet +", "203.0.113.9", true), ("trustrecipients +", "203.0.113.9", true),
            ("fulltrustnet +", "203.0.113.9", true), ("freezenet +", "203.0.113.9", true), ("", "192.0.2.25", true),
            ("submit +", "203.0.113.9", false), ("", "203.0.113.9", false),
        ])
    func exempt(attributes: String, client: String, isExempt: Bool) throws {
        let world = try PolicyWorld("[0.0.0.0]/0 \(attributes) test-dns-rbl a")
        _ = try world.session(client)
        #expect(world.facts.rounds.joined().contains { !$0.list.isEmpty } == !isExempt)
    }

    @Test(
        "rcpt-dns-rbl counts where the recipient wants it",
        arguments: [
            ("test-rcpt-dns-rbl + relaytarget +", "accept"), ("test-rcpt-dns-rbl - relaytarget +", "accept"),
            ("relaytarget +", "accept"),
        ])
    func notListed(attributes: String, expected: String) throws {
        let world = try world("[0.0.0.0]/0 rcpt-dns-rbl a\nexample.test \(attributes)", [])
        #expect(try world.outcome("203.0.113.9", to: "alice@example.test") == expected)
    }

    @Test(
        "a hit of rcpt-dns-rbl is remembered until RCPT",
        arguments: [
            (
                "rcpt-dns-rbl a", "test-rcpt-dns-rbl + relaytarget +", "",
                "You are on our reject-IP-address -list, GO AWAY!"
            ),
            ("message entry rcpt-dns-rbl a", "test-rcpt-dns-rbl + relaytarget +", "", "entry"),
            ("rcpt-dns-rbl a", "test-rcpt-dns-rbl + relaytarget +", "list", "list"),
            ("rcpt-dns-rbl a", "test-rcpt-dns-rbl - relaytarget +", "", nil),
            (
                "rcpt-dns-rbl a", "relaytarget + test-rcpt-dns-rbl +", "",
                "You are on our reject-IP-address -list, GO AWAY!"
            ),
            ("rcpt-dns-rbl \"_Always so\"", "test-rcpt-dns-rbl + relaytarget +", "", "Always so"),
            ("rcpt-dns-rbl _+", "test-rcpt-dns-rbl + relaytarget +", "", nil),
            ("rcpt-dns-rbl -", "test-rcpt-dns-rbl + relaytarget +", "", nil),
        ] as [(String, String, String, String?)])
    func delayed(network: String, domain: String, text: String, expected: String?) throws {
        let world = try world("[0.0.0.0]/0 \(network)\nexample.test \(domain)", [("a", "127.0.0.2")])
        if !text.isEmpty { world.facts.text("9.113.0.203.a", text) }
        let reply = try world.session("203.0.113.9", to: ["alice@example.test"]).last?.answer.reply
        if let expected {
            #expect(
                reply?.summary
                    == "550 5.7.1 Hello [203.0.113.9], Policy analysis reported: \(expected) rcpt=<alice@example.test>")
        } else {
            #expect(reply == nil)
        }
    }

    @Test("users can want the lists too")
    func users() throws {
        let world = try world(
            "[0.0.0.0]/0 rcpt-dns-rbl a\nalice@ test-rcpt-dns-rbl +\nexample.test relaytarget +", [("a", "127.0.0.2")])
        #expect(try world.outcome("203.0.113.9", to: "alice@example.test") == "refuse 550 5.7.1")
        #expect(try world.outcome("203.0.113.9", to: "team@example.test") == "accept")
    }

    @Test("both kinds of lists can be asked in one entry")
    func both() throws {
        let source = "[0.0.0.0]/0 test-dns-rbl a rcpt-dns-rbl b\nexample.test test-rcpt-dns-rbl + relaytarget +"
        #expect(
            try world(source, [("b", "127.0.0.2")]).outcome("203.0.113.9", to: "alice@example.test")
                == "refuse 550 5.7.1")
        #expect(try world(source, [("b", "127.0.0.2")]).outcome("203.0.113.9") == "accept")
        #expect(try world(source, [("a", "127.0.0.2")]).outcome("203.0.113.9") == "refuse 550 5.7.1")
    }

    @Test("address literals of senders and recipients are looked up")
    func literals() throws {
        let source = "[198.51.100.0]/24 test-dns-rbl a relaytarget +\n[203.0.113.0]/24 spf -"
        let world = try PolicyWorld(source)
        #expect(try world.outcome("203.0.113.9", from: "x@[198.51.100.7]", to: "y@[198.51.100.7]") == "accept")
        world.facts.forget()
        world.facts.address("7.100.51.198.a", "127.0.0.2")
        #expect(try world.outcome("203.0.113.9", from: "x@[198.51.100.7]") == "refuse 553 5.7.1")
        #expect(try world.outcome("203.0.113.9", to: "y@[198.51.100.7]") == "refuse 550 5.7.1")
    }

    @Test("wrong answers of a list are told to the log")
    func wrong() throws {
        let decisions = try world("[0.0.0.0]/0 test-dns-rbl a", [("a", "127.255.255.254")]).session("203.0.113.9")
        #expect(decisions.first?.effects == [.wrongList(zone: "a", problem: "9.113.0.203.a is 127.255.255.254")])
    }
}
