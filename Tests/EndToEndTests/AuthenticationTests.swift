import Foundation
import Glibc
import Testing

/// AUTH with real clients, each kind of password checker, and what must not be seen of a password.
@Suite("Authentication with real clients")
struct AuthenticationTests {
    /// A password that stands nowhere by accident.
    static let password = "correct-Horse+battery7"
    static let login = PeerLogin(user: "alice", password: password)
    static let wrong = PeerLogin(user: "alice", password: "wrong")
    static let message = "From: <alice@example.test>\r\nSubject: submitted\r\n\r\ntext\r\n"

    /// Name as its argument, password on its input.
    static let checker = """
        #!/bin/sh
        IFS= read -r password
        [ "$1" = alice ] && [ "$password" = '\(password)' ]

        """

    /// Ports of the other listeners.
    struct Ports {
        let smtps: UInt16
        let submission: UInt16
        init() throws { (smtps, submission) = (try FreePorts.take(), try FreePorts.take()) }
    }

    /// TLS, and passwords that `checker` knows.
    private static func usePipe(_ settings: inout Instance.Settings, _ checker: String = checker, tls: Bool = true) {
        if tls { settings.useTLS() }
        settings.smtpserverParameters += ["smtp-auth", "SMTP-auth-pipe $MAILVAR/check-password"]
        settings.prepareAlso { try $0.install(checker, as: "check-password", mode: 0o755) }
    }

    // MARK: clients

    struct Way: Sendable, CustomTestStringConvertible {
        let listener: String
        let mechanism: String
        var testDescription: String { "\(mechanism), \(listener)" }
        static let all = ["STARTTLS", "smtps", "submission"].flatMap { listener in
            ["PLAIN", "LOGIN"].map { Way(listener: listener, mechanism: $0) }
        }
    }

    @Test("swaks relays behind AUTH within TLS, and only then")
    func swaks() async throws {
        let ports = try Ports()
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run { settings in
            Self.usePipe(&settings)
            settings.useNextHop(sink)
            settings.smtpserverParameters += [
                "BindSmtpS [127.0.0.1] \(ports.smtps)", "BindSubmit [127.0.0.1] \(ports.submission)",
            ]
        } _: { instance in
            for (number, way) in Way.all.enumerated() {
                let port =
                    switch way.listener {
                    case "smtps": ports.smtps
                    case "submission": ports.submission
                    default: instance.port
                    }
                func send(_ login: PeerLogin?) async throws -> (status: TestProcess.ExitStatus, output: String) {
                    var arguments = ["--server", "127.0.0.1:\(port)"]
                    arguments.append(way.listener == "smtps" ? "--tls-on-connect" : "--tls")
                    if let login {
                        arguments += [
                            "--auth", way.mechanism, "--auth-user", login.user, "--auth-password", login.password,
                        ]
                    }
                    return try await instance.swaks(
                        from: "alice@example.test", to: "someone@elsewhere.test", arguments: arguments)
                }
                let good = try await send(Self.login)
                #expect(good.status == .exited(0), "\(way): \(good.output)")
                #expect(good.output.contains("235 2.7.0"), "\(way): \(good.output)")
                try await waitUntil("it is relayed", details: { instance.report }) { sink.messageCount == number + 1 }
                #expect(sink.messages.last?.text.contains("with ESMTPSA id ") == true)
                let without = try await send(nil)
                #expect(without.status != .exited(0), "\(way): \(without.output)")
                let refusal = way.listener == "submission" ? " 530 5.7.0" : " 5"
                #expect(without.output.contains("<~*\(refusal)"), "\(way): \(without.output)")
                let bad = try await send(Self.wrong)
                #expect(bad.status != .exited(0), "\(way): \(bad.output)")
                #expect(bad.output.contains("535 5.7.8"), "\(way): \(bad.output)")
            }
            #expect(sink.messageCount == Way.all.count)
            let lines = instance.events("authenticated")
            #expect(lines.count == Way.all.count)
            for way in Way.all {
                #expect(lines.contains { $0.contains("user=alice mechanism=\(way.mechanism) tls=TLSv1.") })
            }
            #expect(instance.events("authentication-failed").count == Way.all.count)
            instance.expectNowhere(Self.password)
        }
    }

