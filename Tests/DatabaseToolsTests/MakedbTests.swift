import Policy
import ProgramKit
import Tables
import Testing

@testable import DatabaseTools

@Suite("makedb")
struct MakedbTests {
    private func record(_ key: PolicyKey, _ scratch: Scratch, _ name: String = "policy") throws -> [String] {
        let reader = try GDBMReader(path: scratch.file("\(name).gdbm"))
        let value = try #require(try reader.octets(for: key.octets), "\(key)")
        return try #require(PolicyRecord(octets: value)).pairs.map {
            "\($0.attribute?.name ?? "?") \($0.value) @\($0.origin)"
        }
    }

    @Test("a policy is compiled: keys, attributes in order, origins; equal keys are put together with -A")
    func policy() throws {
        let scratch = try Scratch()
        let outcome = try build(
            """
            _t # nothing
            Example.ORG relaytarget + = _t
            #@line 7 "localnames"
            example.org localdomain +
            user@example.org message "go away" rejectsource + #@smtp-policy.spam:99

            """, scratch)
        #expect(outcome.keys == 2)
        #expect(outcome.repeated == 1)
        let file = scratch.file("policy.dat")
        #expect(
            try record(.domain("example.org"), scratch) == [
                "relaytarget + @\(file):2", "= _t @\(file):2", "localdomain + @localnames:7",
            ])
        #expect(
            try record(.user("user@example.org"), scratch) == [
                "message go away @smtp-policy.spam:99", "rejectsource + @smtp-policy.spam:99",
            ])
    }

    @Test("without -A the first of equal keys holds, and each further one is a warning")
    func duplicates() throws {
        let scratch = try Scratch()
        let outcome = try build("a.test freeze +\na.test freeze -\n", scratch, appends: false)
        #expect(outcome.warnings.count == 1)
        #expect(outcome.warnings.first?.hasPrefix("\(scratch.file("policy.dat")):2: a.test: stands here again") == true)
        #expect(try record(.domain("a.test"), scratch).first?.hasPrefix("freeze + ") == true)
    }

    @Test("the last record tells number, time and widths")
    func metadata() throws {
        let scratch = try Scratch()
        try build("[192.0.2.0]/24 freezenet +\n[IPv6:2001:db8::]/32 freezenet +\na.test freeze +\n", scratch, now: 77)
        let metadata = try GDBMReader(path: scratch.file("policy.gdbm")).metadata()
        #expect(metadata.entries == 3)
        #expect(metadata.built == 77)
        #expect(metadata.v4Lengths == 1 << 24)
        #expect(metadata.v6Lengths == [32])
    }

    struct Wrong: CustomTestStringConvertible, Sendable {
        let line: String
        let key: String
        /// In the message.
        let words: [String]
        init(_ line: String, _ key: String, _ words: String...) {
            self.line = line
            self.key = key
            self.words = words
        }
        var testDescription: String { line }
    }

    @Test(
        "a mistake has file, line, key, and what would be valid",
        arguments: [
            Wrong("a.test rejectnot +", "a.test", "unknown attribute 'rejectnot'", "rejectnet"),
            Wrong("a.test freeze", "a.test", "freeze needs a value", "+ or -"),
            Wrong("a.test freeze yes", "a.test", "freeze cannot be 'yes'", "+ or -"),
            Wrong("a.test = tag", "a.test", "'='", "begins with '_'"),
            Wrong("a.test = _nowhere", "a.test", "_nowhere is nowhere defined"),
            Wrong("[192.0.2.0]/33 freezenet +", "[192.0.2.0]/33", "[192.0.2.0]/24", "0 to 32"),
            Wrong("[2001:db8::]/129 freezenet +", "[2001:db8::]/129", "0 to 128"),
            Wrong("a.test message \"open", "a.test", "a quote is not closed"),
            Wrong("a.test maxinsize many", "a.test", "a number"),
            Wrong("a.test ratelimitmsgs 1,2,3", "a.test", "100,1000"),
            Wrong("a..test freeze +", "a..test", "example.org"),
            Wrong("_ freeze +", "_", "a tag needs a name"),
            Wrong("10.0.0.0/8 submit", "10.0.0.0/8", "submit needs a value", "+ or -"),
        ])
    func mistakes(wrong: Wrong) throws {
        let scratch = try Scratch()
        try build("a.test freeze +\n", scratch)
        let before = try scratch.octets("policy.gdbm")
        let failure = #expect(throws: DatabaseBuilder.Failure.self) {
            try build("good.test freeze +\n\(wrong.line)\nmore.test freeze -\n", scratch)
        }
        #expect(failure?.code == .dataError)
        #expect(failure?.lines.count == 1)
        let line = failure?.lines.first ?? ""
        #expect(line.hasPrefix("\(scratch.file("policy.dat")):2: \(wrong.key): "), "\(line)")
        for word in wrong.words { #expect(line.contains(word), "\(line)") }
        #expect(try scratch.octets("policy.gdbm") == before, "the database before stays")
        #expect(scratch.names == ["policy.dat", "policy.gdbm"], "and nothing else is left")
    }

    @Test("all mistakes are told, the first hundred one by one")
    func manyMistakes() throws {
        let scratch = try Scratch()
        let source = (1...250).map { "a\($0).test nothing +\n" }.joined()
        let failure = #expect(throws: DatabaseBuilder.Failure.self) { try build(source, scratch) }
        #expect(failure?.lines.count == 101)
        #expect(failure?.lines[99].hasPrefix("\(scratch.file("policy.dat")):100: ") == true)
        #expect(failure?.lines.last == "… and 150 mistakes more")
        #expect(scratch.names == ["policy.dat"])
    }

    @Test("type text checks and writes nothing")
    func text() throws {
        let scratch = try Scratch()
        try scratch.write("a.test freeze +\na.test freeze -\n", to: "source")
        var request = DatabaseBuilder.Request()
        request.type = .text
        request.basename = scratch.file("out")
        request.input = scratch.file("source")
        request.form = .policy
        let outcome = try DatabaseBuilder(request: request, now: 1).run()
        #expect(outcome.keys == 1)
        #expect(outcome.warningCount == 1)
        #expect(scratch.names == ["source"])
    }

    @Test("aliases are read as the router reads them, and keys can be folded")
    func aliases() throws {
        let scratch = try Scratch()
        try scratch.write("Root: alice,\n  bob@example.test\n\"two words\": carol\n", to: "aliases")
        var request = DatabaseBuilder.Request()
        request.basename = scratch.file("aliases")
        request.input = scratch.file("aliases")
        request.form = .aliases
        request.fold = .upper
        _ = try DatabaseBuilder(request: request, now: 1).run()
        let reader = try GDBMReader(path: scratch.file("aliases.gdbm"))
        #expect(try reader.octets(for: Array("ROOT".utf8)) == Array("alice, bob@example.test".utf8))
        #expect(try reader.octets(for: Array("TWO WORDS".utf8)) == Array("carol".utf8))
        try scratch.write("root alice\n", to: "aliases")
        let failure = #expect(throws: DatabaseBuilder.Failure.self) {
            try DatabaseBuilder(request: request, now: 1).run()
        }
        #expect(
            failure?.lines == ["\(scratch.file("aliases")):1: root alice: has no colon; valid is: name: target, target"]
        )
    }

    @Test("plain text: key and value a line, -A puts values together with a comma")
    func plain() throws {
        let scratch = try Scratch()
        try scratch.write("# comment\n\nOne\tfirst value \r\none 2\nONE 3", to: "list")
        var request = DatabaseBuilder.Request()
        request.basename = scratch.file("list")
        request.input = scratch.file("list")
        request.fold = .lower
        request.appends = true
        let outcome = try DatabaseBuilder(request: request, now: 1).run()
        #expect(outcome.keys == 1)
        let reader = try GDBMReader(path: scratch.file("list.gdbm"))
        #expect(try reader.octets(for: Array("one".utf8)) == Array("first value, 2, 3".utf8))
        try scratch.write("one\n two\n", to: "list")
        let failure = #expect(throws: DatabaseBuilder.Failure.self) {
            try DatabaseBuilder(request: request, now: 1).run()
        }
        let file = scratch.file("list")
        #expect(
            failure?.lines == [
                "\(file):1: one: has no value; valid is: key value",
                "\(file):2: begins with a blank; valid is: key value",
            ])
    }

    @Test(
        "the command line",
        arguments: [
            (["gdbm", "x"], nil), (["-p", "-A", "GDBM", "x", "-"], nil), (["-a", "-l", "-s", "btree", "x", "y"], nil),
            (["gdbm"], "a base name"), (["hash", "x"], "'hash' is no database type; there are gdbm"),
            (["-a", "-p", "gdbm", "x"], "exclude each other"), (["-c", "-p", "gdbm", "x"], "exclude each other"),
            (["-l", "-c", "gdbm", "x"], "exclude each other"), (["-l", "-u", "gdbm", "x"], "exclude each other"),
            (["-q", "gdbm", "x"], "unknown option '-q'"), (["gdbm", "x", "y", "z"], "not 4 words"),
            (["gdbm", "dir/"], "no base name"),
        ] as [([String], String?)])
    func commandLine(arguments: [String], problem: String?) throws {
        do throws(UsageError) {
            let options = try CommandLineOptions.parse(["makedb"] + arguments, MakedbProgram.specs)
            let request = try MakedbProgram.request(options)
            #expect(problem == nil)
            #expect(request.basename == "x")
        } catch {
            #expect(problem != nil && error.description.contains(problem ?? ""), "\(error)")
        }
    }

    @Test("the usage lists the types, and what stands for what")
    func usage() {
        for word in ["gdbm", "text", "btree", "ndbm", "dbm", "bhash"] { #expect(MakedbProgram.usage.contains(word)) }
        #expect(DatabaseType(name: "BTREE") == .gdbm)
        #expect(DatabaseType.note(name: "BTREE") == "'BTREE' is not in this system; built and read as gdbm")
        #expect(DatabaseType.note(name: "gdbm") == nil)
        #expect(DatabaseType(name: "lmdb") == nil)
    }
}
