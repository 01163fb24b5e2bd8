import Foundation
import Testing

/// The mail programs that people have, as clients of smtpserver.
enum PeerClient: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case swaks
    case curl
    case msmtp
    case exim
    case postfix

    var testDescription: String { rawValue }

    /// Whether this process can start it.
    var isAvailable: Bool {
        switch self {
        case .swaks, .curl, .msmtp: true
        case .exim, .postfix: PeerAccounts.canBeMade
        }
    }

    static var available: [PeerClient] { allCases.filter(\.isAvailable) }

    /// Sends one message with CRLF lines; its report.
    func send(
        _ message: [UInt8], from sender: String, to recipient: String, over instance: Instance, tls: PeerTLS,
        login: PeerLogin?
    ) async throws -> String {
        // sendmail's interface has LF lines.
        let local = message.filter { $0 != 13 }
        let result: (status: TestProcess.ExitStatus, output: String)
        switch self {
        case .swaks:
            // It adds the last line end itself.
            let file = try instance.scratch(message.dropLast(2))
            result = try await instance.swaks(
                from: sender, to: recipient, tls: tls, login: login, arguments: ["--data", "@\(file)"])
        case .curl:
            result = try await instance.curl(from: sender, to: recipient, message: message, tls: tls, login: login)
        case .msmtp:
            result = try await instance.msmtp(from: sender, to: recipient, message: local, tls: tls, login: login)
        case .exim:
            result = try await instance.eximSend(from: sender, to: recipient, message: local, tls: tls, login: login)
        case .postfix:
            return try await instance.postfixRelay(
                from: sender, to: recipient, message: message, tls: tls, login: login, parameters: " BODY=8BITMIME")
        }
        guard result.status == .exited(0) else { throw HarnessError("\(rawValue): \(result.status) \(result.output)") }
        return result.output
    }
}

/// Real clients; each message must be at the next hop octet for octet.
@Suite("Real clients")
struct PeerClientTests {
    static let header = """
        From: Sender <sender@client.test>\r
        To: box@relay.test\r
        Date: Thu, 26 Nov 2026 12:00:00 +0000\r
        Message-ID: <1@client.test>\r
        Subject: octets\r
        MIME-Version: 1.0\r
        Content-Type: text/plain; charset=utf-8\r
        Content-Transfer-Encoding: 8bit\r
        \r

        """

    /// Bodies that a client must not spoil, and we must not.
    static let message: [UInt8] = {
        let body =
            "Hello.\r\n.\r\n..\r\n.a dot\r\n\r\n From here\r\nFrom there\r\n\ttab \r\n" + "gr\u{fc}\u{df}e\r\n"
            + String(repeating: "x", count: 990) + "\r\nRSET\r\nQUIT\r\n\r\n"
        return Array((header + body).utf8)
    }()

