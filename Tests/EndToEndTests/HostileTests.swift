import Foundation
import Testing

/// What strangers try.
@Suite("Hostile clients")
struct HostileTests {
    static let endings: [(name: String, octets: String)] = [
        ("LF . LF", "\n.\n"), ("LF . CRLF", "\n.\r\n"), ("CRLF . LF", "\r\n.\n"), ("CR . CR", "\r.\r"),
        ("CR . CRLF", "\r.\r\n"), ("CRLF . CR", "\r\n.\r"), ("LF . CR", "\n.\r"), ("CR LF CR . CRLF", "\r\n\r.\r\n"),
        ("NUL before the dot", "\r\n\0.\r\n"), ("NUL behind the dot", "\r\n.\0\r\n"),
    ]

    @Test("only CRLF . CRLF ends DATA: nothing behind another sequence becomes a command", arguments: endings)
    func smuggling(name: String, octets: String) async throws {
        try await Instance.run { instance in
            let client = try Connection.greeted(port: instance.port)
            try client.command("MAIL FROM:<sender@client.test>")
            try client.command("RCPT TO:<alice@example.test>")
            #expect(try client.command("DATA").code == 354)
            try client.send(
                "Subject: outer\r\n\r\nouter\(octets)MAIL FROM:<forged@client.test>\r\nRCPT TO:<bob@example.test>\r\n"
                    + "DATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n")
            let reply = try client.readReply()
            #expect(reply.code == 554 || reply.code == 550, "\(name): \(reply)")
            #expect("\(reply)".contains("5.6."), "\(name): \(reply)")
            #expect(try client.command("NOOP").code == 250, "the session goes on in step")
            #expect(instance.maildir("bob").count == 0)
            #expect(instance.spoolFiles.isEmpty)
        }
    }

    @Test("a line of 1 MiB is refused, and the session goes on")
    func longLine() async throws {
        try await Instance.run { instance in
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.command(String(repeating: "A", count: 1 << 20))
            #expect(reply.code == 500, "\(reply)")
            #expect(try client.command("NOOP").code == 250)
        }
    }

    @Test("100,000 unknown commands: the session is closed at the limit")
    func unknownCommands() async throws {
        try await Instance.run { instance in
            let client = try Connection.greeted(port: instance.port)
            var replies = 0
            let text = String(repeating: "FOO\r\n", count: 1000)
            do {
                for _ in 0..<100 { try client.send(text) }
            } catch let error as HarnessError {
                #expect(error.description.hasPrefix("send:"))
            }
            while let line = try client.readLine() {
                replies += 1
                #expect(line.hasPrefix("5"))
            }
            #expect((1...20).contains(replies), "\(replies)")
        }
    }

