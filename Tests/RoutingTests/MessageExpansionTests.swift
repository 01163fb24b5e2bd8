import MailModel
import Routing
import SpoolFormat
import Testing

@Suite("Routing: where addresses lead")
struct MessageExpansionTests {
    private static let tables = FakeRoutingTables(
        routes: [
            "fixed.test": "smtpx![127.0.0.1]:2526", "gate.test": "smtp!gateway.test", "own-mx.test": "smtp!",
            "dead.test": "error!nosuchdomain", "sink.test": "bitbucket!-",
            "one.test": "smtpx!host.test!only@there.test",
            "virtual.test": "local!", "catchall.test": "local!-!alice", "[198.51.100.9]": "smtpx!relay.test",
            "uucp.test": "uucp!seismo",
        ],
        aliases: [
            "team": ["alice", "bob", "carol@there.test"], "abuse": ["postmaster"], "self": ["self", "alice"],
            "alice2": ["alice"], "alice": ["alice", "copy@there.test"], "prog": ["|/bin/prog a b"],
            "file": ["/var/archive"],
            "mixed": ["alice2", "|/bin/x", "nobody"], "chain1": ["chain2"], "chain2": ["chain3@example.test"],
            "chain3": ["bob"], "loop1": ["loop2"], "loop2": ["loop1"], "loopwith": ["loopwith2", "bob"],
            "loopwith2": ["loopwith"], "owner-list": ["bob"], "list": [":include:/lists/list"],
            "plainlist": [":include:/lists/plain"],
            "nolist": [":include:/lists/none"], "ring": [":include:/lists/ring"], "direct": ["\\bob"],
            "directghost": ["\\ghost"],
            "ext": ["x@fixed.test", "y@gate.test"], "dup": ["bob", "bob", "\\bob"], "bob+special": ["alice2"],
            "john doe": ["bob"], "bad": ["a@@b"], "todead": ["x@dead.test"], "two": ["team", "team"],
        ],
        lists: [
            "/lists/list": ["alice2", "m@there.test", "|/bin/member"], "/lists/plain": ["bob"],
            "/lists/ring": [":include:/lists/ring", "bob"],
        ])

