import Foundation
import Glibc
import Testing

/// Two instances, mail from one to the other by TLS.
@Suite("TLS between two instances")
struct RelaySecurityTests {
    private static let message = "From: <alice@example.test>\r\nSubject: from here to there\r\n\r\ntext\r\n"

    /// Mail for `remote.test` goes from the first to the second.
    ///
    /// - Parameters:
    ///   - policy: lines of the first's smtp-tls.conf; `$CA` is the second's authority.
    ///   - secure: whether the second has TLS; `isFirstSecure`: the first, for its clients.
    private func relay(
        _ policy: [String], secure: Bool = true, receiving parameters: [String] = [], isFirstSecure: Bool = false,
        _ body: (_ first: Instance, _ second: Instance) async throws -> Void
    ) async throws {
        try await Instance.run { settings in
            settings.domain = "remote.test"
            if secure { settings.useTLS(parameters) }
        } _: { second in
            let lines = policy.map { line in
                line.replacingOccurrences(of: "$CA", with: "\(second.directory)/var/authority.pem") + "\n"
            }
            try await Instance.run { settings in
                settings.routes = ["remote.test smtpx![127.0.0.1]:\(second.port)"]
                settings.relayDomains = ["remote.test"]
                if isFirstSecure { settings.useTLS() }
                settings.prepareAlso { first in
                    if !lines.isEmpty { try first.write(lines.joined(), to: "share/smtp-tls.conf") }
                }
            } _: { first in
                try await body(first, second)
            }
        }
    }

    private func send(_ first: Instance) throws {
        let client = try Connection.greeted(port: first.port)
        let reply = try client.transact(from: "alice@example.test", to: ["bob@remote.test"], message: Self.message)
        #expect(reply.code == 250, "\(reply)")
    }

    /// What the last hop's trace field must say.
    private func expectDelivered(_ second: Instance, with protocolName: String) async throws {
        try await second.waitForMail(of: "bob", count: 1)
        let text = try #require(second.maildir("bob").texts.first)
        #expect(text.contains("by mail.remote.test with \(protocolName) id "), "\(text)")
        #expect(text.hasSuffix(Self.message.filter { $0 != "\r" }.replacingOccurrences(of: "\r\n", with: "\n")))
    }

    @Test("TLS is used where it is offered, whatever the certificate; and clear text where it is not")
    func opportunistic() async throws {
        try await relay([]) { first, second in
            try send(first)
            try await expectDelivered(second, with: "ESMTPS")
            let delivery = try await first.waitForEvent("delivery", "to=bob@remote.test")
            #expect(delivery.contains(" tls=TLSv1.3/TLS_AES_256_GCM_SHA384/untrusted "), "\(delivery)")
            let id = try #require(Instance.value("queue-id", in: Substring(delivery)))
            let trace = try await first.zmailer(
                "trace", id, "--log", "\(first.directory)/zmailer.out", "-Z", first.configuration)
            #expect(trace.output.contains("(TLS: TLSv1.3/TLS_AES_256_GCM_SHA384/untrusted)"), "\(trace)")
        }
        try await relay(["tls-loglevel 1"]) { first, second in
            try send(first)
            try await expectDelivered(second, with: "ESMTPS")
            let line = try await second.waitForEvent("tls", "protocol=TLSv1.3")
            #expect(line.contains("name="), "\(line)")
            try await waitUntil("the log says so", details: { first.report }) {
                first.allLogs.contains("tls=TLSv1.3/TLS_AES_256_GCM_SHA384/untrusted")
            }
        }
        try await relay(["tls-loglevel 1"], secure: false) { first, second in
            try send(first)
            try await expectDelivered(second, with: "ESMTP")
            let delivery = try await first.waitForEvent("delivery", "to=bob@remote.test")
            #expect(delivery.contains(" tls=none "), "\(delivery)")
            #expect(!first.allLogs.contains(" tls=TLS"), "\(first.allLogs)")
        }
    }

    @Test(
        "a certificate of the authority and for the name is what verify wants",
        arguments: ["destination * verify CAfile=$CA", "destination * verify CAfile=$CA match=mail.example.test"])
    func verified(policy: String) async throws {
        try await relay([policy, "tls-loglevel 1"]) { first, second in
            try send(first)
            try await expectDelivered(second, with: "ESMTPS")
            try await waitUntil("the log says so", details: { first.report }) {
                first.allLogs.contains("/verified")
            }
        }
    }

