import CPosix
import ChildProcesses
import Glibc
import ProgramKit
import Testing

@testable import Telemetry

@Suite("Log files")
struct LogFileTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/zm-log-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            for name in ["log", "log.1", "other"] { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
        try body(folder)
    }

    private func information(_ path: String) throws -> stat {
        var information = stat()
        try #require(stat(path, &information) == 0, "\(path)")
        return information
    }

    @Test("after rotation lines go to a new file of the same name")
    func reopened() throws {
        try withFolder { folder in
            let log = try EventLog(program: "test", destination: .file("\(folder)/log"))
            log.notice("before")
            try #require(rename("\(folder)/log", "\(folder)/log.1") == 0)
            log.notice("between")
            log.reopen()
            let old = try information("\(folder)/log.1").st_size
            log.notice("behind")
            #expect(try information("\(folder)/log").st_size > 0)
            #expect(try information("\(folder)/log.1").st_size == old)
        }
    }

    @Test("a log that cannot be opened again stays the old one, and says so")
    func stays() throws {
        try withFolder { folder in
            let log = try EventLog(program: "test", destination: .file("\(folder)/log"))
            try #require(rename("\(folder)/log", "\(folder)/log.1") == 0)
            try #require(mkdir("\(folder)/log", 0o700) == 0)
            defer { rmdir("\(folder)/log") }
            log.reopen()
            #expect(try information("\(folder)/log.1").st_size > 0)
        }
    }

    @Test("root follows no link and takes no second name of a file", .enabled(if: geteuid() == 0))
    func links() throws {
        try withFolder { folder in
            let other = cposix_open("\(folder)/other", O_WRONLY | O_CREAT, 0o600)
            try #require(other >= 0)
            close(other)
            try #require(symlink("\(folder)/other", "\(folder)/log") == 0)
            #expect(throws: EventLogError.self) { try LogFile.open("\(folder)/log") }
            unlink("\(folder)/log")
            try #require(link("\(folder)/other", "\(folder)/log") == 0)
            #expect(throws: EventLogError.self) { try LogFile.open("\(folder)/log") }
            #expect(try information("\(folder)/other").st_size == 0)
        }
    }

    @Test("what root makes belongs to the owner of the folder", .enabled(if: geteuid() == 0))
    func owner() throws {
        try withFolder { folder in
            try #require(chown(folder, 4242, 4243) == 0)
            let log = try EventLog(program: "test", destination: .file("\(folder)/log"))
            log.notice("x")
            let file = try information("\(folder)/log")
            #expect(file.st_uid == 4242 && file.st_gid == 4243 && file.st_mode & 0o777 == 0o640)
        }
    }

    @Test("work under another identity cannot be ended by that user", .enabled(if: geteuid() == 0))
    func threadIdentity() throws {
        var status = ""
        try IdentityThread.run(as: .init(uid: 4242, gid: 4243)) {
            if let octets = try? FileOctets.read("/proc/thread-self/status", limit: 1 << 16) {
                status = String(decoding: octets, as: UTF8.self)
            }
        }
        // Real, effective, saved, of files. kill(2) compares the sender's with the real and the saved one.
        #expect(status.contains("Uid:\t0\t4242\t0\t4242\n"), "\(status)")
        #expect(status.contains("\t4243\t0\t4243\n"), "\(status)")
        #expect(geteuid() == 0)
    }
}