    @Test(
        "one recipient",
        arguments: [
            // Other domains go to their own mail hosts unless routes says otherwise.
            ("x@there.test", ["smtp there.test x@there.test"]), ("X.Y@There.Test", ["smtp there.test X.Y@There.Test"]),
            ("\"a b\"@there.test", ["smtp there.test \"a b\"@there.test"]),
            ("x@[198.51.100.1]", ["smtp [198.51.100.1] x@[198.51.100.1]"]),
            ("x@[IPv6:2001:db8::1]", ["smtp [ipv6:2001:db8::1] x@[IPv6:2001:db8::1]"]),
            ("jürgen@bücher.test", ["smtp bücher.test jürgen@bücher.test"]),
            ("x@fixed.test", ["smtpx [127.0.0.1]:2526 x@fixed.test"]),
            ("x@gate.test", ["smtp gateway.test x@gate.test"]),
            ("x@own-mx.test", ["smtp own-mx.test x@own-mx.test"]), ("x@dead.test", ["error nosuchdomain x@dead.test"]),
            ("x@sink.test", ["bitbucket - x@sink.test"]), ("x@one.test", ["smtpx host.test only@there.test"]),
            ("x@[198.51.100.9]", ["smtpx relay.test x@[198.51.100.9]"]), ("x@uucp.test", ["uucp seismo x@uucp.test"]),
            // Routes to local apply aliases and accounts.
            ("bob@virtual.test", ["local - bob"]), ("ghost@virtual.test", ["error nosuchuser ghost@virtual.test"]),
            ("any@catchall.test", ["local - alice", "smtp there.test copy@there.test"]),
            // Our own mailboxes.
            ("bob@example.test", ["local - bob"]), ("BOB@Example.Test", ["local - bob"]), ("bob", ["local - bob"]),
            ("bob@[192.0.2.25]", ["local - bob"]), ("bob+tail@example.test", ["local - bob+tail"]),
            ("\"bob+a b@c\"@example.test", ["local - \"bob+a b@c\""]),
            ("ghost@example.test", ["error nosuchuser ghost@example.test"]), ("ghost", ["error nosuchuser ghost"]),
            ("+tail@example.test", ["error nosuchuser +tail@example.test"]),
            ("postmaster", ["local - postmaster"]), ("Postmaster@example.test", ["local - postmaster"]),
            // Percent and bang are letters of a local part here, never a path.
            ("x%there.test@example.test", ["error nosuchuser x%there.test@example.test"]),
            ("there.test!x@example.test", ["error nosuchuser there.test!x@example.test"]),
            ("x%there.test@other.test", ["smtp other.test x%there.test@other.test"]),
            // Files and programs are not addresses.
            ("\"|/bin/sh\"@example.test", ["error nosuchuser \"|/bin/sh\"@example.test"]),
            ("\"/etc/passwd\"@example.test", ["error nosuchuser \"/etc/passwd\"@example.test"]),
            ("\":include:/lists/plain\"@example.test", ["error nosuchuser \":include:/lists/plain\"@example.test"]),
            ("|/bin/sh", ["error nosuchuser |/bin/sh"]), ("\\bob@example.test", ["local - bob"]),
            ("a b", ["error envelope a b"]), ("a@@b", ["error envelope a@@b"]),
            // Aliases.
            (
                "team@example.test",
                ["local - alice", "smtp there.test copy@there.test", "local - bob", "smtp there.test carol@there.test"]
            ),
            (
                "TEAM@example.test",
                ["local - alice", "smtp there.test copy@there.test", "local - bob", "smtp there.test carol@there.test"]
            ),
            ("abuse@example.test", ["local - postmaster"]),
            (
                "team+x@example.test",
                ["local - alice", "smtp there.test copy@there.test", "local - bob", "smtp there.test carol@there.test"]
            ),
            ("bob+special@example.test", ["local - alice", "smtp there.test copy@there.test"]),
            ("alice@example.test", ["local - alice", "smtp there.test copy@there.test"]), ("chain1", ["local - bob"]),
            ("\"john doe\"@example.test", ["local - bob"]), ("direct", ["local - bob"]),
            ("directghost", ["error nosuchuser ghost"]),
            ("ext", ["smtpx [127.0.0.1]:2526 x@fixed.test", "smtp gateway.test y@gate.test"]), ("dup", ["local - bob"]),
            ("todead", ["error nosuchdomain x@dead.test"]),
            (
                "two",
                ["local - alice", "smtp there.test copy@there.test", "local - bob", "smtp there.test carol@there.test"]
            ),
            ("prog@example.test", ["local pipe.prog |/bin/prog a b/1000"]),
            ("file@example.test", ["local file.file /var/archive/1000"]),
            (
                "mixed@example.test",
                [
                    "local - alice", "smtp there.test copy@there.test", "local pipe.mixed |/bin/x/1000",
                    "error nosuchuser nobody@example.test",
                ]
            ),
            ("bad@example.test", ["error unresolvable a@@b"]),
            // Loops that name nobody are errors of the table; those that name somebody end.
            ("loop1@example.test", ["error expansion loop1@example.test"]), ("loopwith@example.test", ["local - bob"]),
            ("self@example.test", ["local - alice", "smtp there.test copy@there.test"]),
            // Lists: members with the privilege of the list's owner, reports to owner-list.
            (
                "list@example.test",
                [
                    "local - alice <owner-list@example.test>",
                    "smtp there.test copy@there.test <owner-list@example.test>",
                    "smtp there.test m@there.test <owner-list@example.test>",
                    "local pipe.list |/bin/member/2000 <owner-list@example.test>",
                ]
            ),
            (
                "list",
                [
                    "local - alice <owner-list@mail.example.test>",
                    "smtp there.test copy@there.test <owner-list@mail.example.test>",
                    "smtp there.test m@there.test <owner-list@mail.example.test>",
                    "local pipe.list |/bin/member/2000 <owner-list@mail.example.test>",
                ]
            ),
            ("owner-list@example.test", ["local - bob"]), ("plainlist", ["local - bob"]), ("ring", ["local - bob"]),
            ("nolist@example.test", ["error unresolvable nolist@example.test"]),
        ] as [(String, [String])])
    func one(recipient: String, expected: [String]) throws {
        #expect(try Self.tables.expansion([recipient]) == expected)
    }

