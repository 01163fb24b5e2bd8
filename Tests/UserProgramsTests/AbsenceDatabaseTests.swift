import Glibc
import Testing

@testable import UserPrograms

@Suite struct AbsenceDatabaseTests {
    private let folder: String
    private var path: String { "\(folder)/.vacation.db" }

    init() throws {
        var template = Array("/tmp/zmv-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func remove() {
        for name in [".vacation.db", ".vacation.db.bad", ".vacation.db.lock"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    private func read() throws -> (database: AbsenceDatabase, complaints: [String]) {
        var complaints: [String] = []
        let database = try AbsenceDatabase(reading: path) { complaints.append($0) }
        return (database, complaints)
    }

    @Test("what was written is read")
    func roundTrip() throws {
        defer { remove() }
        var database = AbsenceDatabase(path: path)
        database.interval = 86_400
        database.tell("carl@else.test", at: 1_800_000_000)
        let isKept = database.exclude("@firm.test")
        #expect(isKept)
        try database.write()
        let (found, complaints) = try read()
        #expect(found.told == ["carl@else.test": 1_800_000_000])
        #expect(found.excluded == ["@firm.test"] && found.interval == 86_400 && complaints.isEmpty)
        var info = stat()
        #expect(stat(path, &info) == 0 && info.st_mode & 0o777 == 0o600)
    }

    @Test("nothing there is an empty database")
    func missing() throws {
        defer { remove() }
        let (found, complaints) = try read()
        #expect(found.told.isEmpty && found.interval == nil && complaints.isEmpty)
    }

    @Test(
        "a file that is none is put aside and told",
        arguments: ["", "no database", String(repeating: "x", count: 9000)])
    func broken(text: String) throws {
        defer { remove() }
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
        let (found, complaints) = try read()
        #expect(found.told.isEmpty && complaints.count == 1)
        #expect(complaints.first?.contains("\(path).bad") == true)
        #expect(access(path, F_OK) != 0 && access("\(path).bad", F_OK) == 0)
        try found.write()
        #expect(try read().complaints.isEmpty)
    }

    @Test("one that was cut in the middle costs no more")
    func truncated() throws {
        defer { remove() }
        var database = AbsenceDatabase(path: path)
        for number in 0..<500 { database.tell("user\(number)@else.test", at: 1) }
        try database.write()
        var info = stat()
        try #require(stat(path, &info) == 0 && truncate(path, info.st_size / 2) == 0)
        let (found, complaints) = try read()
        #expect(found.told.count <= 500 && complaints.count == 1)
    }

    @Test("of too many senders the oldest are forgotten")
    func bounded() {
        defer { remove() }
        var database = AbsenceDatabase(path: path)
        for number in 0..<(AbsenceDatabase.maximumEntries + 1) {
            database.tell("user\(number)@else.test", at: Int64(number))
        }
        #expect(database.told.count == AbsenceDatabase.maximumEntries * 3 / 4)
        #expect(database.told["user0@else.test"] == nil)
        #expect(database.told["user\(AbsenceDatabase.maximumEntries)@else.test"] != nil)
    }

    @Test("two do not decide at the same time")
    func lock() throws {
        defer { remove() }
        do {
            let first = try #require(AbsenceLock(beside: path))
            let other = open("\(path).lock", O_RDWR)
            defer { close(other) }
            #expect(flock(other, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            withExtendedLifetime(first) {}
        }
        #expect(AbsenceLock(beside: path) != nil)
        #expect(AbsenceLock(beside: "\(folder)/nowhere/db") == nil)
    }
}
