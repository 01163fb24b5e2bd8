import Foundation
import Testing

/// The policy service while it lives, dies, hangs and gets new databases.
@Suite("Policy: the service", .serialized)
struct PolicyServiceTests {
    /// A session that has said MAIL.
    private static func session(_ instance: Instance, from source: String = "127.0.0.1") throws -> Connection {
        let client = try Connection(port: instance.port, from: source)
        let greeting = try client.readReply()
        guard greeting.code == 220 else { throw HarnessError("greeting: \(greeting)") }
        try client.command("EHLO client.test")
        let mail = try client.command("MAIL FROM:<u@client.test>")
        guard mail.code == 250 else { throw HarnessError("MAIL: \(mail)") }
        return client
    }

    @Test("a new database holds within a second, also in sessions that are open")
    func hotChange() async throws {
        try await Instance.run {
            $0.usePolicy([])
        } _: { instance in
            let client = try Self.session(instance)
            #expect(try client.command("RCPT TO:<u@later.test>").code == 550)
            #expect(try client.command("RCPT TO:<u@backup.test>").code == 250)
            for round in 0..<3 {
                let opens = round % 2 == 0
                try instance.write("backup.test\n" + (opens ? "later.test\n" : ""), to: "var/db/smtp-policy.mx")
                let made = try await instance.newDatabase()
                #expect(made.status == .exited(0), "\(made.output)")
                // A second is what is promised; the rest is for a machine that is busy with other tests.
                try await waitUntil(
                    "the new database holds", deadline: .seconds(10), details: { instance.report }
                ) { try client.command("RCPT TO:<u@later.test>").code == (opens ? 250 : 550) }
                #expect(try client.command("RCPT TO:<u@backup.test>").code == 250)
            }
            #expect(try client.command("QUIT").code == 221)
        }
    }

    @Test("changed text files hold within a second without a database")
    func hotFiles() async throws {
        try await Instance.run {
            $0.smtpserverParameters.append("policydb text")
        } _: { instance in
            let client = try Self.session(instance)
            #expect(try client.command("RCPT TO:<u@later.test>").code == 550)
            try instance.append(["later.test"], to: "var/db/smtp-policy.mx")
            try await waitUntil("the new line holds", deadline: .seconds(10), details: { instance.report }) {
                try client.command("RCPT TO:<u@later.test>").code == 250
            }
        }
    }

    @Test("killed in mid-session: 451 4.3.0 or the answer, never an accept by default; then it answers again")
    func killed() async throws {
        try await Instance.run {
            $0.usePolicy([])
        } _: { instance in
            let client = try Self.session(instance)
            #expect(try client.command("RCPT TO:<u@backup.test>").code == 250)
            for _ in 0..<5 {
                let service = try #require(instance.policyService)
                kill(service, SIGKILL)
                let reply = try client.command("RCPT TO:<u@elsewhere.test>", deadline: .seconds(60))
                #expect(reply.code == 550 || reply.description.hasPrefix("451 4.3.0"), "\(reply)")
                try await waitUntil("the next try works", details: { instance.report }) {
                    try client.command("RCPT TO:<u@backup.test>").code == 250
                }
                #expect(try client.command("RCPT TO:<u@elsewhere.test>").code == 550)
                try await waitUntil("another one runs", details: { instance.report }) {
                    instance.policyService.map { $0 != service } ?? false
                }
            }
            // Whichever of its loops takes it: each finds the service again by itself.
            try await waitUntil("new sessions are answered", details: { instance.report }) {
                guard let fresh = try? Self.session(instance) else { return false }
                return try fresh.command("RCPT TO:<u@backup.test>").code == 250
            }
        }
    }

    @Test("what was found out about a session outlives the service that found it out")
    func stateOutlives() async throws {
        try await Instance.run {
            $0.usePolicy([
                "[127.0.0.9]/32 freezenet +", "[127.0.0.8]/32 rejectnet +", "[127.0.0.7]/32 trustrecipients +",
            ])
        } _: { instance in
            let frozen = try Self.session(instance, from: "127.0.0.9")
            let trusted = try Self.session(instance, from: "127.0.0.7")
            let service = try #require(instance.policyService)
            kill(service, SIGKILL)
            try await waitUntil("another one answers", details: { instance.report }) {
                try trusted.command("RCPT TO:<u@elsewhere.test>").code == 250
            }
            #expect(try frozen.command("RCPT TO:<u@elsewhere.test>").code == 250)
            #expect(try frozen.command("DATA").code == 354)
            #expect(try frozen.command("Subject: kept\r\n\r\n.").code == 250)
            #expect(instance.spoolFiles["freezer"]?.count == 1)
            #expect(instance.spoolFiles["router"] == nil && instance.spoolFiles["transport"] == nil)
        }
    }

