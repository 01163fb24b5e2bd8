import MailModel
import Policy
import Testing

@Suite("Policy: look-ups")
struct PolicyLookupTests {
    /// Every entry rejects with its own text: the text tells which was found.
    private func text(_ keys: [String], _ client: String) throws -> String {
        let source = keys.map { "\($0) message \"\($0)\" rejectnet +" }.joined(separator: "\n")
        let reply = try PolicyWorld(source).session(client).last?.answer.reply
        return reply?.lines.last.map { String($0.split(separator: "; ").last ?? "") } ?? "none"
    }

    @Test(
        "the longest network is used, alone",
        arguments: [
            ("192.0.2.1", "[192.0.2.1]/32"), ("192.0.2.2", "[192.0.2.0]/24"), ("192.0.3.1", "[192.0.0.0]/16"),
            ("193.0.0.1", "[0.0.0.0]/0"), ("::ffff:192.0.2.1", "[192.0.2.1]/32"),
            ("2001:db8::1", "[IPv6:2001:db8::1]/128"),
            ("2001:db8::2", "[IPv6:2001:db8::]/32"), ("2001:db9::1", "[0.0.0.0]/0"),
        ])
    func networks(client: String, expected: String) throws {
        let keys = [
            "[192.0.2.1]/32", "[192.0.2.0]/24", "[192.0.0.0]/16", "[0.0.0.0]/0", "[IPv6:2001:db8::1]/128",
            "[IPv6:2001:db8::]/32",
        ]
        #expect(try text(keys, client) == expected)
        #expect(try text(Array(keys.reversed()), client) == expected)
    }

    @Test("an entry of its own hides what the wider network says")
    func hidden() throws {
        let world = try PolicyWorld("[192.0.2.0]/24 rejectnet +\n[192.0.2.7]/32 maxinsize 1000")
        #expect(try world.outcome("192.0.2.8") == "refuse 550 5.7.1")
        let answer = try world.session("192.0.2.7").first?.answer
        #expect(answer?.verdict == .accept)
        #expect(answer?.maximumSize == 1000)
    }

    @Test("IPv6 has its own default before that of IPv4")
    func defaults() throws {
        #expect(try text(["[0.0.0.0]/0", "[IPv6:::]/0"], "2001:db8::1") == "[IPv6:::]/0")
        #expect(try text([], "2001:db8::1") == "none")
    }

    @Test(
        "domains from the whole name to the dot",
        arguments: [
            ("a.foo.test", "a.foo.test"), ("b.foo.test", ".foo.test"), ("foo.test", ".foo.test"),
            ("x.y.foo.test", ".foo.test"),
            ("bar.test", "bar.test"), ("x.bar.test", ".test"), ("test", ".test"), ("example", "."),
            ("A.FOO.TEST.", "a.foo.test"),
            ("xfoo.test", ".test"),
        ])
    func domains(name: String, expected: String) throws {
        let source = ["a.foo.test", ".foo.test", "bar.test", ".test", "."].map { "\($0) message \"\($0)\" rejectnet +" }
        let answer = try PolicyWorld(source.joined(separator: "\n")).session("203.0.113.9", helo: name).last?.answer
        #expect(answer?.reply?.lines.last?.hasSuffix(" policy analysis reported: \(expected)") == true)
    }

    @Test(
        "users: the address, then the name",
        arguments: [
            ("bob@a.test", "1"), ("BOB@A.Test", "1"), ("bob@b.test", "2"), ("\"bob\"@b.test", "2"), ("eve@b.test", "3"),
            ("\"john doe\"@b.test", "4"), ("eve@c.test", ""),
        ])
    func users(sender: String, expected: String) throws {
        let source = """
            bob@a.test message 1 rejectsource +
            bob@ message 2 rejectsource +
            b.test message 3 rejectsource +
            "John Doe"@b.test message 4 rejectsource +
            """
        let text = try PolicyWorld(source).session("203.0.113.9", from: sender).last?.answer.reply?.lines.last ?? ""
        #expect(expected.isEmpty ? text.isEmpty : text.hasSuffix("reported: \(expected)"))
    }
}

@Suite("Policy: resolving records")
struct PolicyResolveTests {
    /// The reply to a client whose network has the attributes.
    private func reply(_ source: String) throws -> String {
        try PolicyWorld("[0.0.0.0]/0 \(source)").session("203.0.113.9").last?.answer.reply?.lines.last ?? "accept"
    }

    @Test(
        "first wins, tags stand in place, messages belong to the next pair",
        arguments: [
            ("rejectnet - rejectnet +", "accept"), ("rejectnet + rejectnet -", "static tables"),
            ("= _no rejectnet +", "accept"), ("rejectnet + = _no", "static tables"), ("= _yes = _no", "tag"),
            ("message one rejectnet +", "one"), ("message one message two rejectnet +", "two"),
            ("message one maxinsize 5 rejectnet +", "static tables"),
            ("message one freeze + rejectnet +", "static tables"),
            ("message one = _yes", "tag"), ("message one = _silent rejectnet +", "static tables"),
            ("rejectnet - = _yes", "accept"), ("= _a", "tag"), ("= _deep5", "tag"), ("= _deep6", "accept"),
            ("= _cycle rejectnet +", "static tables"), ("= _self", "tag"), ("= _nothing rejectnet +", "static tables"),
        ])
    func pairs(source: String, expected: String) throws {
        let tags = """

            _yes message tag rejectnet +
            _no rejectnet -
            _silent maxinsize 7
            _a = _b
            _b = _yes
            _deep6 = _deep5
            _deep5 = _deep4
            _deep4 = _deep3
            _deep3 = _deep2
            _deep2 = _yes
            _cycle = _cycle2
            _cycle2 = _cycle
            _self = _self message tag rejectnet +
            _nothing # nothing
            """
        let reply = try reply(source + tags)
        #expect(reply.contains(expected), "\(reply)")
    }

    @Test("a net of tags is trouble, not a loop")
    func net() throws {
        var source = "= _t0"
        for index in 0..<5 {
            let next = Array(repeating: "= _t\(index + 1)", count: 40).joined(separator: " ")
            source += "\n_t\(index) \(index < 4 ? next : "maxinsize 1")"
        }
        source += "\n_t5 maxinsize 2"
        let answer = try PolicyWorld("[0.0.0.0]/0 \(source)").session("203.0.113.9").last?.answer
        #expect(answer.map(summary) == "refuse 451 4.3.0")
    }

    @Test("the same key on several lines is one entry, earlier lines first")
    func appended() throws {
        let world = try PolicyWorld(
            "x.test message 1 rejectsource -\nx.test rejectsource + sendernorelay +\nx.test freezesource +")
        let answer = try world.session("203.0.113.9", from: "a@x.test").last?.answer
        #expect(answer.map(summary) == "accept freeze")
        #expect(answer?.reason == "freezesource + @src:3 via x.test")
    }
}
