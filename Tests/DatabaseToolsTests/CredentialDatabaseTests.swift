import Glibc
import ProgramKit
import SASL
import Tables
import Testing

@testable import DatabaseTools

@Suite("makedb -c")
struct CredentialDatabaseTests {
    private static let hash = "$1$abc$W7kCoTBqOgbGEVkUyuOF/0"
    private static let scram =
        "{SCRAM-SHA-256}4096:c2FsdHNhbHRzYWx0c2FsdA==:jLGK0jo09vcWEr1zVaEQgMNSmYL4LwOU+GtLGPoW7PY=:QBsTkA4W24SpKigPuJRW7H9JV8r8xlumx0R+b3oTLXE="

    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @discardableResult
    private func build(_ source: String, _ type: DatabaseType = .gdbm) throws -> DatabaseBuilder.Outcome {
        try scratch.write(source, to: "passwords")
        var request = DatabaseBuilder.Request()
        request.type = type
        request.basename = scratch.file("passwords")
        request.input = request.basename
        request.form = .credentials
        return try DatabaseBuilder(request: request, now: 1).run()
    }

    private func user(_ text: String) throws -> UserName { try #require(UserName(text)) }

    @Test("the database says of each user what the text says, and of the whole what kinds there are")
    func same() throws {
        let source = """
            # users
            alice:\(Self.hash)
            alice:\(Self.scram)

            bob:*
            Jörg Müller:\(Self.hash)
            """
        let outcome = try build(source)
        #expect(outcome.keys == 3 && outcome.repeated == 1 && outcome.warningCount == 0)
        try #require(chmod(scratch.file("passwords"), 0o600) == 0)
        let text = CredentialTable(path: scratch.file("passwords"))
        let database = CredentialTable(path: scratch.file("passwords.gdbm"))
        for name in ["alice", "bob", "Jörg Müller", "nobody", "ALICE"] {
            #expect(try database.find(user(name)) == text.find(user(name)))
        }
        #expect(try database.find(user("alice")).credentials.map(\.text) == [Self.hash, Self.scram])
        #expect(try !database.find(user("nobody")).isKnown)
        #expect(try database.mistakes().isEmpty && text.mistakes().isEmpty)
    }

    @Test("nobody but its owner can read it, whatever the umask")
    func mode() throws {
        try build("alice:\(Self.hash)\n")
        var information = stat()
        try #require(stat(scratch.file("passwords.gdbm"), &information) == 0)
        #expect(information.st_mode & 0o7777 == 0o600)
        try #require(chmod(scratch.file("passwords.gdbm"), 0o644) == 0)
        #expect(throws: TableTrouble.self) {
            try CredentialTable(path: scratch.file("passwords.gdbm")).find(user("alice"))
        }
    }

    @Test("every mistake is told with its line, without what may be a password, and nothing is built")
    func mistakes() throws {
        let source = """
            alice:\(Self.hash)
            bob:sesame
            carol
            :x
            alice:\(Self.scram)
            alice:\(Self.scram)
            \(String(repeating: "dora:*\n", count: 9))
            """
        for type in [DatabaseType.gdbm, .text] {
            let failure = #expect(throws: DatabaseBuilder.Failure.self) { try build(source, type) }
            let lines = try #require(failure?.lines)
            let starts = [":2: ", ":3: ", ":4: ", ":6: alice: has a second", ":15: dora: has more than 8"]
            #expect(lines.count == starts.count)
            for (line, start) in zip(lines, starts) {
                #expect(line.hasPrefix(scratch.file("passwords") + start), "\(line)")
            }
            #expect(!lines.joined().contains("sesame"))
            #expect(failure?.code == .dataError)
        }
        #expect(scratch.names == ["passwords"])
        try #require(chmod(scratch.file("passwords"), 0o600) == 0)
        #expect(try CredentialTable(path: scratch.file("passwords")).mistakes().count == 5)
    }

    @Test("a database of another kind is none of credentials")
    func another() throws {
        try scratch.write("alice x\n", to: "other")
        var request = DatabaseBuilder.Request()
        request.basename = scratch.file("other")
        request.input = request.basename
        _ = try DatabaseBuilder(request: request, now: 1).run()
        try #require(chmod(scratch.file("other.gdbm"), 0o600) == 0)
        let trouble = #expect(throws: TableTrouble.self) {
            try CredentialTable(path: scratch.file("other.gdbm")).find(user("alice"))
        }
        #expect(trouble?.description.hasSuffix("is no table of credentials; makedb -c builds one") == true)
    }
}
