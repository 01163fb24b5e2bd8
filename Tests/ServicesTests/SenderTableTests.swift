import MailModel
import Tables
import Testing

@Suite("Tables: senders of logins")
struct SenderTableTests {
    private static let text = """
        # logins and their addresses
        alice:      alice@example.org, Alice.Smith@Example.ORG, @alice.example
        bob:        *, -<>
        "carol d":  "carol d"@example.org,   # goes on
                    @b\u{fc}cher.example
        dave:       -<>
        erin@example.org: %u
        frank:      %u@example.org, %u@[192.0.2.1]
        "x:y":      x@example.org
        +:          +@example.org
        """

    private static func table(_ text: String = Self.text) throws -> SenderTable {
        try SenderTable.parse(Array(text.utf8), file: "t")
    }

    @Test(
        "an address is a login's if its line has it, its domain, or everything",
        arguments: [
            ("alice", "alice@example.org", true), ("alice", "ALICE@EXAMPLE.org", true),
            ("alice", "alice.smith@example.org", true), ("alice", "alice+news@example.org", true),
            ("alice", "alice@example.com", false), ("alice", "alicex@example.org", false),
            ("alice", "anything@alice.example", true), ("alice", "a@sub.alice.example", false),
            ("alice", "bob@example.org", false), ("alice", "\"alice@example.org\"@example.com", false),
            ("alice", "+alice@example.org", false), ("bob", "anybody@anywhere.example", true),
            ("carol d", "\"carol d\"@example.org", true), ("carol d", "x@xn--bcher-kva.example", true),
            ("carol d", "x@B\u{dc}CHER.example", true), ("carol d", "carol@example.org", false),
            ("dave", "dave@example.org", false), ("erin@example.org", "erin@example.org", true),
            ("erin@example.org", "erin+x@EXAMPLE.org", true), ("erin@example.org", "erin@example.com", false),
            ("frank", "frank@example.org", true), ("frank", "Frank+a@example.org", true),
            ("frank", "frank@[192.0.2.1]", true), ("frank", "frank@[192.0.2.2]", false),
            ("frank", "frankx@example.org", false), ("x:y", "x@example.org", true), ("+", "+@example.org", true),
            ("+", "+x@example.org", false),
        ])
    func addresses(login: String, sender: String, isAllowed: Bool) throws {
        let entry = try #require(Self.table().entry(of: login))
        let mailbox = try #require(Mailbox(sender))
        #expect(entry.allows(mailbox, as: login) == isAllowed)
    }

    @Test(
        "the null sender is everybody's but those with -<>",
        arguments: [("alice", true), ("bob", false), ("dave", false)])
    func nullSender(login: String, isAllowed: Bool) throws {
        #expect(try #require(Self.table().entry(of: login)).allows(nil, as: login) == isAllowed)
    }

    @Test("logins are found as they are spelled, to the octet; others have the line of *, or none")
    func logins() throws {
        let table = try Self.table()
        for login in ["Alice", "alice ", "", "mallory", "carol", "x"] {
            #expect(table.entry(of: login) == nil, "\(login)")
        }
        #expect(table.entry(of: "alice")?.line == 2)
        #expect(table.entry(of: "carol d")?.line == 4)
        let twins = try Self.table("\u{e9}: a@example.org\ne\u{301}: b@example.org\n*: %u@example.org\n")
        #expect(twins.entry(of: "\u{e9}")?.line == 1)
        #expect(twins.entry(of: "e\u{301}")?.line == 2)
        let standard = try #require(twins.entry(of: "mallory"))
        #expect(standard.line == 3)
        #expect(standard.allows(Mailbox("mallory@example.org"), as: "mallory"))
        #expect(!standard.allows(Mailbox("alice@example.org"), as: "mallory"))
    }

    @Test(
        "a login is put into its place as a name, never as a pattern",
        arguments: ["*", "@example.org", "a, *", "%u", "*@example.org", "\"", "", "-<>"])
    func hostileLogins(login: String) throws {
        let entry = try #require(Self.table("*: %u, %u@example.org").entry(of: login))
        for sender in ["alice@example.org", "a@example.org", "alice@example.com"] {
            #expect(!entry.allows(Mailbox(sender), as: login), "\(sender)")
        }
    }

    @Test(
        "mistakes are told with line, login and what would be valid",
        arguments: [
            BrokenTable("alice\n", ("t:1: alice", "valid is: login: address")),
            BrokenTable("alice:\n", ("t:1: alice", "has no address")),
            BrokenTable("alice: , ,\n", ("t:1: alice", "has no address")),
            BrokenTable(": a@b.test\n", ("t:1", "valid is: login: address")),
            BrokenTable("alice smith: a@b.test\n", ("t:1: alice smith", "valid is")),
            BrokenTable("a: x@y.test\n\na: z@y.test\n", ("t:3: a", "stands on line 1 too")),
            BrokenTable(
                "a: b, @, %x, %u@, <a@b.test>, @.b.test, a@b.test -<>, -\n", ("t:1: a", "'b' is no address"),
                ("t:1: a", "'@' is"), ("t:1: a", "'%x' is"), ("t:1: a", "'%u@' is"), ("t:1: a", "'<a@b.test>' is"),
                ("t:1: a", "'@.b.test' is"), ("t:1: a", "'a@b.test -<>' is"), ("t:1: a", "'-' is")),
            BrokenTable("a: \"x@b.test\n", ("t:1: a", "quote is not closed")),
            BrokenTable("  a@b.test\n", ("t:1", "continues a line")),
            BrokenTable("a: b@c.test\nb: \u{1}\n", ("t:2", "control character")),
        ])
    func mistakes(broken: BrokenTable) { broken.check(SenderTable.parse) }

    @Test("an empty table has no lines: nobody may send")
    func empty() throws { #expect(try Self.table("# nothing\n").entry(of: "alice") == nil) }
}