    /// One message of `client` to an instance of `kind`, and whether it is at the next hop as it was.
    private func passes(
        _ client: PeerClient, _ kind: ConformanceServer, tls: PeerTLS = .none, login: PeerLogin? = nil,
        with protocolName: String
    ) async throws {
        let sink = try Sink(
            keywords: ["PIPELINING", "8BITMIME", "SIZE 0", "CHUNKING", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES"])
        defer { sink.stop() }
        try await Instance.run {
            kind.configure(&$0, sinkPort: sink.port)
        } _: { instance in
            let report = try await client.send(
                Self.message, from: "sender@client.test", to: "box@relay.test", over: instance, tls: tls, login: login)
            try await waitUntil("it is at the next hop", details: { report + instance.report }) {
                sink.messageCount > 0
            }
            #expect(sink.messageCount == 1)
            let message = try #require(sink.messages.first)
            #expect(message.reversePath == "sender@client.test")
            #expect(message.forwardPaths == ["box@relay.test"])
            #expect(message.content == Self.message, "\(message.text)\n\(report)")
            #expect(message.text.contains("with \(protocolName) id "), "\(message.text.prefix(500))")
        }
    }

    @Test("in clear text", arguments: PeerClient.available)
    func clearText(client: PeerClient) async throws {
        try await passes(client, .plain, with: "ESMTP")
    }

    @Test(
        "by STARTTLS, the certificate checked", .enabled(if: !ConformanceServer.awaited.contains(.tls)),
        arguments: PeerClient.available)
    func starttls(client: PeerClient) async throws {
        try await passes(client, .tls, tls: .starttls, with: "ESMTPS")
    }

    @Test(
        "by TLS from the beginning", .enabled(if: !ConformanceServer.awaited.contains(.smtps)),
        arguments: PeerClient.available)
    func implicitTLS(client: PeerClient) async throws {
        try await passes(client, .smtps, tls: .implicit, with: "ESMTPS")
    }

    @Test(
        "with a password, in clear text", .enabled(if: !ConformanceServer.awaited.contains(.auth)),
        arguments: PeerClient.available.filter { $0 != .msmtp })
    func password(client: PeerClient) async throws {
        try await passes(client, .auth, login: .alice, with: "ESMTPA")
    }

    @Test(
        "with a password, within TLS", .enabled(if: !ConformanceServer.awaited.contains(.tlsAuth)),
        arguments: PeerClient.available)
    func passwordWithinTLS(client: PeerClient) async throws {
        try await passes(client, .tlsAuth, tls: .starttls, login: .alice, with: "ESMTPSA")
    }

    @Test(
        "submission with a password; a wrong one sends nothing",
        .enabled(if: !ConformanceServer.awaited.contains(.submission)), arguments: [PeerClient.swaks, .curl])
    func wrongPassword(client: PeerClient) async throws {
        try await passes(client, .submission, login: .alice, with: "ESMTPA")
        await #expect(throws: HarnessError.self) {
            try await passes(
                client, .submission, login: PeerLogin(user: "alice", password: "wrong"), with: "ESMTPA")
        }
    }

    @Test(
        "openssl(1) speaks with us within TLS", .enabled(if: !ConformanceServer.awaited.contains(.tls)),
        arguments: [PeerTLS.starttls, .implicit])
    func openssl(tls: PeerTLS) async throws {
        let kind: ConformanceServer = tls == .starttls ? .tls : .smtps
        try await Instance.run {
            kind.configure(&$0, sinkPort: 25)
        } _: { instance in
            let result = try await instance.opensslClient(["EHLO client.test", "NOOP", "QUIT"], tls: tls)
            #expect(result.output.contains("250 2.0.0 Ok"), "\(result.output)")
            #expect(result.output.contains("221 2.0.0"), "\(result.output)")
            let old = try await instance.opensslClient(["QUIT"], tls: tls, arguments: ["-tls1_1"])
            #expect(old.status != .exited(0) && !old.output.contains("221 2.0.0"), "\(old.output)")
        }
    }

    @Test("Exim sends by BDAT, and Postfix with its parameters", .enabled(if: PeerAccounts.canBeMade))
    func ways() async throws {
        let sink = try Sink(keywords: ["PIPELINING", "8BITMIME", "SIZE 0", "DSN", "SMTPUTF8"])
        defer { sink.stop() }
        try await Instance.run {
            ConformanceServer.plain.configure(&$0, sinkPort: sink.port)
        } _: { instance in
            let exim = try await instance.eximSend(
                from: "a@client.test", to: "box@relay.test", "box2@relay.test",
                message: Self.message.filter { $0 != 13 })
            // K: CHUNKING was used; the confirmation is that of our BDAT LAST.
            #expect(exim.output.contains(" K ") && exim.output.contains("Roger"), "\(exim.output)")
            try await instance.postfixRelay(
                from: "b@client.test", to: "box@relay.test", message: Self.message,
                parameters: " BODY=8BITMIME RET=HDRS ENVID=QQ1")
            try await waitUntil("both are at the next hop", details: { instance.report }) { sink.messageCount == 2 }
            let first = try #require(sink.messages.first { $0.reversePath == "a@client.test" })
            #expect(first.forwardPaths.sorted() == ["box2@relay.test", "box@relay.test"])
            let second = try #require(sink.messages.first { $0.reversePath == "b@client.test" })
            #expect(second.mailCommand.contains("RET=HDRS") && second.mailCommand.contains("ENVID=QQ1"))
        }
    }
}
