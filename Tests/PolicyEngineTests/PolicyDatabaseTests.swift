import Glibc
import MailModel
import Policy
import Tables
import Testing

@testable import PolicyEngine

/// Compiles as `makedb -A -p` does.
func build(_ source: String, _ path: String, isWhole: Bool = true) throws {
    let writer = try GDBMWriter(path: path)
    var reader = PolicySourceReader(file: "smtp-policy.src")
    for line in Octets.split(Array(source.utf8)[...], at: 0x0a) {
        switch reader.read(line: line) {
        case .entry(let key, let record): _ = try writer.append(key.octets, record.octets)
        case .nothing: continue
        case .error(let error): Issue.record("\(error)")
        }
    }
    var metadata = reader.metadata()
    metadata.entries = writer.count
    if isWhole { _ = try writer.insert(PolicyKey.metadata, metadata.octets) }
    try writer.commit()
}

@Suite("Policy engine: database files")
struct PolicyDatabaseTests {
    private static func source(_ domain: String) -> String {
        "\(domain) relaytarget +\n. relaytarget -\n[0.0.0.0]/0 relaycustnet -\n"
    }

    private func fixture(_ domain: String = "one.test") throws -> (EngineFixture, path: String) {
        let fixture = try EngineFixture()
        let base = "\(fixture.scratch.path)/policy"
        try build(Self.source(domain), "\(base).gdbm")
        fixture.settings.database = .gdbm(base)
        return (fixture, "\(base).gdbm")
    }

    @Test("a new database is in use within a second, and the log says so")
    func hotReload() throws {
        let (fixture, path) = try fixture()
        #expect(try fixture.recipient("a@one.test").reply?.code == nil)
        #expect(try fixture.recipient("a@two.test").reply?.code == 550)
        try build(Self.source("two.test"), path)
        fixture.pass(999)
        #expect(try fixture.recipient("a@one.test").reply?.code == nil)
        fixture.pass(1)
        #expect(try fixture.recipient("a@one.test").reply?.code == 550)
        #expect(try fixture.recipient("a@two.test").reply?.code == nil)
        #expect(fixture.scratch.logLines("policy-loaded").count == 2)
    }

    @Test("a session goes on over a new database: what it found out before holds")
    func session() throws {
        let (fixture, path) = try fixture()
        try fixture.openSession()
        try build(Self.source("two.test"), path)
        fixture.pass(1000)
        #expect(try fixture.ask(fixture.question(.rcpt, from: "a@b.test", to: "a@two.test")).verdict == .accept)
    }

    @Test(
        "a new file that is broken is not used, and named; the next good one is",
        arguments: ["text", "cut", "empty", "unfinished", "directory", "unreadable"])
    func brokenNew(kind: String) throws {
        let (fixture, path) = try fixture()
        #expect(try fixture.recipient("a@one.test").reply?.code == nil)
        try spoil(kind, path, fixture.scratch)
        for _ in 0..<3 {
            fixture.pass(1000)
            #expect(try fixture.recipient("a@one.test").reply?.code == nil)
        }
        #expect(fixture.scratch.logLines("policy-broken").count == 1)
        rmdir(path)
        try build(Self.source("two.test"), path)
        fixture.pass(1000)
        #expect(try fixture.recipient("a@two.test").reply?.code == nil)
    }

    @Test(
        "without a good one before, every answer is 451 and the reason is in the log",
        arguments: ["text", "cut", "empty", "unfinished", "directory", "unreadable"])
    func brokenFirst(kind: String) throws {
        let (fixture, path) = try fixture()
        try spoil(kind, path, fixture.scratch)
        for verb in [PolicyQuestion.Verb.connect, .helo, .mail, .rcpt] {
            let answer = try fixture.ask(fixture.question(verb, from: "a@b.test", to: "a@one.test"))
            #expect(answer.reply?.code == 451)
            #expect(answer.verdict == .refuse)
        }
        #expect(fixture.scratch.logLines("policy-broken").count == 1)
        #expect(fixture.scratch.logText.contains(path))
        rmdir(path)
        try build(Self.source("one.test"), path)
        fixture.pass(1000)
        #expect(try fixture.recipient("a@one.test").reply?.code == nil)
    }

    @Test("a database that is cut while it is in use is trouble, no crash and no accept")
    func cutInUse() throws {
        let (fixture, path) = try fixture()
        #expect(try fixture.recipient("a@one.test").reply?.code == nil)
        #expect(truncate(path, 4096) == 0)
        #expect(try fixture.recipient("a@one.test").reply?.code == 451)
        fixture.pass(1000)
        #expect(try fixture.recipient("a@one.test").reply?.code == 451)
        try build(Self.source("one.test"), path)
        fixture.pass(1000)
        #expect(try fixture.recipient("a@one.test").reply?.code == nil)
    }

    @Test("askers may name different databases; each is opened once, and their number is bounded")
    func several() throws {
        let fixture = try EngineFixture()
        for number in 0..<40 {
            let base = "\(fixture.scratch.path)/policy\(number)"
            try build(Self.source("d\(number).test"), "\(base).gdbm")
            fixture.settings.database = .gdbm(base)
            #expect(try fixture.recipient("a@d\(number).test").reply?.code == nil)
            #expect(try fixture.recipient("a@d\(number + 1).test").reply?.code == 550)
        }
        #expect(openFiles(fixture.scratch.path) <= 16 + 3)
        #expect(fixture.scratch.logLines("policy-loaded").count == 40)
    }

    /// Descriptors of this process that lead into the folder.
    private func openFiles(_ folder: String) -> Int {
        Scratch.names("/proc/self/fd").count { name in
            var buffer = [CChar](repeating: 0, count: 1024)
            let count = readlink("/proc/self/fd/\(name)", &buffer, buffer.count)
            let target = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return target.hasPrefix("\(folder)/policy")
        }
    }

    private func spoil(_ kind: String, _ path: String, _ scratch: Scratch) throws {
        let aside = "\(path).new"
        switch kind {
        case "text":
            scratch.write(String(repeating: "no database\n", count: 1000), to: "policy.gdbm.new")
            #expect(rename(aside, path) == 0)
        case "cut":
            try build(Self.source("two.test"), aside)
            #expect(truncate(aside, 4500) == 0)
            #expect(rename(aside, path) == 0)
        case "empty":
            scratch.write("", to: "policy.gdbm.new")
            #expect(rename(aside, path) == 0)
        case "unfinished": try build(Self.source("two.test"), path, isWhole: false)
        case "directory":
            unlink(path)
            #expect(mkdir(path, 0o755) == 0)
        default:
            // root reads everything; a link that leads to itself nobody can open.
            unlink(path)
            #expect(symlink(path, path) == 0)
        }
    }
}