    struct Obstacle: Sendable, CustomTestStringConvertible {
        let name: String
        let policy: String
        var secure = true
        let status: String
        var testDescription: String { name }
    }

    @Test(
        "what is not as it must be makes mail wait, and nothing goes out in clear text",
        arguments: [
            Obstacle(name: "another name", policy: "destination * verify CAfile=$CA match=other.test", status: "4.7.5"),
            Obstacle(name: "another authority", policy: "destination * verify", status: "4.7.5"),
            Obstacle(
                name: "another fingerprint",
                policy: "destination * fingerprint fingerprint=sha256:\(String(repeating: "ab", count: 32))",
                status: "4.7.5"),
            Obstacle(
                name: "no common protocol", policy: "destination * encrypt protocols=TLSv1.1", status: "4.7.5"),
            Obstacle(name: "no TLS", policy: "destination * encrypt", secure: false, status: "4.7.4"),
        ])
    func waits(obstacle: Obstacle) async throws {
        try await relay([obstacle.policy], secure: obstacle.secure) { first, second in
            try send(first)
            // It is tried again, and waits again.
            try await waitUntil("two attempts have failed", details: { first.report }) {
                first.allLogs.split(separator: "\n").filter { $0.contains(obstacle.status) }.count >= 2
            }
            #expect(second.events("accepted").isEmpty)
            #expect(second.maildir("bob").count == 0)
            #expect(!first.spoolFiles.isEmpty, "it is still there")
            #expect(first.maildir("alice").count == 0, "no report yet")
        }
    }

    @Test(
        "REQUIRETLS goes on to a server that has it, and is returned where the next has it not",
        arguments: [true, false])
    func requireTLS(isOffered: Bool) async throws {
        try await relay(
            ["tls-CAfile $CA", "tls-loglevel 1"], receiving: isOffered ? [] : ["NoREQUIRETLS"], isFirstSecure: true
        ) { first, second in
            let client = try Connection.secured(port: first.port)
            let reply = try client.transact(
                from: "alice@example.test", to: ["bob@remote.test"], message: Self.message, parameters: " REQUIRETLS")
            #expect(reply.code == 250, "\(reply)")
            if isOffered {
                try await expectDelivered(second, with: "ESMTPS")
                #expect(first.allLogs.contains("/verified"))
            } else {
                try await first.waitForMail(of: "alice", count: 1)
                let report = try #require(first.maildir("alice").texts.first)
                #expect(report.contains("Status: 5.7.30"), "\(report)")
                #expect(second.events("accepted").isEmpty)
            }
        }
    }

    // MARK: what is logged

    @Test("tls-loglevel says how much of TLS the server's log has", arguments: 0...4)
    func logLevels(level: Int) async throws {
        try await Instance.run { settings in
            settings.useTLS(["tls-loglevel \(level)"])
        } _: { instance in
            let client = try Connection.secured(port: instance.port)
            #expect(try client.command("NOOP").code == 250)
            try await instance.waitForEvent("tls", "protocol=TLSv1.3")
            #expect(instance.events("certificate").contains { $0.contains("mail.example.test") } == (level >= 1))
            let steps = instance.events("tls-trace")
            #expect(steps.isEmpty == (level < 2), "\(steps)")
            if level >= 2 { #expect(steps.contains { $0.contains("session=") && $0.contains("text=") }) }
            // Dumps are more, and more again.
            let dumps = steps.filter { $0.contains("0000") }
            #expect(dumps.isEmpty == (level < 3), "\(steps)")
            let before = instance.events("tls-trace").count
            #expect(try client.command("NOOP").code == 250)
            if level == 4 {
                try await waitUntil("what follows is dumped") { instance.events("tls-trace").count > before }
                #expect(!instance.log.contains("4e4f4f50"), "NOOP in the clear")
            }
        }
    }
}

extension Instance {
    /// Of all programs.
    var allLogs: String {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/log")) ?? []
        return log + names.map { read("log/\($0)") }.joined()
    }
}
