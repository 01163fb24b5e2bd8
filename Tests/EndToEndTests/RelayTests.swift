import Foundation
import Synchronization
import Testing

/// Mail for another domain: out by SMTP, octet for octet.
@Suite("Relaying")
struct RelayTests {
    /// A route of `remote.test` to the sink.
    static func settings(_ sink: Sink) -> (inout Instance.Settings) -> Void {
        { settings in
            settings.relayDomains = ["remote.test", ".fan.test"]
            settings.routes = [
                "remote.test smtpx![127.0.0.1]:\(sink.port)", ".fan.test smtpx![127.0.0.1]:\(sink.port)",
            ]
        }
    }

    static let header = "From: <a@client.test>\r\nSubject: octets\r\n\r\n"

    static let contents: [(name: String, message: [UInt8])] = [
        ("plain text", Array((header + "Hello.\r\n").utf8)),
        ("lines that begin with dots", Array((header + ".\r\n..\r\n.a\r\n...\r\na.\r\n").utf8)),
        ("8-bit octets", Array(header.utf8) + (128...255).map { UInt8($0) } + [13, 10]),
        ("a line of 998 octets", Array((header + String(repeating: "x", count: 998) + "\r\n").utf8)),
        ("a line of 100,000 octets", Array((header + String(repeating: "y", count: 100_000) + "\r\n").utf8)),
        ("no header at all", Array("This is no header field\r\nnor this\r\n".utf8)),
        ("a header without a body", Array("Subject: only\r\n".utf8)),
        ("an empty line only", Array("\r\n".utf8)),
        ("blanks at line ends and odd folding", Array("Subject: a\r\n\t b \r\n \r\n\r\n  \r\n\t\r\n".utf8)),
        ("control characters", Array(header.utf8) + [1, 2, 7, 8, 11, 12, 27, 127] + [13, 10]),
    ]

