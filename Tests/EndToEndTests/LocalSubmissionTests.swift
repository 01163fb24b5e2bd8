import Foundation
import Glibc
import Testing

/// Mail that programs of this host's accounts submit: sendmail, and what calls it.
@Suite("Mail of this host's programs", .serialized, .enabled(if: TestAccounts.canBeMade))
struct LocalSubmissionTests {
    private func run(
        _ body: (AccountPrograms, TestAccounts) async throws -> Void
    ) async throws {
        try await RootTests.run { instance, accounts in try await body(AccountPrograms(instance), accounts) }
    }

    @Test("a message of an account is completed, delivered, and names who submitted it")
    func delivered() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            let sent = try await programs.run(
                as: alice, programs.sendmail, ["-i", bob.name], input: "Subject: hello\n\nfirst\n.\nlast\n")
            #expect(sent.status == .exited(0) && sent.output.isEmpty, "\(sent.output)")
            try await programs.waitForMail(of: bob, 1)
            let text = try #require(AccountPrograms.maildir(bob).texts.first)
            #expect(text.hasPrefix("Return-Path: <\(alice.name)@example.test>\n"), "\(text)")
            #expect(text.contains("Received: from localhost (user=\(alice.name) via=local "), "\(text)")
            #expect(text.contains("\nFrom: \(alice.name)@example.test\n"), "\(text)")
            for name in ["Date", "Message-ID", "Subject"] { #expect(text.contains("\n\(name): "), "\(name)") }
            #expect(text.hasSuffix("\n\nfirst\n.\nlast\n"), "\(text)")
            let log = programs.instance.read("zmailer.out")
            #expect(log.contains("client=local:\(alice.name) user=\(alice.name) uid=\(alice.uid) via=local trusted=no"))
        }
    }

    @Test("where others could take the socket's name there is none, the log says why, and the network is served")
    func unsafeFolder() async throws {
        try await Instance.run { settings in
            settings.prepareAlso { instance in chmod("\(instance.directory)/var", 0o777) }
        } _: { instance in
            try await instance.waitForEvent("no-submission-socket", "mode 777; chmod go-w")
            #expect(!FileManager.default.fileExists(atPath: "\(instance.directory)/var/submission"))
            #expect(try await instance.swaks(to: "alice@example.test").status == .exited(0))
            try await instance.waitForMail(of: "alice", count: 1)
        }
    }

    @Test("-t takes To, Cc and Bcc, and nobody sees Bcc")
    func headerRecipients() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            let message = "To: Bob <\(bob.name)@example.test>\nBcc: \(alice.name)\nSubject: t\n\nx\n"
            let sent = try await programs.run(as: alice, programs.sendmail, ["-t", "-oi"], input: message)
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await programs.waitForMail(of: bob, 1)
            try await programs.waitForMail(of: alice, 1)
            for account in [alice, bob] {
                let text = try #require(AccountPrograms.maildir(account).texts.first)
                #expect(!text.lowercased().contains("bcc"), "\(text)")
                #expect(text.contains("\nTo: Bob <\(bob.name)@example.test>\n"), "\(text)")
            }
        }
    }

    @Test("another's address is refused (77), its own with a detail and <> are not; root may use any")
    func senders() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            let forged = try await programs.run(
                as: alice, programs.sendmail, ["-f", "\(bob.name)@example.test", bob.name], input: "Subject: x\n\nx\n")
            #expect(forged.status == .exited(77), "\(forged.output)")
            #expect(forged.output.contains("The account \(alice.name) may not send as"), "\(forged.output)")
            for sender in ["", "\(alice.name)+list@example.test"] {
                let sent = try await programs.run(
                    as: alice, programs.sendmail, ["-f", sender, bob.name], input: "Subject: x\n\nx\n")
                #expect(sent.status == .exited(0), "\(sent.output)")
            }
            let root = try await programs.instance.run(
                programs.sendmail, ["-f", "anybody@elsewhere.test", bob.name],
                environment: ["ZCONFIG": programs.instance.configuration], input: programs.input("Subject: x\n\nx\n"))
            #expect(root.status == .exited(0), "\(root.output)")
            try await programs.waitForMail(of: bob, 3)
            let paths = Set(AccountPrograms.maildir(bob).texts.compactMap { $0.split(separator: "\n").first })
            #expect(
                paths == [
                    "Return-Path: <>", "Return-Path: <\(alice.name)+list@example.test>",
                    "Return-Path: <anybody@elsewhere.test>",
                ])
        }
    }

    @Test(
        "exit codes: unknown user 67, and the others get it; no address 64; no recipient in the header 65; no server 75"
    )
    func exitCodes() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            func send(_ arguments: [String], _ text: String = "Subject: x\n\nx\n") async throws
                -> (status: TestProcess.ExitStatus, output: String)
            {
                try await programs.run(as: alice, programs.sendmail, arguments, input: text)
            }
            let unknown = try await send(["nobody-here", bob.name])
            #expect(unknown.status == .exited(67), "\(unknown.output)")
            #expect(unknown.output.contains("<nobody-here@example.test>: 550 5.1.1"), "\(unknown.output)")
            #expect(unknown.output.contains("sent to the other 1 recipients"), "\(unknown.output)")
            #expect(try await send([]).status == .exited(64))
            #expect(try await send(["a b@example.test"]).status == .exited(64))
            #expect(try await send(["-X", "log", bob.name]).status == .exited(64))
            #expect(try await send(["-t"], "Subject: x\n\nx\n").status == .exited(65))
            let verified = try await send(["-bv", bob.name, "nobody-here"])
            #expect(
                verified.status == .exited(67) && verified.output.contains("\(bob.name): 250"), "\(verified.output)")
            try await programs.waitForMail(of: bob, 1)
            try await programs.instance.stop()
            let down = try await send([bob.name])
            #expect(down.status == .exited(75), "\(down.output)")
            #expect(down.output.contains("PARAM submission-socket"), "\(down.output)")
        }
    }

    @Test("-bs is a session with smtpserver; newaliases says what the router will find")
    func otherModes() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            let dialogue = [
                "EHLO here", "MAIL FROM:<\(alice.name)@example.test>", "RCPT TO:<\(bob.name)@example.test>", "DATA",
                "Subject: x", "", "x", ".", "MAIL FROM:<\(bob.name)@example.test>", "QUIT",
            ]
            let spoken = try await programs.run(
                as: alice, programs.sendmail, ["-bs"], input: dialogue.map { "\($0)\r\n" }.joined())
            #expect(spoken.status == .exited(0), "\(spoken.output)")
            let codes = spoken.output.split(separator: "\r\n").filter { $0.dropFirst(3).first == " " }.map {
                $0.prefix(3)
            }
            #expect(codes == ["220", "250", "250", "250", "354", "250", "553", "221"], "\(spoken.output)")
            try await programs.waitForMail(of: bob, 1)
            let aliases = try await programs.run(as: alice, "\(programs.folder)/bin/newaliases", [])
            #expect(
                aliases.status == .exited(0) && aliases.output.contains("aliases; they are used"), "\(aliases.output)")
            try programs.instance.append(["broken"], to: "var/db/aliases")
            let broken = try await programs.run(as: alice, "\(programs.folder)/bin/newaliases", [])
            #expect(broken.status == .exited(65), "\(broken.output)")
        }
    }

    @Test("what cron writes is a message that can leave this host")
    func cron() async throws {
        try await run { programs, accounts in
            let alice = accounts.alice
            let message = """
                From: root (Cron Daemon)
                To: \(alice.name)
                Subject: Cron <\(alice.name)@here> date
                Content-Type: text/plain; charset=UTF-8
                Content-Transfer-Encoding: 8bit
                X-Cron-Env: <SHELL=/bin/sh>

                Grüße\rfertig

                """
            let sent = try await programs.run(
                as: alice, programs.sendmail, ["-i", "-FCronDaemon", "-B8BITMIME", "-oem", alice.name], input: message)
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await programs.waitForMail(of: alice, 1)
            let text = try #require(AccountPrograms.maildir(alice).texts.first)
            #expect(text.contains("\nFrom: root@example.test (Cron Daemon)\n"), "\(text)")
            #expect(text.contains("\nTo: \(alice.name)@example.test\n"), "\(text)")
            #expect(text.hasSuffix("\n\nGrüße\nfertig\n"), "\(text)")
        }
    }

    struct Client: Sendable, CustomTestStringConvertible {
        let program: String
        /// The recipient is the last one.
        let arguments: [String]
        var testDescription: String { program.split(separator: "/").last.map(String.init) ?? program }
    }

    static let clients = [
        Client(program: Programs.mailx, arguments: ["-s", "from a client"]),
        Client(program: Programs.snail, arguments: ["-s", "from a client"]),
        Client(program: Programs.mutt, arguments: ["-n", "-e", "set copy=no", "-s", "from a client", "--"]),
    ]

    @Test(
        "programs that people write mail with find it", .enabled(if: PeerAccounts.canBeMade),
        arguments: clients.filter { access($0.program, X_OK) == 0 })
    func client(client: Client) async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            let sent = try await programs.runPeer(
                as: alice, client.program, client.arguments + ["\(bob.name)@example.test"], input: "the body\n")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await programs.waitForMail(of: bob, 1)
            let text = try #require(AccountPrograms.maildir(bob).texts.first)
            #expect(text.contains("\nSubject: from a client\n") && text.hasSuffix("\nthe body\n"), "\(text)")
            #expect(text.contains("user=\(alice.name) via=local"), "\(text)")
        }
    }
}
