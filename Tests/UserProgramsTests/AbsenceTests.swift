import Configuration
import Glibc
import ProgramKit
import Submission
import Testing

@testable import UserPrograms

/// Whole answers, of a message on standard input to what a server gets.
@Suite(.serialized) final class AbsenceTests {
    private let home: String

    init() throws {
        var template = Array("/tmp/zma-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        home = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        write("Subject: away\n\nI am away.\n", ".vacation.msg")
    }

    deinit {
        for name in ["vacation.msg", "vacation.db", "vacation.db.bad", "vacation.db.lock"] {
            unlink("\(home)/.\(name)")
        }
        rmdir("\(home)/.vacation.db")
        rmdir(home)
    }

    private func write(_ text: String, _ name: String) {
        let descriptor = open("\(home)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        #expect(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
    }

    private func absence(_ socket: String) throws -> Absence {
        let environment = ZEnvironment(values: ["SUBMISSIONSOCKET": socket, "HOSTNAME": "mx.d.test"])
        let account = SystemAccount(name: "alice", uid: getuid(), gid: getgid(), home: home)
        var options = try VacationArguments(["-j", "-s", "carl@else.test", "-r", "7"])
        options.user = "alice"
        return Absence(options, environment, UserIdentity(environment, account))
    }

    private func answer(_ socket: String) throws -> ExitCode {
        let absence = try absence(socket)
        return try StandardInput.with("From: carl@else.test\nSubject: lunch\n\nx\n") { absence.answer() }
    }

    private var told: Int64? {
        (try? AbsenceDatabase(reading: "\(home)/.vacation.db") { _ in })?.told["carl@else.test"]
    }

    @Test(
        "an answer that cannot be submitted fails nobody's mail, and is not remembered as one",
        arguments: [nil, "MAIL", "RCPT", "DATA", "data"] as [String?], ["451 4.3.0 later", "550 5.7.1 never"])
    func trouble(command: String?, reply: String) throws {
        let failing = try ScriptedServer { line in
            command.map(line.hasPrefix) == true ? reply : ScriptedServer.friendly(line)
        }
        defer { failing.stop() }
        #expect(try answer(command == nil ? "/tmp/nowhere/socket" : failing.path) == .ok)
        #expect(told == nil)
        #expect(failing.messages.allSatisfy(\.isEmpty) || command == "data")
        // The next message gets the answer, and the one behind it none.
        let server = try ScriptedServer()
        defer { server.stop() }
        for _ in 0..<2 { #expect(try answer(server.path) == .ok) }
        #expect(server.messages.count == 1 && told != nil)
    }

    @Test("a database that cannot be read now stays, and nobody is told; one that is damaged is put aside")
    func unreadable() throws {
        let server = try ScriptedServer()
        defer { server.stop() }
        let path = "\(home)/.vacation.db"
        // ELOOP, for root too.
        try #require(symlink(path, path) == 0)
        #expect(try answer(server.path) == .ok)
        var info = stat()
        #expect(lstat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFLNK)
        #expect(access("\(path).bad", F_OK) != 0 && server.messages.isEmpty)
        unlink(path)
        write("no database", ".vacation.db")
        #expect(try answer(server.path) == .ok)
        #expect(access("\(path).bad", F_OK) == 0 && server.messages.count == 1)
    }

    @Test("more excluded addresses than are kept are an error, and change nothing")
    func tooManyExcluded() throws {
        var database = AbsenceDatabase(path: "\(home)/.vacation.db")
        for number in 0..<AbsenceDatabase.maximumEntries {
            let isKept = database.exclude("user\(number)@else.test")
            #expect(isKept)
        }
        try database.write()
        let absence = try absence("/tmp/nowhere/socket")
        #expect(try StandardInput.with("one@else.test\n") { absence.exclude() } == .dataError)
        #expect(try StandardInput.with("user0@else.test\n") { absence.exclude() } == .ok)
        let found = try AbsenceDatabase(reading: "\(home)/.vacation.db") { _ in }
        #expect(found.excluded.count == AbsenceDatabase.maximumEntries)
    }
}