    @Test("what was accepted goes out as it came, behind one Received field", arguments: ["DATA", "BDAT"])
    func octetForOctet(way: String) async throws {
        let keywords = ["PIPELINING", "8BITMIME", "SIZE 0"] + (way == "BDAT" ? ["CHUNKING"] : [])
        let sink = try Sink(keywords: keywords)
        defer { sink.stop() }
        try await Instance.run(Self.settings(sink)) { instance in
            for (number, content) in Self.contents.enumerated() {
                let client = try Connection.greeted(port: instance.port)
                let reply = try client.transact(
                    from: "sender\(number)@client.test", to: ["bob@remote.test"], message: content.message,
                    parameters: " BODY=8BITMIME")
                #expect(reply.code == 250, "\(content.name): \(reply)")
            }
            try await waitUntil("all are at the next hop", details: { instance.report }) {
                sink.messageCount == Self.contents.count
            }
            for (number, content) in Self.contents.enumerated() {
                let got = try #require(sink.messages.first { $0.reversePath == "sender\(number)@client.test" })
                #expect(got.forwardPaths == ["bob@remote.test"])
                expectRelayed(got.octets, content.message, content.name)
            }
            #expect(sink.commands.contains { $0.hasPrefix("BDAT") } == (way == "BDAT"))
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a body of 10 MB passes octet for octet, to the next hop and into a Maildir")
    func large() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        var message = Array(Self.header.utf8)
        // Lines of every length up to 250, every octet above the controls, and lines of dots.
        let octets = (0..<1000).map { UInt8(32 + $0 * 7 % 224) }
        var length = 0
        while message.count < 10 << 20 {
            length = (length + 37) % 251
            message += octets[length..<(2 * length)] + [13, 10]
            if length % 5 == 0 { message += Array(".\r\n..\r\n".utf8) }
        }
        try await Instance.run(Self.settings(sink)) { instance in
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "sender@client.test", to: ["bob@remote.test", "alice@example.test"], message: message)
            #expect(reply.code == 250, "\(reply)")
            try await waitUntil("it is at the next hop", deadline: .seconds(60), details: { instance.report }) {
                sink.messageCount == 1
            }
            expectRelayed(try #require(sink.messages.first).octets, message, "10 MB")
            try await instance.waitForMail(of: "alice", count: 1)
            let stored = try #require(instance.maildir("alice").messages.first)
            let expected = lineFeeds(message)
            #expect(stored.suffix(expected.count).elementsEqual(expected))
        }
    }

    @Test("5,000 messages are relayed, each exactly once")
    func fiveThousand() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run(Self.settings(sink)) { instance in
            let port = instance.port
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<10 {
                    group.addTask {
                        try await offPool {
                            let client = try Connection.greeted(port: port)
                            for number in 0..<500 {
                                let reply = try client.transact(
                                    from: "s\(sender)@client.test", to: ["r\(sender)-\(number)@remote.test"],
                                    message: "Subject: \(sender)-\(number)\r\n\r\n.\(number)\r\n")
                                guard reply.code == 250 else { throw HarnessError("\(sender)-\(number): \(reply)") }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await waitUntil("all have arrived", deadline: .seconds(120), details: { instance.report }) {
                sink.messageCount >= 5000
            }
            try await instance.waitForEmptySpool()
            let messages = sink.messages
            #expect(messages.count == 5000)
            #expect(Set(messages.flatMap(\.forwardPaths)).count == 5000)
            for message in messages {
                let name = try #require(message.forwardPaths.first).dropFirst().prefix { $0 != "@" }
                let number = name.split(separator: "-")[1]
                guard message.text.hasSuffix("Subject: \(name)\r\n\r\n.\(number)\r\n") else {
                    Issue.record("\(name) arrived as \(message.text)")
                    break
                }
            }
        }
    }

    @Test("one message to 1,000 recipients in 100 domains reaches each of them once")
    func manyRecipients() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run { settings in
            Self.settings(sink)(&settings)
            settings.smtpserverParameters = ["RcptLimitCount 2000"]
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            let recipients = (0..<1000).map { "r\($0)@d\($0 % 100).fan.test" }
            let reply = try client.transact(
                from: "sender@client.test", to: recipients, message: "Subject: many\r\n\r\nall\r\n")
            #expect(reply.code == 250, "\(reply)")
            try await waitUntil("all have it", deadline: .seconds(60), details: { instance.report }) {
                sink.messages.reduce(0) { $0 + $1.forwardPaths.count } >= 1000
            }
            #expect(sink.messages.flatMap(\.forwardPaths).sorted() == recipients.sorted())
            #expect(sink.messageCount <= 200, "recipients of one domain share a transaction")
            try await instance.waitForEmptySpool()
        }
    }

    @Test("MX hosts are found, and mail goes to the one that answers")
    func mailExchangers() async throws {
        let port = try FreePorts.take()
        try await Instance.run { settings in
            settings.relayDomains = ["mx.test"]
            settings.zones += [
                "zone mx.test static", "data \"mx.test. 60 IN MX 10 dead.mx.test.\"",
                "data \"mx.test. 60 IN MX 20 live.mx.test.\"", "data \"dead.mx.test. 60 IN A 127.0.0.3\"",
                "data \"live.mx.test. 60 IN A 127.0.0.2\"",
            ]
            settings.schedulerConf = """
                */*
                    interval=1s
                    retries="1"
                local/*
                    command="mailbox -c $channel"
                error/*
                    command="errormail -c $channel"
                smtp/*
                    command="smtp -c $channel -p \(port)"
                """
        } _: { instance in
            let capture = "\(instance.directory)/captured"
            try FileManager.default.createDirectory(atPath: capture, withIntermediateDirectories: false)
            try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: capture)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: instance.directory)
            let user = getuid() == 0 ? ["-u", "nobody"] : []
            _ = try instance.spawn(
                Programs.smtpSink, user + ["-d", "\(capture)/%M.", "inet:127.0.0.2:\(port)", "100"],
                environment: ["LD_LIBRARY_PATH": Programs.postfixLibraries])
            let sent = try await instance.swaks(to: "someone@mx.test", arguments: ["--header", "Subject: by MX"])
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitUntil("the second MX has it", details: { instance.report }) {
                let files = try FileManager.default.contentsOfDirectory(atPath: capture)
                return files.contains {
                    String(decoding: FileManager.default.contents(atPath: "\(capture)/\($0)") ?? Data(), as: UTF8.self)
                        .contains("Subject: by MX")
                }
            }
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a next hop that greylists gets the message again")
    func greylisted() async throws {
        let asked = Mutex<[String: Int]>([:])
        let sink = try Sink(answer: { line in
            guard line.hasPrefix("RCPT") else { return nil }
            let count = asked.withLock { asked in
                asked[line, default: 0] += 1
                return asked[line, default: 0]
            }
            return count <= 2 ? "451 4.7.1 Greylisted, come again" : nil
        })
        defer { sink.stop() }
        try await Instance.run(Self.settings(sink)) { instance in
            let client = try Connection.greeted(port: instance.port)
            for number in 0..<5 {
                try client.transact(
                    from: "sender@client.test", to: ["a\(number)@remote.test", "b\(number)@remote.test"],
                    message: "Subject: \(number)\r\n\r\n\r\n")
            }
            try await waitUntil("all have it", deadline: .seconds(60), details: { instance.report }) {
                sink.messages.flatMap(\.forwardPaths).count >= 10
            }
            #expect(Set(sink.messages.flatMap(\.forwardPaths)).count == 10)
            try await instance.waitForEmptySpool()
            #expect(instance.maildir("postmaster").count == 0, "a deferral is not reported")
        }
    }

    @Test("mail waits for a next hop that is down, also through a restart, and goes when it is back")
    func nextHopComesBack() async throws {
        let port = try FreePorts.take()
        try await Instance.run { settings in
            settings.relayDomains = ["remote.test"]
            settings.routes = ["remote.test smtpx![127.0.0.1]:\(port)"]
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            for number in 0..<20 {
                let reply = try client.transact(
                    from: "sender@client.test", to: ["r\(number)@remote.test"],
                    message: "Subject: \(number)\r\n\r\n\r\n")
                #expect(reply.code == 250)
            }
            try await waitUntil("all wait in the queue", details: { instance.report }) {
                instance.spoolFiles["transport"]?.count == 20
            }
            instance.crash()
            try await instance.start()
            let sink = try Sink(port: port)
            defer { sink.stop() }
            try await waitUntil("all have arrived", deadline: .seconds(60), details: { instance.report }) {
                sink.messageCount >= 20
            }
            try await instance.waitForEmptySpool()
            #expect(Set(sink.messages.flatMap(\.forwardPaths)).count == 20)
            #expect(sink.messageCount == 20)
        }
    }

    @Test("curl submits by DATA")
    func curl() async throws {
        try await Instance.run { instance in
            try instance.write("Subject: by curl\r\n\r\nhello\r\n", to: "mail.txt")
            let sent = try await instance.run(
                Programs.curl,
                [
                    "-sS", "smtp://127.0.0.1:\(instance.port)/client.test", "--mail-from", "c@client.test",
                    "--mail-rcpt", "alice@example.test", "--upload-file", "\(instance.directory)/mail.txt",
                ])
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "alice", count: 1)
            #expect(instance.maildir("alice").texts.first?.contains("Subject: by curl") == true)
        }
    }

    @Test("smtp-source's 5,000 messages end in Maildirs, each exactly once")
    func fiveThousandLocal() async throws {
        try await Instance.run { instance in
            for user in ["alice", "bob"] {
                let sent = try await instance.smtpSource(count: 2500, sessions: 20, to: "\(user)@example.test")
                #expect(sent.status == .exited(0), "\(sent.output)")
            }
            for user in ["alice", "bob"] {
                try await waitUntil("all are in the Maildir", deadline: .seconds(120), details: { instance.report }) {
                    instance.maildir(user).count >= 2500
                }
            }
            try await instance.waitForEmptySpool()
            #expect(instance.maildir("alice").count == 2500)
            #expect(instance.maildir("bob").count == 2500)
            #expect(instance.maildir("alice").unfinished == 0)
        }
    }
}

/// Blocking work of a test, on a thread of its own.
func offPool<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Result { try work() }) }.start()
    }
}

/// CRLF to LF, as a Maildir holds it.
func lineFeeds(_ octets: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(octets.count)
    for (index, octet) in octets.enumerated() {
        if octet == 13, index + 1 < octets.count, octets[index + 1] == 10 { continue }
        result.append(octet)
    }
    return result
}

/// `got` is one Received field and then `sent`, octet for octet.
func expectRelayed(_ got: [UInt8], _ sent: [UInt8], _ name: String) {
    guard got.count >= sent.count else {
        Issue.record("\(name): \(got.count) octets arrived of \(sent.count)")
        return
    }
    let trace = String(decoding: got[..<(got.count - sent.count)], as: UTF8.self)
    #expect(got.suffix(sent.count).elementsEqual(sent), "\(name): the content differs")
    #expect(trace.hasPrefix("Received: from "), "\(name): \(trace)")
    #expect(trace.hasSuffix("\r\n"), "\(name): \(trace)")
    let lines = trace.split(separator: "\r\n")
    #expect(
        lines.dropFirst().allSatisfy { $0.hasPrefix("\t") || $0.hasPrefix(" ") },
        "\(name): more than one field: \(trace)")
}