    @Test("slow, half-open and silent clients hold nobody up, and cost little memory")
    func slowClients() async throws {
        try await Instance.run { settings in
            settings.smtpserverParameters = ["MaxSameIpSource 2000", "MaxParallelConnections 2000"]
        } _: { instance in
            let worker = try #require(instance.workerPid)
            let before = try residentKiB(worker)
            var clients: [Connection] = []
            for number in 0..<600 {
                let client = try Connection(port: instance.port)
                switch number % 3 {
                case 0: break
                case 1: try client.send("EHLO half")
                default:
                    // Greeted, in the middle of DATA, then silent.
                    _ = try client.readReply()
                    try client.send(
                        "EHLO slow\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
                    try client.send("Subject: never ends\r\n\r\n" + String(repeating: "x", count: 1000))
                }
                clients.append(client)
            }
            let clock = ContinuousClock()
            for _ in 0..<20 {
                let begin = clock.now
                let client = try Connection.greeted(port: instance.port)
                let reply = try client.transact(
                    from: "sender@client.test", to: ["bob@example.test"], message: "Subject: flows\r\n\r\n\r\n")
                #expect(reply.code == 250)
                #expect(clock.now - begin < .seconds(5), "another session was held up")
            }
            try await instance.waitForMail(of: "bob", count: 20)
            let grown = try residentKiB(worker) - before
            #expect(grown < 600 * 40, "\(grown) KiB for 600 clients")
            #expect(instance.maildir("alice").count == 0)
            withExtendedLifetime(clients) {}
        }
    }

    @Test("5,000 idle sessions at 20 KiB each at most, while mail flows")
    func idleSessions() async throws {
        try raiseDescriptorLimit(to: 12000)
        try await Instance.run { settings in
            settings.smtpserverParameters = ["MaxSameIpSource 6000", "MaxParallelConnections 6000"]
        } _: { instance in
            let worker = try #require(instance.workerPid)
            let before = try residentKiB(worker)
            var clients: [Connection] = []
            for _ in 0..<5000 {
                let client = try Connection(port: instance.port)
                _ = try client.readReply()
                clients.append(client)
            }
            let perSession = Double(try residentKiB(worker) - before) / 5000
            #expect(perSession <= 20, "\(perSession) KiB a session")
            let sent = try await instance.smtpSource(count: 200, sessions: 10, to: "alice@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "alice", count: 200)
            #expect(
                try clients[4999].command("NOOP").code / 100 == 2 || clients[4998].command("EHLO x.test").code == 250)
        }
    }

    @Test("connections of one address are counted, refused beyond the limit and dropped far beyond it")
    func connectionLimits() async throws {
        try await Instance.run {
            $0.smtpserverParameters = ["MaxSameIpSource 3"]
        } _: { instance in
            var clients: [Connection] = []
            for _ in 0..<3 { clients.append(try Connection.greeted(port: instance.port)) }
            let fourth = try Connection(port: instance.port)
            #expect(try fourth.readReply().code == 450)
            #expect(try fourth.isClosedByPeer())
            clients.removeLast()
            try await waitUntil("a place is free again", details: { instance.report }) {
                (try? Connection.greeted(port: instance.port)) != nil
            }
        }
    }

    @Test("a disk that fills: 452 before anything breaks, and mail is taken again when there is room")
    func diskFull() async throws {
        guard getuid() == 0 else { return }
        try await Instance.run {
            $0.smtpserverParameters = ["min-availspace 4000"]
        } _: { instance in
            try await instance.stop()
            let mounted = try await instance.run(
                "/bin/mount", ["-t", "tmpfs", "-o", "size=8m,mode=750", "none", instance.postoffice])
            guard mounted.status == .exited(0) else { return }
            do {
                try await instance.start()
                let filler = "\(instance.postoffice)/filler"
                try Data(count: 6 << 20).write(to: URL(fileURLWithPath: filler))
                try await waitUntil("new mail is refused", details: { instance.report }) {
                    let client = try Connection.greeted(port: instance.port)
                    return try client.command("MAIL FROM:<a@client.test>").code == 452
                }
                try FileManager.default.removeItem(atPath: filler)
                try await waitUntil("new mail is taken", details: { instance.report }) {
                    let client = try Connection.greeted(port: instance.port)
                    return try client.transact(
                        from: "a@client.test", to: ["alice@example.test"], message: "Subject: room\r\n\r\n\r\n"
                    ).code == 250
                }
                try await instance.waitForEmptySpool()
                try await instance.stop()
            } catch {
                instance.crash()
                try await instance.run("/bin/umount", ["-l", instance.postoffice])
                throw error
            }
            try await instance.run("/bin/umount", [instance.postoffice])
            #expect(instance.maildir("alice").count == 1)
        }
    }
}

extension Instance {
    /// The process that holds the sessions.
    var workerPid: pid_t? {
        ProcessTable.processes(naming: directory).first {
            $0.command.contains("/smtpserver ") && $0.command.contains("--worker")
        }?.pid
    }
}

/// VmRSS of a process.
func residentKiB(_ pid: pid_t) throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
        let value = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({ Int($0) })
    else { throw HarnessError("no VmRSS of \(pid)") }
    return value
}

func raiseDescriptorLimit(to count: Int) throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    guard limit.rlim_cur < count else { return }
    limit.rlim_cur = rlim_t(count)
    limit.rlim_max = max(limit.rlim_max, rlim_t(count))
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
        throw HarnessError("needs \(count) descriptors: \(String(cString: strerror(errno)))")
    }
}
