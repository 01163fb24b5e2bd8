import Foundation
import Glibc
import Testing

/// A mail system of its own for one test: real programs, own folder, own port, own DNS zones; nothing is left running.
///
///     try await Instance.run { instance in
///         try await instance.swaks(to: "alice@example.test")
///         try await instance.waitForMail(of: "alice", count: 1)
///     }
final class Instance {
    /// What a test may change before the start.
    struct Settings {
        var domain = "example.test"
        var users = ["alice", "bob", "postmaster"]
        /// Keys of zmailer.conf, over those that `zmailer init` has written.
        var zenv: [String: String] = [:]
        /// The whole of scheduler.conf; nil: the sample, with retries that suit a test.
        var schedulerConf: String?
        /// PARAMs behind those of the sample, so that they hold.
        var smtpserverParameters: [String] = []
        var routes: [String] = []
        var aliases: [String] = []
        var relayNetworks: [String] = []
        var relayDomains: [String] = []
        var localNames: [String] = []
        /// Lines of the RESOLVERZONES file. Without any, every name outside is refused, so that no test asks the network.
        var zones: [String] = ["zone . static"]
        /// Folders between the temporary folder and the instance, for example `a/b`.
        var nesting = ""
        /// Seconds between attempts at a delivery.
        var retryInterval = "1s"
        /// Whether the policy database is made of `var/db` before the start.
        var buildsPolicy = true
        /// Where its programs run; nil: where the test does.
        var network: TestNetwork?
        /// The last change before the first start: owners and modes.
        var prepare: (Instance) throws -> Void = { _ in }
    }

    let directory: String
    /// What is removed at the end.
    private let temporary: String
    let port: UInt16
    let settings: Settings
    private(set) var supervisor: TestProcess?
    private var processes: [TestProcess] = []
    private var counter = 0

    /// Makes an instance, starts it, runs `body`, stops it as an operator would, and checks that nothing is left.
    static func run(
        _ change: (inout Settings) throws -> Void = { _ in },
        _ body: (Instance) async throws -> Void
    ) async throws {
        try await InstanceSlots.run { try await runNow(change, body) }
    }

    private static func runNow(
        _ change: (inout Settings) throws -> Void, _ body: (Instance) async throws -> Void
    ) async throws {
        var settings = Settings()
        try change(&settings)
        let instance = try await Instance(settings)
        do {
            try await instance.start()
            try await body(instance)
            try await instance.stop()
        } catch {
            let report = instance.report
            instance.destroy()
            throw HarnessError("\(error)\n\(report)")
        }
        // The peers are ours to end; what is left then is the system's.
        for process in instance.processes { process.killGroup() }
        let left = ProcessTable.processes(naming: instance.directory)
        instance.destroy()
        #expect(left.isEmpty, "left running after zmailer stop: \(left)")
    }

