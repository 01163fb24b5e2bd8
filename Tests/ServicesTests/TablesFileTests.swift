import Glibc
import Tables
import Testing

/// A folder that is removed with its content.
final class TableFolder {
    let path: String

    init() {
        var template = Array("/tmp/tables-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? "/nonexistent"
        }
    }

    deinit {
        for name in ["t", "t.new", "users"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    func write(_ text: String, to name: String = "t", mode: mode_t = 0o644) {
        let file = "\(path)/\(name)"
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        let octets = Array(text.utf8)
        #expect(Glibc.write(descriptor, octets, octets.count) == octets.count)
        close(descriptor)
        #expect(chmod(file, mode) == 0)
    }
}

@Suite("Tables: files that change")
struct TableFileTests {
    final class Events {
        var list: [TableEvent] = []
    }

    private func names(_ folder: TableFolder, _ events: Events, isRequired: Bool = false) -> TableFile<NameTable> {
        TableFile(
            path: "\(folder.path)/t", empty: isRequired ? nil : NameTable(), parse: NameTable.parse,
            report: { events.list.append($0) })
    }

    private func read(_ file: TableFile<NameTable>, _ now: Int64) throws -> [String] {
        try file.current(now: now).table.names.map(\.name)
    }

    @Test("a change is seen after a second, not before")
    func change() throws {
        let folder = TableFolder()
        let events = Events()
        let file = names(folder, events)
        folder.write("alice\n")
        #expect(try read(file, 0) == ["alice"])
        folder.write("alice\nbob\n")
        #expect(try read(file, 999) == ["alice"])
        #expect(try read(file, 1000) == ["alice", "bob"])
        #expect(events.list == [.loaded(path: file.path)])
    }

    @Test("a change of the same length is seen")
    func sameLength() throws {
        let folder = TableFolder()
        let file = names(folder, Events())
        folder.write("alice\n")
        #expect(try read(file, 0) == ["alice"])
        folder.write("carol\n")
        #expect(try read(file, 1000) == ["carol"])
    }

    @Test("a wrong version is reported and the one before stays")
    func broken() throws {
        let folder = TableFolder()
        let events = Events()
        let file = names(folder, events)
        folder.write("alice\n")
        #expect(try read(file, 0) == ["alice"])
        folder.write("alice\nb/b\n")
        #expect(try read(file, 1000) == ["alice"])
        #expect(try read(file, 2000) == ["alice"])
        guard case .broken(let errors, true)? = events.list.first else {
            Issue.record("\(events.list)")
            return
        }
        #expect(events.list.count == 1)
        #expect(errors.errors.first?.line == 2)
        folder.write("alice\nbb\n")
        #expect(try read(file, 3000) == ["alice", "bb"])
    }

    @Test("wrong from the start means trouble, not an empty table")
    func brokenFirst() throws {
        let folder = TableFolder()
        let events = Events()
        let file = names(folder, events)
        folder.write("b/b\n")
        #expect(throws: TableTrouble.self) { try file.current(now: 0) }
        #expect(throws: TableTrouble.self) { try file.current(now: 500) }
        folder.write("bb\n")
        #expect(try read(file, 1000) == ["bb"])
    }

    @Test("a missing optional table is empty, reported once, and found when it comes")
    func missing() throws {
        let folder = TableFolder()
        let events = Events()
        let file = names(folder, events)
        for now in [0, 1000, 2000] as [Int64] { #expect(try read(file, now).isEmpty) }
        #expect(events.list == [.missing(path: file.path)])
        folder.write("alice\n")
        #expect(try read(file, 3000) == ["alice"])
    }

    @Test("a file that is being replaced is not taken for an empty one")
    func vanished() throws {
        let folder = TableFolder()
        let events = Events()
        let file = names(folder, events)
        folder.write("alice\n")
        #expect(try read(file, 0) == ["alice"])
        unlink(file.path)
        #expect(try read(file, 1000) == ["alice"])
        #expect(try read(file, 3999) == ["alice"])
        #expect(try read(file, 5000).isEmpty)
        #expect(events.list == [.missing(path: file.path)])
    }

    @Test("a table whose folder is gone is trouble, not an empty table: a file system may not be mounted")
    func folderGone() throws {
        let folder = TableFolder()
        let file = names(folder, Events())
        rmdir(folder.path)
        #expect(throws: TableTrouble.self) { try file.current(now: 0) }
        #expect(mkdir(folder.path, 0o755) == 0)
        #expect(try read(file, 1000).isEmpty)
        folder.write("alice\n")
        #expect(try read(file, 2000) == ["alice"])
        let away = folder.path + ".away"
        #expect(rename(folder.path, away) == 0)
        #expect(try read(file, 60_000) == ["alice"])
        #expect(rename(away, folder.path) == 0)
    }

    @Test("a required table that is missing is trouble; once read, it stays")
    func required() throws {
        let folder = TableFolder()
        let events = Events()
        let file = names(folder, events, isRequired: true)
        #expect(throws: TableTrouble.self) { try file.current(now: 0) }
        folder.write("alice\n")
        #expect(try read(file, 1000) == ["alice"])
        unlink(file.path)
        #expect(try read(file, 60_000) == ["alice"])
        #expect(events.list.contains(.unreadable(path: file.path, code: ENOENT, keepsOld: true)))
    }

    @Test("lookAgain reads at once")
    func lookAgain() throws {
        let folder = TableFolder()
        let file = names(folder, Events())
        folder.write("alice\n")
        #expect(try read(file, 0) == ["alice"])
        folder.write("bob\n")
        file.lookAgain()
        #expect(try read(file, 1) == ["bob"])
    }

    @Test(
        "who could have written a table decides about its privilege",
        arguments: [
            (0o644, 0o755, true), (0o600, 0o700, true), (0o664, 0o755, false), (0o646, 0o755, false),
            (0o644, 0o775, false), (0o644, 0o757, false), (0o644, 0o1777, true),
        ] as [(mode_t, mode_t, Bool)])
    func owner(mode: mode_t, folderMode: mode_t, isSecure: Bool) throws {
        let folder = TableFolder()
        let file = names(folder, Events())
        folder.write("alice\n", mode: mode)
        #expect(chmod(folder.path, folderMode) == 0)
        let owner = try #require(try file.current(now: 0).owner)
        #expect(owner.isSecure == isSecure)
        #expect(owner.privilege == (isSecure ? Int(getuid()) : 65534))
    }

    @Test("a change of mode alone is seen")
    func modeChange() throws {
        let folder = TableFolder()
        let file = names(folder, Events())
        folder.write("alice\n")
        #expect(try file.current(now: 0).owner?.isSecure == true)
        #expect(chmod(file.path, 0o666) == 0)
        #expect(try file.current(now: 1000).owner?.isSecure == false)
    }
}

@Suite("Tables: accounts")
struct AccountsTests {
    @Test(
        "settings",
        arguments: [
            (nil, .passwd), ("", .passwd), ("passwd", .passwd), ("system", .passwd), ("file:/a/b", .file("/a/b")),
            ("file:a", nil), ("ldap", nil), ("/a/b", nil),
        ] as [(String?, Accounts.Source?)])
    func settings(text: String?, source: Accounts.Source?) {
        #expect(Accounts.Source(text) == source)
    }

    @Test("the system is asked for the name as given, then in lower case, and believed for ten seconds")
    func system() throws {
        var asked: [String] = []
        let accounts = Accounts(.passwd, report: { _ in }) { name in
            asked.append(name)
            return name == "alice" ? 0 : ENOENT
        }
        #expect(try accounts.account("Alice", now: 0)?.name == "alice")
        #expect(try accounts.account("Alice", now: 9999)?.name == "alice")
        #expect(try accounts.account("bob", now: 9999) == nil)
        #expect(try accounts.account("bob", now: 9999) == nil)
        #expect(asked == ["Alice", "alice", "bob"])
        #expect(try accounts.account("Alice", now: 10_000)?.name == "alice")
        #expect(asked.count == 5)
    }

    @Test("a name service that fails is trouble, and asked again")
    func failing() throws {
        var code = EIO
        let accounts = Accounts(.passwd, report: { _ in }) { _ in code }
        #expect(throws: TableTrouble.self) { try accounts.account("alice", now: 0) }
        code = 0
        #expect(try accounts.account("alice", now: 1)?.name == "alice")
    }

    @Test("an account of the system below MINUID has no mailbox, not even as postmaster of last resort")
    func minimumUID() throws {
        let accounts = Accounts(.passwd, minimumUID: 1, report: { _ in })
        #expect(try accounts.account("root", now: 0) == nil)
        #expect(try accounts.postmasterOfLastResort(now: 0) == nil)
        #expect(try Accounts(.passwd, report: { _ in }).account("root", now: 0)?.name == "root")
    }

    @Test("what cannot be a user name is not asked for", arguments: ["a/b", "", "..", "a b", "a\u{1}b"])
    func noName(name: String) throws {
        let accounts = Accounts(.passwd, report: { _ in }) { _ in 0 }
        #expect(try accounts.account(name, now: 0) == nil)
    }

    @Test("the first name of the file reads the postmaster's mail if nobody else does")
    func postmaster() throws {
        let folder = TableFolder()
        folder.write("zoe\nalice\n", to: "users")
        let accounts = Accounts(.file("\(folder.path)/users"), report: { _ in })
        #expect(try accounts.postmasterOfLastResort(now: 0)?.name == "zoe")
        #expect(try accounts.account("ALICE", now: 0)?.origin == "\(folder.path)/users:2")
    }
}
