import MailModel
import Tables
import Testing

/// What a table says, or `file:line` and words of each mistake.
private func outcome<Table>(_ text: String, _ parse: ([UInt8], String) throws(TableErrors) -> Table) -> Result<
    Table, TableErrors
> {
    do throws(TableErrors) { return .success(try parse(Array(text.utf8), "t")) } catch { return .failure(error) }
}

struct BrokenTable: Sendable, CustomTestStringConvertible {
    let text: String
    /// `t:line` with words of the reason, one a mistake.
    let errors: [(place: String, words: String)]

    init(_ text: String, _ errors: (String, String)...) {
        self.text = text
        self.errors = errors.map { (place: $0.0, words: $0.1) }
    }

    var testDescription: String { text }

    func check<Table>(_ parse: ([UInt8], String) throws(TableErrors) -> Table) {
        guard case .failure(let found) = outcome(text, parse) else {
            Issue.record("accepted: \(text)")
            return
        }
        #expect(found.errors.count == errors.count, "\(found)")
        for (error, wanted) in zip(found.errors, errors) {
            #expect(error.description.hasPrefix(wanted.place), "\(error)")
            #expect(error.description.contains(wanted.words), "\(error)")
        }
    }
}

@Suite("Tables: domains")
struct DomainTableTests {
    static func parseNames(_ octets: [UInt8], _ file: String) throws(TableErrors) -> DomainTable {
        try DomainTable.parse(octets, file: file, form: .init(.optional, allowsDefault: false))
    }

    static func parseTargets(_ octets: [UInt8], _ file: String) throws(TableErrors) -> DomainTable {
        try DomainTable.parse(octets, file: file, form: .init(.none, allowsDefault: false))
    }

    static func parseRoutes(_ octets: [UInt8], _ file: String) throws(TableErrors) -> DomainTable {
        try DomainTable.parse(
            octets, file: file,
            form: .init(.required, allowsDefault: true) { $0.contains("!") ? nil : "'\($0)' has no bang" })
    }

    @Test("comments, blanks, case and trailing dots do not matter")
    func reading() throws {
        let text =
            "# all\n\n  Example.ORG.   canonical.example  # ours\n.sub.example\r\n[192.0.2.1]\n[IPv6:2001:DB8::1]\n"
        let table = try outcome(text, Self.parseNames).get()
        #expect(table.entries.keys.sorted() == [".sub.example", "[192.0.2.1]", "[ipv6:2001:db8::1]", "example.org"])
        #expect(table.entries["example.org"]?.value == "canonical.example")
        #expect(table.entries["example.org"]?.line == 3)
    }

    @Test("an empty file is an empty table", arguments: ["", "\n", "# nothing\n", "   \n\t\n"])
    func empty(text: String) throws {
        #expect(try outcome(text, Self.parseNames).get().entries.isEmpty)
    }

    @Test(
        "the most exact entry is found first",
        arguments: [
            ("foo.bar.edu", "1"), ("x.foo.bar.edu", "2"), ("y.bar.edu", "3"), ("bar.edu", "3"), ("other.edu", "4"),
            ("edu", "4"), ("example.org", "5"), ("[192.0.2.9]", "5"), ("[192.0.2.7]", "6"),
        ])
    func lookup(domain: String, value: String) throws {
        let text =
            "foo.bar.edu a!1\n.foo.bar.edu a!2\n.bar.edu a!3\n.edu a!4\n. a!5\n[192.0.2.7] a!6\n"
        let table = try outcome(text, Self.parseRoutes).get()
        #expect(table.lookup(domain)?.value == "a!\(value)")
    }

    @Test("what no entry names is not found", arguments: ["example.com", "xexample.org", "org", "[192.0.2.1]", ""])
    func notFound(domain: String) throws {
        let table = try outcome("example.org\n.sub.example.org\n", Self.parseNames).get()
        #expect(table.lookup(domain) == nil)
    }

    @Test(
        "each mistake in localnames is reported with its line",
        arguments: [
            BrokenTable("a b c\n", ("t:1: a", "more than two columns")),
            BrokenTable("ok.example\n.\n", ("t:2: .", "every domain")),
            BrokenTable("user@example.org\n", ("t:1: user@example.org", "is no domain; valid are")),
            BrokenTable("-a.example\na..example\n", ("t:1", "is no domain"), ("t:2", "is no domain")),
            BrokenTable("..example\n", ("t:1", "is no domain")),
            BrokenTable("[1.2.3]\n", ("t:1", "is no domain")),
            BrokenTable("a.example x\na.example y\n", ("t:2: a.example", "on line 1")),
            BrokenTable("a\u{1}b\n", ("t:1", "control character")),
        ])
    func names(row: BrokenTable) { row.check(Self.parseNames) }

    @Test(
        "each mistake in smtp-policy.mx is reported with its line",
        arguments: [
            BrokenTable("a.example b\n", ("t:1: a.example", "valid is one domain a line")),
            BrokenTable(".\n", ("t:1", "every domain there is")),
            BrokenTable("a b\nc d\n*\n", ("t:1", "one domain"), ("t:2", "one domain"), ("t:3", "is no domain")),
        ])
    func targets(row: BrokenTable) { row.check(Self.parseTargets) }

    @Test(
        "each mistake in routes is reported with its line",
        arguments: [
            BrokenTable("a.example\n", ("t:1: a.example", "valid is: domain channel!nexthop")),
            BrokenTable("\na.example smtp\n", ("t:2: a.example", "has no bang")),
            BrokenTable("a.example x!1\nA.EXAMPLE x!2\n", ("t:2", "another value on line 1")),
        ])
    func routes(row: BrokenTable) { row.check(Self.parseRoutes) }