    init(_ settings: Settings) async throws {
        var template = Array("/tmp/zm-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: \(String(cString: strerror(errno)))") }
        temporary = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        directory = settings.nesting.isEmpty ? temporary : "\(temporary)/\(settings.nesting)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        port = try FreePorts.take()
        self.settings = settings
        let initialise = try spawn(
            Programs.zmailer,
            [
                "init", "--port", String(port), "--domain", settings.domain, "--libexec", Programs.libexec, "--samples",
                "\(Programs.layout)/share/zmailer", directory,
            ])
        let status = try await initialise.waitForExit()
        guard status == .exited(0) else { throw HarnessError("zmailer init: \(status): \(initialise.output)") }
        try configure()
        if settings.buildsPolicy { try await buildPolicy() }
    }

    deinit { destroy() }

    /// Ends every process of the instance at once and removes its folder.
    func destroy() {
        for process in processes { process.killGroup() }
        supervisor?.killGroup()
        let end = ContinuousClock().now + .seconds(10)
        while ContinuousClock().now < end {
            let left = ProcessTable.processes(naming: directory)
            if left.isEmpty { break }
            for process in left { kill(process.pid, SIGKILL) }
            usleep(2000)
        }
        if ProcessInfo.processInfo.environment["ZMAILER_TEST_KEEP"] == nil {
            try? FileManager.default.removeItem(atPath: temporary)
        }
    }

    // MARK: Paths and tables

    var configuration: String { "\(directory)/zmailer.conf" }
    var postoffice: String { "\(directory)/postoffice" }
    func maildir(_ user: String) -> Maildir { Maildir(path: "\(directory)/mail/\(user)") }

    func read(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: "\(directory)/\(path)") ?? Data(), as: UTF8.self)
    }

    /// Replaces the file at once. Foundation would open it without the close-on-exec flag, and a program that another test starts
    /// just then would keep it open for writing as long as it runs.
    func write(_ text: String, to path: String) throws {
        let path = "\(directory)/\(path)"
        let passing = "\(path).\(UUID().uuidString)"
        let descriptor = open(passing, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw HarnessError("\(passing): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let octets = Array(text.utf8)
        var done = 0
        while done < octets.count {
            let count = octets.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, $0.count - done) }
            guard count > 0 else { throw HarnessError("\(passing): \(String(cString: strerror(errno)))") }
            done += count
        }
        guard rename(passing, path) == 0 else { throw HarnessError("\(path): \(String(cString: strerror(errno)))") }
    }

    func append(_ lines: [String], to path: String) throws {
        guard !lines.isEmpty else { return }
        try write(read(path) + lines.map { $0 + "\n" }.joined(), to: path)
    }

    private func configure() throws {
        let zones = settings.zones
        var zenv = settings.zenv
        if !zones.isEmpty {
            try write(zones.joined(separator: "\n") + "\n", to: "var/db/zones")
            zenv["RESOLVERZONES"] = zenv["RESOLVERZONES"] ?? "\(directory)/var/db/zones"
        }
        try append(zenv.sorted { $0.key < $1.key }.map { "\($0.key)='\($0.value)'" }, to: "zmailer.conf")
        try append(settings.users.filter { !["alice", "bob", "postmaster"].contains($0) }, to: "var/db/users")
        try append(settings.routes, to: "var/db/routes")
        try append(settings.aliases, to: "var/db/aliases")
        try append(settings.relayNetworks, to: "var/db/smtp-policy.relay")
        try append(settings.relayDomains, to: "var/db/smtp-policy.mx")
        try append(settings.localNames, to: "var/db/localnames")
        let scheduler = settings.schedulerConf ?? quickened(read("share/scheduler.conf"))
        try write(scheduler, to: "share/scheduler.conf")
        try append(settings.smtpserverParameters.map { "PARAM \($0)" }, to: "share/smtpserver.conf")
        try settings.prepare(self)
    }

    /// The sample with every `interval=` replaced: what retries after a minute there, does here after a second.
    private func quickened(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let indent = line.prefix { $0 == " " || $0 == "\t" }
            guard line.dropFirst(indent.count).hasPrefix("interval=") else { return String(line) }
            return "\(indent)interval=\(settings.retryInterval)"
        }.joined(separator: "\n")
    }

    /// `zmailer newdb`: what was changed below `var/db` becomes the policy.
    func buildPolicy() async throws {
        let build = try await newDatabase()
        guard build.status == .exited(0) else {
            throw HarnessError("zmailer newdb: \(build.status): \(build.output)")
        }
    }

    /// The same, for a test that looks at how it fails.
    func newDatabase() async throws -> (status: TestProcess.ExitStatus, output: String) {
        try await zmailer("newdb")
    }

    // MARK: Start and stop

    func start() async throws {
        counter += 1
        let (program, arguments) = inNetwork(Programs.zmailer, ["start", "--foreground", "-Z", configuration])
        let process = try TestProcess(
            program, arguments, environment: ["ZMAILER_TEST_INSTANCE": directory],
            outputPath: "\(directory)/zmailer.out")
        supervisor = process
        // What this start says of itself: the port may still be that of a former one.
        let ready = "zmailer[\(process.pid)]: notice ready program=smtpserver"
        try await waitUntil("smtpserver listens on \(port)", details: { self.report }) {
            if let status = process.poll() { throw HarnessError("zmailer start ended: \(status)\n\(process.output)") }
            return process.output.contains(ready)
        }
    }

    /// As an operator stops it: SIGTERM to `zmailer start --foreground`.
    func stop() async throws {
        guard let supervisor else { return }
        supervisor.signal(SIGTERM)
        let status = try await supervisor.waitForExit()
        self.supervisor = nil
        guard status == .exited(0) else { throw HarnessError("zmailer ended \(status)\n\(supervisor.output)") }
    }

    /// `kill -9` of everything that belongs to the instance, as a crash of the machine would end it.
    func crash() {
        for process in ProcessTable.processes(naming: directory) { kill(process.pid, SIGKILL) }
        supervisor?.killGroup()
        supervisor = nil
    }

    /// Living processes whose program is `name`, for example `router` or `ta/smtp`.
    func pids(of name: String) -> [pid_t] {
        ProcessTable.processes(naming: directory).filter { process in
            process.command.split(separator: " ").first.map { $0.hasSuffix("/\(name)") } ?? false
        }.map { $0.pid }
    }

    // MARK: Programs beside it

    private func inNetwork(_ program: String, _ arguments: [String]) -> (program: String, arguments: [String]) {
        settings.network?.command(program, arguments) ?? (program, arguments)
    }

    /// A program whose end the instance takes care of; its output in a file of its own.
    func spawn(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
        descriptors: [Int32: Int32] = [:]
    ) throws -> TestProcess {
        counter += 1
        var environment = environment
        environment["ZMAILER_TEST_INSTANCE"] = directory
        let (program, arguments) = inNetwork(program, arguments)
        let process = try TestProcess(
            program, arguments, environment: environment, input: input, descriptors: descriptors,
            outputPath: "\(directory)/output.\(counter)")
        processes.append(process)
        return process
    }

    /// Runs a program to its end.
    @discardableResult
    func run(_ program: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil)
        async throws -> (status: TestProcess.ExitStatus, output: String)
    {
        let process = try spawn(program, arguments, environment: environment, input: input)
        let status = try await process.waitForExit(deadline: .seconds(300))
        return (status, process.output)
    }

    /// `zmailer …` or `mailq …` of this instance.
    @discardableResult
    func zmailer(_ arguments: String...) async throws -> (status: TestProcess.ExitStatus, output: String) {
        try await run(Programs.zmailer, arguments + ["-Z", configuration])
    }

    // MARK: What is seen

    func waitForMail(of user: String, count: Int, deadline: Duration = .seconds(60)) async throws {
        let maildir = maildir(user)
        try await waitUntil("\(count) messages of \(user)", deadline: deadline, details: { self.report }) {
            maildir.count >= count
        }
        #expect(maildir.count == count, "messages of \(user)")
    }

    /// Message and control files in the spool, by folder; notes of the freezer are none.
    var spoolFiles: [String: [String]] {
        var result: [String: [String]] = [:]
        for folder in ["public", "router", "queue", "transport", "deferred", "freezer", "postman"] {
            let enumerator = FileManager.default.enumerator(atPath: "\(postoffice)/\(folder)")
            let names = (enumerator?.compactMap { $0 as? String } ?? []).filter { name in
                var isFolder: ObjCBool = false
                let path = "\(postoffice)/\(folder)/\(name)"
                return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
                    && !(folder == "freezer" && name.hasSuffix(".reason"))
            }
            if !names.isEmpty { result[folder] = names.sorted() }
        }
        return result
    }

    func waitForEmptySpool(deadline: Duration = .seconds(60)) async throws {
        try await waitUntil("the spool is empty", deadline: deadline, details: { self.report }) {
            self.spoolFiles.isEmpty
        }
    }

    /// What a person wants to see after a failure.
    var report: String {
        var lines = ["instance \(directory), port \(port)", "spool: \(spoolFiles)"]
        for process in ProcessTable.processes(naming: directory) {
            lines.append("running: \(process.pid) \(process.command)")
        }
        lines.append("zmailer: " + Self.tail(read("zmailer.out")))
        let logs = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/log")) ?? []
        for log in logs.sorted() { lines.append("log/\(log): " + Self.tail(read("log/\(log)"))) }
        return lines.joined(separator: "\n")
    }

    private static func tail(_ text: String) -> String {
        text.split(separator: "\n").suffix(25).map { "\n    \($0.prefix(400))" }.joined()
    }
}
