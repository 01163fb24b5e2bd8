import ChildProcesses
import Configuration
import Glibc
import MailModel
import Postoffice
import ProgramKit
import SpoolFormat
import Synchronization
import Telemetry

@testable import Scheduler

/// A scheduler loop on a thread of its own, with a fresh POSTOFFICE, and agents that are shell scripts.
final class TestScheduler: @unchecked Sendable {
    // Sound: the loop is touched by its own thread only; everything else never changes.
    let root: String
    let postoffice: Postoffice
    private let commands: (read: Int32, write: Int32)
    private var thread: pthread_t = 0
    private let isRunning = Atomic<Bool>(false)

    init() throws {
        var template = Array("/tmp/zs-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestFailure("mkdtemp") }
        root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        postoffice = try Postoffice("\(root)/po", creating: true)
        for folder in ["ta", "share", "log"] { mkdir("\(root)/\(folder)", 0o755) }
        guard let ends = Descriptor.pipe() else { throw TestFailure("pipe") }
        commands = ends
        signal(SIGPIPE, SIG_IGN)
    }

    deinit {
        close(commands.read)
        close(commands.write)
        system("rm -rf '\(root)'")
    }

    var environment: ZEnvironment {
        ZEnvironment(values: [
            "MAILBIN": root, "MAILSHARE": "\(root)/share", "POSTOFFICE": "\(root)/po",
            "ZCONFIG": "\(root)/zmailer.conf",
            "HOSTNAME": "mx.example.test",
        ])
    }

    /// An agent: a shell script in `ta/`. `$line` holds the job; `report OFFSET STATUS ACTION DSN TEXT` and `offsets ID` are defined.
    func agent(_ name: String, _ body: String) throws {
        let script = """
            #!/bin/sh
            host=""
            tab=$(printf '\\t')
            soh=$(printf '\\001')
            channel=${0##*/}
            [ "$1" = -c ] && channel=$2
            offsets() { grep -abo "^r.\\{11\\}$channel " "$1" | cut -d: -f1; }
            report() { printf '%s/%s\\t%s\\t%s %s\\n' "$id" "$1" "rcpt@x$soh$3$soh$4$soh$soh$soh" "$2" "$5"; }
            echo '#hungry'
            while IFS= read -r line; do
                case $line in '#idle') continue;; esac
                id=${line%%$tab*}
                host=${line#*$tab}
            \(body)
                echo '#hungry'
            done
            """
        try write(script, to: "ta/\(name)")
        chmod("\(root)/ta/\(name)", 0o755)
    }

    func write(_ text: String, to path: String) throws {
        guard let file = fopen("\(root)/\(path)", "w") else { throw TestFailure(path) }
        fputs(text, file)
        fclose(file)
    }

    func read(_ path: String) -> String {
        (try? FileOctets.read("\(root)/\(path)", limit: 1 << 24)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    func lines(_ path: String) -> [Substring] { read(path).split(separator: "\n") }

    var log: String { read("log/scheduler") }

    /// A routed message as the router leaves it. `recipients` are `channel host address`.
    @discardableResult
    func queue(
        _ recipients: [String], sender: String? = "sender@example.test", notify: Notify = .standard,
        directories: [SpoolDirectory] = [.queue, .transport], id: SpoolID? = nil,
        configure: (inout ControlFile) -> Void = { _ in }
    ) throws -> SpoolID {
        let id = id ?? postoffice.newID()
        let header = "Subject: test\r\nMessage-Id: <1@example.test>\r\n\r\n"
        let content = "format crlf\nfrom x\nenv-end\n\(header)body\r\n"
        let headerStart = content.utf8.count - header.utf8.count - 6
        var file = ControlFile(
            id: id, headerStart: headerStart, bodyOffset: headerStart + header.utf8.count,
            messageSize: content.utf8.count, logID: "<1@example.test>",
            groups: [
                ControlGroup(
                    sender: Quad(
                        channel: sender == nil ? "error" : "smtp", host: "-", user: sender ?? "", privilege: 0),
                    errorsTo: sender,
                    recipients: recipients.map { text in
                        let words = text.split(separator: " ").map(String.init)
                        return ControlRecipient(
                            quad: Quad(channel: words[0], host: words[1], user: words[2], privilege: 0), notify: notify)
                    })
            ])
        file.isErrorMessage = sender == nil
        configure(&file)
        // Complete when it gets its name, as the router's files are.
        func place(_ text: String, _ directory: SpoolDirectory) throws {
            try write(text, to: "po/public/\(id)")
            guard rename("\(root)/po/public/\(id)", postoffice.path(directory, id)) == 0 else {
                throw TestFailure("rename")
            }
        }
        if directories.contains(.router) { try place(content, .router) }
        if directories.contains(.queue) { try place(content, .queue) }
        if directories.contains(.transport) {
            try place(String(decoding: file.encodeHead(), as: UTF8.self), .transport)
        }
        return id
    }

    /// Puts a directory in the place of `router/X`.
    func makeUnremovable(_ id: SpoolID) throws {
        guard mkdir(postoffice.path(.router, id), 0o700) == 0 else { throw TestFailure("mkdir") }
    }

    func makeRemovable(_ id: SpoolID) throws {
        guard rmdir(postoffice.path(.router, id)) == 0 else { throw TestFailure("rmdir") }
    }

    func notify(_ ids: [SpoolID]) {
        NoticeSender(socketPath: "\(root)/po/.scheduler.notify", directory: "transport").send(ids)
    }

    func sendDatagram(_ text: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        let octets = Array(text.utf8)
        guard connected(descriptor, ".scheduler.notify"), send(descriptor, octets, octets.count, 0) == octets.count
        else {
            throw TestFailure("datagram: \(errno)")
        }
    }

    private func connected(_ descriptor: Int32, _ name: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: "\(root)/po/\(name)".utf8) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    func control(_ id: SpoolID) throws -> ControlFile {
        try ControlFile.parse(try postoffice.read(.transport, id, limit: 1 << 20))
    }

    // MARK: Running

    func start(_ configuration: String, options: SchedulerOptions = SchedulerOptions()) throws {
        try write(configuration, to: "share/scheduler.conf")
        // A reload reads it again.
        try write(environment.values.map { "\($0)=\($1)\n" }.joined(), to: "zmailer.conf")
        let path = "\(root)/share/scheduler.conf"
        let active = try ActiveConfiguration.read(path, environment: environment, onlyThread: options.onlyThread)
        let log = try EventLog(program: "scheduler", destination: .file("\(root)/log/scheduler"), level: .debug)
        let environment = environment
        let postoffice = postoffice
        let reportSettings = ReportSettings()
        reportSettings.set(active.configuration, environment)
        let reportRules = reportSettings.rules()
        let doubleFaults = DoubleFaults(log: log)
        isRunning.store(true, ordering: .releasing)
        let body = ThreadBody { [commands, isRunning = Flag(self)] in
            guard let notices = try? NoticeReceiver(socketPath: "\(postoffice.root)/.scheduler.notify") else { return }
            let router = NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router")
            let files = FileWorkers(threads: 2) {
                FileWorker(
                    postoffice: postoffice, routerNotice: router,
                    reports: ReportWriter(
                        postoffice: postoffice, routerNotice: router, hostName: "mx.example.test",
                        formDirectory: "\(environment.mailshare)/forms",
                        clock: { SchedulerLoop.milliseconds() / 1000 }, rules: reportRules,
                        doubleFaults: doubleFaults),
                    storesErrorOnError: { active.configuration.parameters.storesErrorOnError })
            }
            let loop = SchedulerLoop(
                environment: environment, options: options, active: active, configurationPath: path, log: log,
                signals: nil, notices: notices, postoffice: postoffice, owner: SpoolOwner(of: postoffice.root),
                files: files)
            loop.poller.add(commands.read, .read) { [unowned loop] _ in
                var command: UInt8 = 0
                _ = Glibc.read(commands.read, &command, 1)
                switch command {
                case UInt8(ascii: "r"): loop.reload()
                case UInt8(ascii: "h"): loop.hangUp()
                default: loop.shutDown(reason: "test")
                }
            }
            try? loop.run()
            isRunning.clear()
        }
        let context = Unmanaged.passRetained(body).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                Unmanaged<ThreadBody>.fromOpaque(raw).takeRetainedValue().run()
                return nil
            }, context)
        guard code == 0 else { throw TestFailure("pthread_create") }
    }

    /// Returns when it answers.
    func startAndWait(
        _ configuration: String = Scripts.configuration, options: SchedulerOptions = SchedulerOptions()
    ) throws {
        try start(configuration, options: options)
        try wait("the queue socket") { (try? ask("status"))?.count == 1 }
    }

    private func command(_ letter: Character) {
        var octet = letter.asciiValue ?? 0
        _ = Glibc.write(commands.write, &octet, 1)
    }

    func reload(_ configuration: String) throws {
        try write(configuration, to: "share/scheduler.conf")
        command("r")
    }

    /// As SIGHUP.
    func hangUp() { command("h") }

    func requestStop() { command("q") }

    func stop() {
        guard isRunning.load(ordering: .acquiring) else { return }
        command("q")
        pthread_join(thread, nil)
    }

    fileprivate func cleared() { isRunning.store(false, ordering: .releasing) }

    /// Asks the queue socket.
    func ask(_ question: String) throws -> [String] {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        guard connected(descriptor, ".scheduler.mailq") else { throw TestFailure("connect: \(errno)") }
        let octets = Array("\(question)\n".utf8)
        _ = Glibc.write(descriptor, octets, octets.count)
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            answer += buffer[0..<count]
        }
        return String(decoding: answer, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func exists(_ directory: SpoolDirectory, _ id: SpoolID) -> Bool {
        access(postoffice.path(directory, id), F_OK) == 0
    }

    func isGone(_ id: SpoolID) -> Bool {
        ![SpoolDirectory.router, .queue, .transport].contains { exists($0, id) }
    }

    /// Waits for a condition, at most 20 s.
    func wait(_ what: String, until condition: () throws -> Bool) throws {
        let end = time(nil) + 20
        while try !condition() {
            guard time(nil) < end else { throw TestFailure("not within 20 s: \(what)\n\(log)") }
            usleep(5000)
        }
    }
}

private final class ThreadBody {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private struct Flag: Sendable {
    let owner: TestScheduler
    init(_ owner: TestScheduler) { self.owner = owner }
    func clear() { owner.cleared() }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