    @Test("octets that are not UTF-8 are reported with their line")
    func notUTF8() {
        do throws(TableErrors) {
            _ = try Self.parseNames(Array("ok.example\n".utf8) + [0xff, 0xfe, 0x0a], "t")
            Issue.record("accepted")
        } catch {
            #expect(error.description == "t:2: is not UTF-8")
        }
    }
}

@Suite("Tables: aliases")
struct AliasTableTests {
    static func parse(_ octets: [UInt8], _ file: String) throws(TableErrors) -> AliasTable {
        try AliasTable.parse(octets, file: file) { $0.contains("?") ? "has a question mark" : nil }
    }

    @Test(
        "targets are separated by commas outside quotes",
        arguments: [
            ("a: b", ["b"]), ("a: b, c ,d,", ["b", "c", "d"]), ("a: b,\n  c,\n\td", ["b", "c", "d"]),
            ("a: \"|/bin/x a, b\", c", ["|/bin/x a, b", "c"]), ("a: |\"/bin/x a, b\"", ["|/bin/x a, b"]),
            ("a: |/bin/x y", ["|/bin/x y"]), ("a: \"/var/mail/x y\"", ["/var/mail/x y"]),
            ("a: /dev/null", ["/dev/null"]),
            ("a: \":include:/a b\"", [":include:/a b"]), ("a: :include:/l", [":include:/l"]),
            ("a: \"john doe\"@example.org", ["\"john doe\"@example.org"]), ("a: \"john doe\"", ["\"john doe\""]),
            ("a: \"|x \\\"y\\\"\"", ["|x \"y\""]), ("a: \\b", ["\\b"]), ("a: b # c", ["b"]), ("a:b", ["b"]),
            ("a: \"|x # y\"", ["|x # y"]), ("a: b\n# comment\n\n  , c", ["b", "c"]),
        ])
    func targets(text: String, targets: [String]) throws {
        #expect(try outcome(text, Self.parse).get().lookup("a")?.targets == targets)
    }

    @Test(
        "names are found whatever their case, quoted or not",
        arguments: [("Alice: b", "aLICE"), ("\"john doe\": b", "John Doe"), ("\"a:b\": c", "a:b"), ("x.y : b", "x.y")])
    func names(text: String, name: String) throws {
        #expect(try outcome(text, Self.parse).get().lookup(name) != nil)
    }

    @Test(
        "each mistake is reported with its line",
        arguments: [
            BrokenTable("alice\n", ("t:1: alice", "has no colon; valid is: name: target")),
            BrokenTable(": b\n", ("t:1", "the name is missing")),
            BrokenTable("a:\n", ("t:1: a", "has no target")),
            BrokenTable("a: ,,\n", ("t:1: a", "has no target")),
            BrokenTable("a: \"b\n", ("t:1: a", "a double quote is not closed")),
            BrokenTable("\"a: b\n", ("t:1", "the quote is not closed")),
            BrokenTable("  a: b\n", ("t:1", "continues a line, but there is none")),
            BrokenTable("a@b: c\n", ("t:1: a@b", "valid is a local part")),
            BrokenTable("a b: c\n", ("t:1: a b", "needs double quotes")),
            BrokenTable("a: b\nc: d\nA: e\n", ("t:3: A", "stands on line 1 too")),
            BrokenTable("a: b?, c, d?\n", ("t:1: a", "'b?' has a question mark"), ("t:1: a", "'d?'")),
            BrokenTable("x\na: b\ny\n", ("t:1: x", "no colon"), ("t:3: y", "no colon")),
        ])
    func mistakes(row: BrokenTable) { row.check(Self.parse) }

    @Test("a list file holds an address a line, or several with commas")
    func list() throws {
        let table = try outcome(
            "# staff\na@example.org, b\n\nc # here\n",
            { (octets, file) throws(TableErrors) in
                try AddressListTable.parse(octets, file: file)
            }
        ).get()
        #expect(table.targets == ["a@example.org", "b", "c"])
    }

    @Test("each mistake in a list file is reported with its line")
    func listMistakes() {
        BrokenTable("a\n\"b\nc?\n", ("t:2", "not closed"), ("t:3: c?", "question")).check {
            (octets, file) throws(TableErrors) in
            try AddressListTable.parse(octets, file: file) { $0.contains("?") ? "has a question mark" : nil }
        }
    }
}

@Suite("Tables: names")
struct NameTableTests {
    @Test("names are found whatever their case, spelled as in the file, and keep their order")
    func lookup() throws {
        let table = try outcome("Zoe\nalice # a\nALICE\njürgen\n", NameTable.parse).get()
        #expect(table.names.map(\.name) == ["Zoe", "alice", "jürgen"])
        #expect(table.lookup("ZOE")?.name == "Zoe")
        #expect(table.lookup("Alice")?.line == 2)
        #expect(table.lookup("bob") == nil)
    }

    @Test(
        "each mistake is reported with its line",
        arguments: [
            BrokenTable("alice bob\n", ("t:1: alice", "one name a line")),
            BrokenTable("../etc\n", ("t:1: ../etc", "is no user name")),
            BrokenTable(".hidden\n", ("t:1", "is no user name")),
            BrokenTable("a/b\n", ("t:1", "is no user name")),
            BrokenTable("a@b\n", ("t:1", "is no user name")),
            BrokenTable("a+b\n", ("t:1", "is no user name")),
            BrokenTable(String(repeating: "x", count: 65), ("t:1", "at most 64 octets")),
        ])
    func mistakes(row: BrokenTable) { row.check(NameTable.parse) }
}