    @Test("msmtp authenticates by SCRAM-SHA-256 against the table of zmailer password")
    func scram() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run { settings in
            settings.useTLS()
            settings.useNextHop(sink)
            settings.smtpserverParameters += ["smtp-auth-sasl", "smtp-auth-table $MAILVAR/credentials"]
            settings.prepareAlso { try $0.install("", as: "credentials", mode: 0o600) }
        } _: { instance in
            let input = try instance.scratch(Array("\(Self.password)\n".utf8))
            let line = try await instance.run(
                Programs.zmailer, ["password", "--scram", "--iterations", "5000", "alice"], input: input)
            #expect(line.status == .exited(0) && line.output.hasPrefix("alice:"), "\(line.output)")
            unlink(input)
            try instance.install(line.output, as: "credentials", mode: 0o600)
            func send(_ password: String) async throws -> (status: TestProcess.ExitStatus, output: String) {
                try await instance.run(
                    Programs.msmtp,
                    [
                        "--file=/dev/null", "--debug", "--host=localhost", "--port=\(instance.port)",
                        "--domain=client.test", "--from=alice@example.test", "--timeout=60", "--tls=on",
                        "--tls-starttls=on", "--tls-trust-file=\(instance.directory)/var/authority.pem",
                        "--auth=scram-sha-256", "--user=alice", "--passwordeval=echo '\(password)'", "--",
                        "someone@elsewhere.test",
                    ], input: try instance.scratch(Array(Self.message.utf8.filter { $0 != 13 })))
            }
            let good = try await send(Self.password)
            #expect(good.status == .exited(0), "\(good.output)")
            try await waitUntil("it is relayed", details: { instance.report }) { sink.messageCount == 1 }
            try await instance.waitForEvent("authenticated", "mechanism=SCRAM-SHA-256")
            let bad = try await send("wrong")
            #expect(bad.status != .exited(0), "\(bad.output)")
            try await instance.waitForEvent("authentication-failed", "mechanism=SCRAM-SHA-256")
            #expect(sink.messageCount == 1)
            instance.expectNowhere(Self.password)
        }
    }

    @Test("without TLS there is no AUTH, unless AUTH-LOGIN-also-without-TLS", arguments: [false, true])
    func clearText(isAllowed: Bool) async throws {
        try await Instance.run { settings in
            Self.usePipe(&settings)
            if isAllowed { settings.smtpserverParameters.append("AUTH-LOGIN-also-without-TLS") }
        } _: { instance in
            let client = try Connection(port: instance.port)
            _ = try client.readReply()
            let hello = try client.command("EHLO client.test")
            #expect(hello.texts.contains { $0.hasPrefix("AUTH") } == isAllowed, "\(hello)")
            let reply = try client.command("AUTH PLAIN \(Self.plain(Self.login))")
            #expect(reply.code == (isAllowed ? 235 : 538) || (!isAllowed && reply.code / 100 == 5), "\(reply)")
            if !isAllowed {
                #expect(instance.events("authenticated").isEmpty)
                #expect(try client.command("STARTTLS").code == 220)
                try client.startTLS()
                let secure = try client.command("EHLO client.test")
                #expect(secure.texts.contains("AUTH PLAIN LOGIN"), "\(secure)")
                let good = try client.command("AUTH PLAIN \(Self.plain(Self.login))")
                #expect(good.code == 235, "\(good)\n\(instance.report)")
            }
            instance.expectNowhere(Self.password)
        }
    }

    @Test("MSA-mode answers 530 to everybody who has not authenticated")
    func submissionMode() async throws {
        try await Instance.run { settings in
            Self.usePipe(&settings)
            settings.smtpserverParameters.append("MSA-mode")
        } _: { instance in
            let client = try Connection.secured(port: instance.port)
            for line in ["MAIL FROM:<alice@example.test>", "VRFY alice", "ETRN example.test"] {
                let reply = try client.command(line)
                #expect(reply.code == 530, "\(line): \(reply)")
            }
            #expect(try client.command("AUTH PLAIN \(Self.plain(Self.login))").code == 235)
            let reply = try client.transact(
                from: "alice@example.test", to: ["bob@example.test"], message: Self.message)
            #expect(reply.code == 250, "\(reply)")
            try await instance.waitForMail(of: "bob", count: 1)
        }
    }

    // MARK: checkers

    @Test("PAM is asked with a service of its own", arguments: ["pam_exec", "pam_permit", "pam_deny"])
    func pam(module: String) async throws {
        try await Instance.run { settings in
            settings.useTLS()
            settings.smtpserverParameters += ["smtp-auth", "smtp-auth-pam-directory $MAILVAR/pam"]
            settings.prepareAlso { instance in
                let folder = "\(instance.directory)/var"
                try FileManager.default.createDirectory(atPath: "\(folder)/pam", withIntermediateDirectories: true)
                let script = """
                    #!/bin/sh
                    password=$(tr -d '\\0')
                    [ "$PAM_USER" = alice ] && [ "$password" = '\(Self.password)' ] && [ "$PAM_RHOST" = 127.0.0.1 ]

                    """
                try instance.install(script, as: "pam/script", mode: 0o755)
                let rule =
                    module == "pam_exec" ? "pam_exec.so expose_authtok quiet \(folder)/pam/script" : "\(module).so"
                try instance.install(
                    "auth required \(rule)\naccount required pam_permit.so\n", as: "pam/smtpauth-login", mode: 0o644)
            }
        } _: { instance in
            let expected: [(PeerLogin, Int)] = [
                (Self.login, module == "pam_deny" ? 535 : 235), (Self.wrong, module == "pam_permit" ? 235 : 535),
            ]
            for (login, code) in expected {
                let client = try Connection.secured(port: instance.port)
                let reply = try client.command("AUTH PLAIN \(Self.plain(login))")
                #expect(reply.code == code, "\(module) \(login.password): \(reply)\n\(instance.report)")
            }
            instance.expectNowhere(Self.password)
        }
    }

    @Test("a program that checks passwords: yes, no, not now, and never")
    func program() async throws {
        let checker = """
            #!/bin/sh
            IFS= read -r password
            case $1 in
                good) exit 0 ;;
                bad) exit 1 ;;
                later) echo 'the directory is down'; exit 75 ;;
                crash) kill -9 $$ ;;
                slow) echo $$ > "${0%/*}/pids/slow"; exec sleep 600 ;;
            esac

            """
        try await Instance.run { settings in
            Self.usePipe(&settings, checker)
            settings.prepareAlso { instance in
                // Where it may leave its pid.
                mkdir("\(instance.directory)/var/pids", 0o777)
                chmod("\(instance.directory)/var/pids", 0o777)
            }
        } _: { instance in
            let slow = try Connection.secured(port: instance.port)
            try slow.send("AUTH PLAIN \(Self.plain(PeerLogin(user: "slow", password: Self.password)))\r\n")
            try await waitUntil("the slow one runs", details: { instance.report }) {
                instance.read("var/pids/slow").hasSuffix("\n")
            }
            // While it is with the program, the password is in no command line and no environment.
            instance.expectInNoProcess(Self.password)
            for (user, code) in [("good", 235), ("bad", 535), ("later", 454), ("crash", 454)] {
                let client = try Connection.secured(port: instance.port)
                let reply = try client.command("AUTH PLAIN \(Self.plain(PeerLogin(user: user, password: "x")))")
                #expect(reply.code == code, "\(user): \(reply)")
                #expect(try client.command("NOOP").code == 250)
            }
            try await instance.waitForEvent("authentication-failed", "user=later")
            try await instance.waitForEvent("auth-check", "the directory is down")
            let reply = try slow.readReply(deadline: .seconds(40))
            #expect(reply.code == 454, "\(reply)")
            let pid = try #require(pid_t(instance.read("var/pids/slow").filter(\.isNumber)))
            try await waitUntil("the program is ended") { kill(pid, 0) != 0 }
            #expect(try slow.command("NOOP").code == 250)
            instance.expectNowhere(Self.password)
        }
    }

    @Test("an address with too many failures may not try again; others may")
    func failureRate() async throws {
        try await Instance.run { settings in
            Self.usePipe(&settings)
            settings.smtpserverParameters.append("auth-failrate 3")
        } _: { instance in
            for number in 1...3 {
                let client = try Connection.secured(port: instance.port)
                let reply = try client.command("AUTH PLAIN \(Self.plain(Self.wrong))")
                #expect(reply.code == 535, "\(number): \(reply)")
            }
            // The failure is told to the policy service, nobody waits for that.
            try await waitUntil("the right password is refused too", details: { instance.report }) {
                let client = try Connection.secured(port: instance.port)
                let reply = try client.command("AUTH PLAIN \(Self.plain(Self.login))")
                return reply.code == 503
            }
            try await instance.waitForEvent("refused", "auth-failrate 3")
            let client = try Connection.secured(try Connection(port: instance.port, from: "127.0.0.2"))
            #expect(try client.command("AUTH PLAIN \(Self.plain(Self.login))").code == 235)
        }
    }

    @Test("a login may use its own sender addresses only")
    func senders() async throws {
        try await Instance.run { settings in
            Self.usePipe(&settings)
            settings.smtpserverParameters.append("smtp-auth-senders $MAILVAR/smtp-auth-senders")
            settings.prepareAlso { instance in
                try instance.install(
                    "alice: alice@example.test, @lists.example.test\n", as: "smtp-auth-senders", mode: 0o644)
            }
        } _: { instance in
            let client = try Connection.secured(port: instance.port)
            #expect(try client.command("AUTH PLAIN \(Self.plain(Self.login))").code == 235)
            for (sender, code) in [
                ("bob@example.test", 553), ("ceo@elsewhere.test", 553), ("alice@example.test", 250),
                ("Alice+list@Example.test", 250), ("news@lists.example.test", 250), ("", 250),
            ] {
                let reply = try client.command("MAIL FROM:<\(sender)>")
                #expect(reply.code == code, "\(sender): \(reply)")
                #expect(try client.command("RSET").code == 250)
            }
            try await instance.waitForEvent("refused", "smtp-auth-senders:1 does not give <bob@example.test> to alice")
            try instance.install("alice: bob@example.test\n", as: "smtp-auth-senders", mode: 0o644)
            try await waitUntil("the change holds", details: { instance.report }) {
                defer { _ = try? client.command("RSET") }
                return try client.command("MAIL FROM:<bob@example.test>").code == 250
            }
        }
    }

    /// RFC 4616.
    static func plain(_ login: PeerLogin) -> String {
        Data("\0\(login.user)\0\(login.password)".utf8).base64EncodedString()
    }
}