    @Test("nobody gets two copies, whatever ways lead there")
    func duplicates() throws {
        let found = try Self.tables.expansion([
            "bob", "bob@example.test", "BOB@example.test", "direct", "dup", "abuse", "chain1",
        ])
        #expect(found == ["local - bob", "local - postmaster"])
    }

    @Test("an alias that was expanded before is done, not lost")
    func expandedTwice() throws {
        let found = try Self.tables.expansion(["chain3", "chain1", "chain2"])
        #expect(found == ["local - bob"])
    }

    @Test("a file or program of a table that others can write is not used, and not told to the sender")
    func insecure() throws {
        var tables = Self.tables
        tables.isSecure = false
        #expect(try tables.expansion(["prog@example.test"]) == ["error unresolvable prog@example.test"])
        #expect(try tables.expansion(["file@example.test"]) == ["error unresolvable file@example.test"])
        #expect(try tables.expansion(["abuse@example.test"]) == ["local - postmaster"])
    }

    @Test("the postmaster's mail is read by somebody")
    func postmaster() throws {
        var tables = FakeRoutingTables(accounts: ["zoe"], lastResort: "zoe")
        #expect(try tables.expansion(["postmaster", "POSTMASTER@example.test"]) == ["local - zoe"])
        tables.aliases["postmaster"] = ["x@there.test"]
        #expect(try tables.expansion(["postmaster"]) == ["smtp there.test x@there.test"])
        tables = FakeRoutingTables(accounts: [])
        #expect(try tables.expansion(["postmaster"]) == ["error nosuchuser postmaster"])
    }

    @Test("an alias of aliases beyond the limit goes back whole")
    func depth() throws {
        var tables = FakeRoutingTables()
        for index in 0..<40 { tables.aliases["a\(index)"] = ["bob", "a\(index + 1)"] }
        tables.aliases["a40"] = ["alice"]
        #expect(try tables.expansion(["a0"]) == ["error expansion a0"])
        #expect(try tables.expansion(["a15"]) == ["local - bob", "local - alice"])
    }

    @Test("a recipient that would become too many goes back whole, and others are not harmed")
    func fanOut() throws {
        var tables = FakeRoutingTables()
        tables.aliases["many"] = (0..<11).map { "u\($0)@there.test" }
        tables.aliases["few"] = (0..<10).map { "u\($0)@there.test" }
        let limits = MessageExpansion.Limits(fanOut: 10)
        #expect(try tables.expansion(["many", "bob"], limits: limits) == ["error expansion many", "local - bob"])
        #expect(try tables.expansion(["few"], limits: limits).count == 10)
    }

    @Test("temporary trouble is passed on", arguments: ["broken@example.test", "x@broken.test"])
    func trouble(recipient: String) {
        let tables = FakeRoutingTables(brokenNames: ["broken", "broken.test"])
        #expect(throws: RoutingTrouble.self) { try tables.expansion([recipient]) }
    }

    @Test("an alias keeps what the sender asked to be told; a list's members are the list's business")
    func notary() throws {
        var expansion = MessageExpansion(tables: Self.tables, hostName: "h.test")
        try expansion.add(
            EnvelopeRecipient(
                address: "abuse@example.test", notify: [.success, .failure],
                originalRecipient: "rfc822;abuse@example.test"))
        try expansion.add(
            EnvelopeRecipient(
                address: "list@example.test", notify: .success, originalRecipient: "rfc822;list@example.test"))
        let alias = try #require(expansion.routed.first?.recipient)
        #expect(alias.notify == [.success, .failure])
        #expect(alias.originalRecipient == "rfc822;abuse@example.test")
        #expect(alias.envelopeRecipient == "abuse@example.test")
        let member = try #require(expansion.routed.last?.recipient)
        #expect(member.notify == .failure)
        #expect(member.originalRecipient == nil)
        #expect(member.envelopeRecipient == "list@example.test")
    }
}
