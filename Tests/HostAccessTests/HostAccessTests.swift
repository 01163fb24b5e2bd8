import Glibc
import HostAccess
import Synchronization
import Testing

/// Tables in a folder of their own, which goes with them.
final class TableFolder {
    let path: String
    var tables: HostAccess.Tables { HostAccess.Tables(allow: "\(path)/hosts.allow", deny: "\(path)/hosts.deny") }

    init(allow: String? = nil, deny: String? = nil) throws {
        var template = Array("/tmp/zmailer-hosts-XXXXXX\0".utf8CString.dropLast())
        path = String(cString: try #require(mkdtemp(&template)))
        if let allow { try write(allow, to: tables.allow) }
        if let deny { try write(deny, to: tables.deny) }
    }

    deinit {
        for name in ["hosts.allow", "hosts.deny", "mark"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    func write(_ text: String, to path: String) throws {
        let file = try #require(fopen(path, "w"))
        fputs(text, file)
        fclose(file)
    }
}

@Suite("TCP wrappers", .serialized)
struct HostAccessTests {
    static func verdict(
        _ folder: TableFolder, _ address: String = "192.0.2.7", name: String? = nil, user: String? = nil,
        service: String = "smtp-receiver"
    ) -> HostAccess.Verdict {
        HostAccess.verdict(
            .init(service: service, clientName: name, address: address, user: user), tables: folder.tables,
            timeLimit: .seconds(60))
    }

    @Test(
        "the tables decide by service, address, name and user",
        arguments: [
            ("", "", "192.0.2.7", nil, nil, true), ("", "ALL: ALL\n", "192.0.2.7", nil, nil, false),
            ("smtp-receiver: 192.0.2.\n", "ALL: ALL\n", "192.0.2.7", nil, nil, true),
            ("smtp-receiver: 192.0.2.\n", "ALL: ALL\n", "192.0.3.7", nil, nil, false),
            ("mailq: 192.0.2.\n", "ALL: ALL\n", "192.0.2.7", nil, nil, false),
            ("", "smtp-receiver: 192.0.2.0/255.255.255.0 EXCEPT 192.0.2.7\n", "192.0.2.7", nil, nil, true),
            ("", "smtp-receiver: 192.0.2.0/255.255.255.0 EXCEPT 192.0.2.7\n", "192.0.2.8", nil, nil, false),
            ("smtp-receiver: [2001:db8::]/32\n", "ALL: ALL\n", "2001:db8::7", nil, nil, true),
            ("smtp-receiver: [2001:db8::]/32\n", "ALL: ALL\n", "2001:db9::7", nil, nil, false),
            ("ALL: .example.test\n", "ALL: ALL\n", "192.0.2.7", "mx.example.test", nil, true),
            ("ALL: .example.test\n", "ALL: ALL\n", "192.0.2.7", "mx.other.test", nil, false),
            ("ALL: .example.test\n", "ALL: ALL\n", "192.0.2.7", nil, nil, false),
            ("ALL: KNOWN\n", "ALL: ALL\n", "192.0.2.7", "mx.example.test", nil, true),
            ("ALL: KNOWN\n", "ALL: ALL\n", "192.0.2.7", nil, nil, false),
            ("", "ALL: UNKNOWN\n", "192.0.2.7", nil, nil, false),
            ("", "ALL: PARANOID\n", "192.0.2.7", nil, nil, true),
            ("ALL: alice@192.0.2.7\n", "ALL: ALL\n", "192.0.2.7", nil, "alice", true),
            ("ALL: alice@192.0.2.7\n", "ALL: ALL\n", "192.0.2.7", nil, "bob", false),
            ("ALL: ALL: deny\n", "", "192.0.2.7", nil, nil, false),
            ("", "ALL: ALL: allow\n", "192.0.2.7", nil, nil, true),
        ] as [(String, String, String, String?, String?, Bool)])
    func decides(allow: String, deny: String, address: String, name: String?, user: String?, isAllowed: Bool) throws {
        let folder = try TableFolder(allow: allow, deny: deny)
        #expect(Self.verdict(folder, address, name: name, user: user) == (isAllowed ? .allowed : .denied))
    }

    @Test("a change of a table holds for the next check, and a table that is not there has no rules")
    func changes() throws {
        let folder = try TableFolder()
        #expect(Self.verdict(folder) == .allowed)
        try folder.write("ALL: 192.0.2.\n", to: folder.tables.deny)
        #expect(Self.verdict(folder) == .denied)
        try folder.write("ALL: 192.0.2.7\n", to: folder.tables.allow)
        #expect(Self.verdict(folder) == .allowed)
        #expect(Self.verdict(folder, "192.0.2.8") == .denied)
        unlink(folder.tables.deny)
        #expect(Self.verdict(folder, "192.0.2.8") == .allowed)
        #expect(Self.verdict(try TableFolder(deny: "ALL: ALL\n")) == .denied)
    }

    @Test("a table that cannot be opened lets nobody in")
    func unreadable() throws {
        let folder = try TableFolder(allow: "")
        // Root reads everything; a loop of links nobody does.
        #expect(symlink("hosts.deny", folder.tables.deny) == 0)
        guard case .unavailable(let reason) = Self.verdict(folder) else {
            Issue.record("the table is a loop of links")
            return
        }
        #expect(reason.hasPrefix("\(folder.tables.deny): "))
    }

    @Test("rules start no program, and who was to be given to one is denied", arguments: ["hosts.allow", "hosts.deny"])
    func options(table: String) throws {
        let folder = try TableFolder()
        let isAllowTable = table == "hosts.allow"
        try folder.write("ALL: 192.0.2.7: spawn /bin/touch \(folder.path)/mark\n", to: "\(folder.path)/\(table)")
        #expect(Self.verdict(folder) == (isAllowTable ? .allowed : .denied))
        #expect(access("\(folder.path)/mark", F_OK) != 0)
        // What libwrap does itself: this process would be /bin/touch now.
        try folder.write("ALL: 192.0.2.7: twist /bin/touch \(folder.path)/mark\n", to: "\(folder.path)/\(table)")
        #expect(Self.verdict(folder) == .denied)
        #expect(access("\(folder.path)/mark", F_OK) != 0)
        #expect(Self.verdict(folder, "192.0.2.8") == .allowed)
    }

    @Test("a name or user that libwrap would cut, or that holds blanks, counts as unknown")
    func longTexts() throws {
        let folder = try TableFolder(allow: "ALL: .trusted.test\nALL: alice@192.0.2.9\n", deny: "ALL: ALL\n")
        let suffix = ".trusted.test"
        let cut = String(repeating: "a", count: 127 - suffix.utf8.count) + suffix
        #expect(Self.verdict(folder, name: cut) == .allowed)
        #expect(Self.verdict(folder, name: "\(cut).attacker.test") == .denied)
        #expect(Self.verdict(folder, name: "x.trusted.test\0.attacker.test") == .denied)
        #expect(Self.verdict(folder, "192.0.2.9", user: "alice\0x") == .denied)
        #expect(Self.verdict(folder, name: "") == .denied)
        guard case .unavailable = Self.verdict(folder, "192.0.2.7 ") else {
            Issue.record("no address")
            return
        }
    }

    @Test("a table that blocks: everybody gets an answer in time, and later checks are made again")
    func blocks() throws {
        let folder = try TableFolder(deny: "ALL: ALL\n")
        #expect(mkfifo(folder.tables.allow, 0o600) == 0)
        let request = HostAccess.Request(service: "smtp-receiver", address: "192.0.2.7")
        let answers = Mutex<[HostAccess.Verdict]>([])
        for _ in 0..<5 {
            HostAccess.check(request, tables: folder.tables, timeLimit: .milliseconds(50)) { verdict in
                answers.withLock { $0.append(verdict) }
            }
        }
        // Waits behind them, and is the last to be answered.
        let last = HostAccess.verdict(request, tables: folder.tables, timeLimit: .milliseconds(300))
        #expect(last == .unavailable("TCP wrappers did not answer in 0.3 seconds"))
        let given = answers.withLock { $0 }
        #expect(given == Array(repeating: .unavailable("TCP wrappers did not answer in 0.05 seconds"), count: 5))
        // libwrap waits for a writer; it reads nothing from this one and goes on.
        let writer = open(folder.tables.allow, O_WRONLY)
        #expect(writer >= 0)
        close(writer)
        #expect(Self.verdict(try TableFolder(deny: "ALL: 192.0.2.7\n")) == .denied)
        #expect(Self.verdict(try TableFolder(allow: "ALL: 192.0.2.7\n", deny: "ALL: ALL\n")) == .allowed)
        #expect(answers.withLock { $0.count } == 5)
    }

    @Test("more checks than may wait are answered at once")
    func full() throws {
        let folder = try TableFolder()
        #expect(mkfifo(folder.tables.allow, 0o600) == 0)
        let request = HostAccess.Request(service: "smtp-receiver", address: "192.0.2.7")
        let answers = Mutex<[HostAccess.Verdict]>([])
        for _ in 0..<(HostAccess.maximumWaiting + 11) {
            HostAccess.check(request, tables: folder.tables, timeLimit: .seconds(60)) { verdict in
                answers.withLock { $0.append(verdict) }
            }
        }
        // One may run already.
        let refused = answers.withLock { $0 }
        #expect((10...11).contains(refused.count))
        #expect(refused.allSatisfy { $0 == .unavailable("1000 checks of TCP wrappers wait already") })
        // A check that is on its way fails without a file; each that comes behind it finds none.
        let writer = open(folder.tables.allow, O_WRONLY)
        #expect(writer >= 0)
        unlink(folder.tables.allow)
        close(writer)
        let all = HostAccess.maximumWaiting + 11
        let deadline = ContinuousClock.now + .seconds(60)
        while answers.withLock({ $0.count }) < all, ContinuousClock.now < deadline { usleep(1000) }
        #expect(answers.withLock { $0.count } == all)
        #expect(Self.verdict(try TableFolder()) == .allowed)
        #expect(answers.withLock { $0.filter { $0 == .allowed }.count } >= HostAccess.maximumWaiting)
    }

    @Test("checks from many threads at once each get their own verdict")
    func parallel() async throws {
        let folder = try TableFolder(allow: "ALL: 192.0.2.\n", deny: "ALL: ALL\n")
        let tables = folder.tables
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<200 {
                group.addTask {
                    let address = number % 2 == 0 ? "192.0.2.\(number)" : "198.51.100.\(number)"
                    let request = HostAccess.Request(service: "smtp-receiver", address: address)
                    let verdict = await withCheckedContinuation { continuation in
                        HostAccess.check(request, tables: tables, timeLimit: .seconds(60)) {
                            continuation.resume(returning: $0)
                        }
                    }
                    return verdict == (number % 2 == 0 ? .allowed : .denied)
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}
