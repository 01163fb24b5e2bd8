import Policy
import ProgramKit
import Tables
import Testing

@testable import DatabaseTools

@Suite("dblook")
struct DblookTests {
    private static let source = """
        _t # nothing
        #@line 5 "smtp-policy.src"
        . relaycustomer - = _t
        [192.0.2.7]/24 message "say \\"hello\\" # not" freezenet +
        #@line 9 "smtp-policy.mx"
        . relaytarget -
        [IPv6:2001:db8::]/32 rejectnet +

        """

    @Test("a key of a policy is shown as source, each part with its place")
    func look() throws {
        let scratch = try Scratch()
        try build(Self.source, scratch)
        let path = scratch.file("policy.gdbm")
        let reader = try GDBMReader(path: path)
        #expect(
            try DblookProgram.look(reader, ".", path) == [
                ".  relaycustomer - = _t  #@smtp-policy.src:5", ".  relaytarget -  #@smtp-policy.mx:9",
            ])
        for key in ["[192.0.2.0]/24", "192.0.2.99/24"] {
            #expect(
                try DblookProgram.look(reader, key, path) == [
                    "[192.0.2.0]/24  message \"say \\\"hello\\\" # not\" freezenet +  #@smtp-policy.src:6"
                ])
        }
        #expect(try DblookProgram.look(reader, "[192.0.2.0]/25", path) == nil, "only what is asked for")
        #expect(try DblookProgram.look(reader, "other.test", path) == nil)
    }

    @Test("a dump of a policy compiles to the same policy")
    func roundTrip() throws {
        let scratch = try Scratch()
        try build(Self.source, scratch)
        func contents(_ name: String) throws -> [String] {
            var lines: [String] = []
            try GDBMReader(path: scratch.file("\(name).gdbm")).forEach { key, value in
                guard key != PolicyKey.metadata, let key = PolicyKey(octets: key) else { return }
                lines += PolicyText.lines(key, value)
            }
            return lines
        }
        let lines = try contents("policy")
        try build("_t # nothing\n" + lines.map { $0 + "\n" }.joined(), scratch, "again")
        #expect(try contents("again").sorted() == lines.sorted())
    }

    @Test(
        "values are quoted where they have to be",
        arguments: [
            ("+", "+"), ("a b", "\"a b\""), ("", "\"\""), ("#x", "\"#x\""), ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("bl.test:~ok.test", "bl.test:~ok.test"),
        ])
    func quoting(value: String, text: String) { #expect(PolicyText.quoted(value) == text) }

    @Test("a text database is shown as it is, octets that cannot be printed as numbers")
    func text() throws {
        let scratch = try Scratch()
        let writer = try GDBMWriter(path: scratch.file("x.gdbm"))
        _ = try writer.insert(Array("key".utf8), [0x61, 0x0a, 0x5c, 0xff])
        try writer.commit()
        let reader = try GDBMReader(path: scratch.file("x.gdbm"))
        #expect(try DblookProgram.look(reader, "key", "x") == ["a\\x0a\\\\\\xff"])
        #expect(try DblookProgram.look(reader, "other", "x") == nil)
    }

    @Test(
        "the command line",
        arguments: [
            (["gdbm", "x", "key"], nil), (["-dump", "gdbm", "x"], nil), (["-policydump", "BTREE", "x"], nil),
            (["-help"], nil),
            ([], "a key are needed"), (["gdbm", "x"], "a key are needed"),
            (["-dump", "gdbm", "x", "key"], "a type and a base name"),
            (["-list", "gdbm", "x"], "unknown option '-list'"), (["cdb", "x", "y"], "'cdb' is no database type"),
            (["text", "x", "y"], "no database to look into"), (["-dump", "-dump", "gdbm", "x"], "too many"),
        ] as [([String], String?)])
    func commandLine(arguments: [String], problem: String?) {
        do throws(UsageError) {
            _ = try DblookProgram.request(arguments)
            #expect(problem == nil)
        } catch {
            #expect(problem != nil && error.description.contains(problem ?? ""), "\(error)")
        }
    }
}