    @Test("stopped: 451 4.3.0 after a while; when it goes on, so does the session")
    func stopped() async throws {
        try await Instance.run {
            $0.usePolicy([])
        } _: { instance in
            let client = try Self.session(instance)
            let service = try #require(instance.policyService)
            kill(service, SIGSTOP)
            let reply = try client.command("RCPT TO:<u@backup.test>", deadline: .seconds(60))
            #expect(reply.description.hasPrefix("451 4.3.0"), "\(reply)")
            kill(service, SIGCONT)
            try await waitUntil("it answers again", details: { instance.report }) {
                try client.command("RCPT TO:<u@backup.test>").code == 250
            }
            #expect(try client.command("RCPT TO:<u@elsewhere.test>").code == 550)
        }
    }

    private static let damages = [
        "missing", "empty", "truncated", "text", "another GDBM file", "no permission", "a folder",
    ]

    /// Whether the damage works on this machine: root reads everything.
    private static func damage(_ instance: Instance, _ kind: String) throws -> Bool {
        let path = "\(instance.directory)/var/db/smtp-policy.gdbm"
        let file = URL(fileURLWithPath: path)
        let whole = try #require(FileManager.default.contents(atPath: path))
        try FileManager.default.removeItem(atPath: path)
        switch kind {
        case "missing": break
        case "empty": try Data().write(to: file)
        case "truncated": try whole.prefix(whole.count / 2).write(to: file)
        case "text": try Data(". relaytarget +\n".utf8).write(to: file)
        case "another GDBM file":
            var other = whole
            // Everything behind the header is noise: what is found there must not be believed.
            for index in other.indices where index >= 4096 { other[index] = UInt8(truncatingIfNeeded: index &* 31) }
            try other.write(to: file)
        case "no permission":
            guard geteuid() != 0 else { return false }
            try whole.write(to: file)
            try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: path)
        default: try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        }
        return true
    }

    @Test("a database that cannot be used: 4xx, and the log says why; a good one ends it", arguments: damages)
    func damaged(kind: String) async throws {
        try await Instance.run {
            $0.usePolicy([])
        } _: { instance in
            #expect(try Self.session(instance).command("RCPT TO:<u@backup.test>").code == 250)
            guard try Self.damage(instance, kind) else { return }
            // The one that runs would keep the last good database.
            let service = try #require(instance.policyService)
            kill(service, SIGKILL)
            try await waitUntil("another one runs", details: { instance.report }) {
                instance.policyService.map { $0 != service } ?? false
            }
            for recipient in ["alice@example.test", "u@backup.test", "u@elsewhere.test"] {
                let client = try Connection(port: instance.port)
                var reply = try client.readReply()
                for command in ["EHLO client.test", "MAIL FROM:<u@client.test>", "RCPT TO:<\(recipient)>"]
                where reply.code / 100 == 2 { reply = try client.command(command) }
                #expect((400...499).contains(reply.code), "\(kind): \(recipient): \(reply)")
            }
            #expect(instance.log.contains("smtp-policy.gdbm"), "\(kind): \(instance.report)")
            try? FileManager.default.removeItem(atPath: "\(instance.directory)/var/db/smtp-policy.gdbm")
            try await instance.buildPolicy()
            try await waitUntil("the good database is taken", details: { instance.report }) {
                (try? Self.session(instance).command("RCPT TO:<alice@example.test>").code) == 250
            }
        }
    }

    @Test(
        "a database that is broken while the service runs: the last good one stays in use",
        arguments: ["truncated", "text"])
    func brokenLater(kind: String) async throws {
        try await Instance.run {
            $0.usePolicy([])
        } _: { instance in
            let client = try Self.session(instance)
            #expect(try client.command("RCPT TO:<u@backup.test>").code == 250)
            _ = try Self.damage(instance, kind)
            try await waitUntil("the log tells of it", details: { instance.report }) {
                instance.log.contains("smtp-policy.gdbm")
            }
            #expect(try client.command("RCPT TO:<u@backup.test>").code == 250)
            #expect(try client.command("RCPT TO:<u@elsewhere.test>").code == 550)
        }
    }

    @Test("a broken source never replaces a working database; the mistake is named with file, line and key")
    func brokenSource() async throws {
        try await Instance.run {
            $0.usePolicy([])
        } _: { instance in
            let client = try Self.session(instance)
            let good = instance.read("var/db/smtp-policy.src")
            let number = good.split(separator: "\n", omittingEmptySubsequences: false).count
            for line in [
                "x.test relaytarget", "x.test relaytarget maybe", "x.test nosuchattribute +",
                "[300.0.0.1]/8 rejectnet +",
                "[10.0.0.0]/99 rejectnet +", "x.test = nounderscore", "x.test message \"no end", "x.test greylist soon",
            ] {
                try instance.write(good + line + "\n", to: "var/db/smtp-policy.src")
                let made = try await instance.newDatabase()
                #expect(made.status != .exited(0), "\(line): \(made.output)")
                #expect(made.output.contains("smtp-policy.src:\(number)"), "\(line): \(made.output)")
                #expect(try client.command("RCPT TO:<u@backup.test>").code == 250)
                #expect(try client.command("RCPT TO:<u@elsewhere.test>").code == 550)
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: "\(instance.directory)/var/db")
            #expect(!left.contains { $0.contains("-new") }, "\(left)")
            try instance.write(good, to: "var/db/smtp-policy.src")
            try await instance.buildPolicy()
        }
    }
}
