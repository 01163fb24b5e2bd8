import CPosix
import ChildProcesses
import Glibc
import Postoffice
import ProgramKit
import SpoolCheck
import SpoolFormat
import Synchronization
import Testing

/// A POSTOFFICE of one test, removed with it, and files of every kind in it.
final class SpoolScratch {
    let postoffice: Postoffice
    private let folder: String

    init() throws {
        var template = Array("/tmp/zm-check-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        postoffice = try Postoffice("\(folder)/po", creating: true)
    }

    deinit {
        for directory in SpoolDirectory.allCases {
            for name in names(directory) {
                unlink("\(postoffice.root)/\(directory.rawValue)/\(name)")
                rmdir("\(postoffice.root)/\(directory.rawValue)/\(name)")
            }
            rmdir("\(postoffice.root)/\(directory.rawValue)")
        }
        for name in [".pid.router", ".pid.scheduler", ".scheduler.mailq", ".router.queue"] {
            unlink("\(postoffice.root)/\(name)")
        }
        rmdir(postoffice.root)
        rmdir(folder)
    }

    func names(_ directory: SpoolDirectory) -> [String] {
        var names: [String] = []
        do throws(PostofficeError) {
            try postoffice.forEachEntry(directory) { name in
                names.append(name)
                return true
            }
        } catch {
            Issue.record("\(error)")
        }
        return names.sorted()
    }

    /// All of the spool, `directory/name`.
    var everything: [String] {
        SpoolDirectory.allCases.flatMap { directory in names(directory).map { "\(directory.rawValue)/\($0)" } }
    }

    func path(_ name: String) -> String { "\(postoffice.root)/\(name)" }

    func write(_ name: String, _ octets: [UInt8], mode: mode_t = 0o640) throws {
        let descriptor = cposix_open(path(name), O_WRONLY | O_CREAT | O_TRUNC, mode)
        try #require(descriptor >= 0, "\(name): \(errno)")
        defer { close(descriptor) }
        fchmod(descriptor, mode)
        try #require(Glibc.write(descriptor, octets, octets.count) == octets.count)
    }

    func link(_ old: String, _ new: String) throws { try #require(Glibc.link(path(old), path(new)) == 0) }

    static let message = Array(
        "format crlf\nfrom <a@example.org>\nto <b@example.org>\nenv-end\nSubject: x\r\n\r\nbody\r\n".utf8)

    func submitted() throws -> SpoolID {
        let id = postoffice.newID()
        try postoffice.submit(id, [Self.message])
        return id
    }

    static func control(_ id: SpoolID, recipients: Int = 1) -> ControlFile {
        var file = ControlFile(
            id: id, headerStart: 60, bodyOffset: 74, messageSize: message.count, logID: "<x@example.org>",
            groups: [
                ControlGroup(
                    sender: Quad(channel: "smtp", host: "-", user: "a@example.org", privilege: 99),
                    errorsTo: "a@example.org",
                    recipients: (0..<recipients).map {
                        ControlRecipient(
                            quad: Quad(channel: "smtp", host: "h", user: "b\($0)@example.org", privilege: 99))
                    })
            ])
        _ = file.encodeHead()
        return file
    }

    /// In `queue/` and `transport/`.
    @discardableResult
    func routed(recipients: Int = 1) throws -> SpoolID {
        let id = try submitted()
        _ = try postoffice.claimForQueue(id)
        var control = Self.control(id, recipients: recipients)
        try postoffice.writeControl(id, control.encodeHead())
        try postoffice.settle([id])
        return id
    }

    static func record(_ recipient: ControlRecipient, _ action: Notary.Action, isReported: Bool = true) -> ResultRecord
    {
        ResultRecord(
            offset: recipient.offset, headerOffset: -1, notaryOffset: -1, time: 1,
            notary: Notary(finalRecipient: "rfc822;b", action: action, status: "2.0.0"), message: "x",
            isReported: isReported)
    }

    func append(_ id: SpoolID, _ index: Int, _ action: Notary.Action, tag: ControlRecipient.Tag?) throws {
        let file = try ControlFile.parse(try postoffice.read(.transport, id, limit: 1 << 20))
        let recipient = Array(file.recipients)[index]
        try postoffice.append([(Self.record(recipient, action), tag)], to: id, sync: false)
    }

    // MARK: The check

    static let options: SpoolCheckOptions = {
        var options = SpoolCheckOptions()
        options.pause = 20
        return options
    }()

    /// As at `hours` from now; files are as old as they are.
    func check(repairs: Bool = true, hours: Int64 = 0) throws -> (findings: [SpoolFinding], summary: SpoolCheck.Summary)
    {
        var options = Self.options
        options.repairs = repairs
        var findings: [SpoolFinding] = []
        let check = SpoolCheck(postoffice, options) { Int64(time(nil)) + hours * 3600 }
        let summary = try check.run { findings.append($0) }
        #expect(summary.findings == findings.count)
        return (findings, summary)
    }
}

/// Stands for a running daemon: holds its pid file and answers `audit`, once for each element of `answers`, then with the last.
final class AuditedDaemon: Sendable {
    private let listener: Int32
    private let answers: Mutex<[String]>
    private nonisolated(unsafe) let pidFile: PidFile

    init(_ spool: SpoolScratch, pidFile: String, socket: String, answers: [String]) throws {
        self.pidFile = try PidFile(path: spool.path(pidFile))
        listener = try UnixSocket.listen(spool.path(socket))
        self.answers = Mutex(answers)
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                Unmanaged<AuditedDaemon>.fromOpaque(raw).takeRetainedValue().serve()
                return nil
            }, context.toOpaque())
        pthread_detach(thread)
    }

    private func serve() {
        while true {
            var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 60_000) > 0, let client = UnixSocket.accept(listener) else { break }
            UnixSocket.makeBlocking(client)
            var question = [UInt8](repeating: 0, count: 64)
            let count = read(client, &question, question.count)
            let answer = answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
            if count > 0, String(decoding: question[..<count], as: UTF8.self) == "audit\n" {
                let octets = Array(answer.utf8)
                _ = Glibc.write(client, octets, octets.count)
            }
            close(client)
        }
    }

    func end() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        pidFile.remove()
    }

    static func scheduler(_ spool: SpoolScratch, _ answers: String...) throws -> AuditedDaemon {
        try AuditedDaemon(spool, pidFile: ".pid.scheduler", socket: ".scheduler.mailq", answers: answers)
    }

    static func router(_ spool: SpoolScratch, _ answers: String...) throws -> AuditedDaemon {
        try AuditedDaemon(spool, pidFile: ".pid.router", socket: ".router.queue", answers: answers)
    }
}
