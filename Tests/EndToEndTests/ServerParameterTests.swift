import Foundation
import Glibc
import Testing

/// What single PARAMs do to the running program.
@Suite("PARAMs of the server")
struct ServerParameterTests {
    private static let message = "From: <a@client.test>\r\nSubject: x\r\n\r\ntext\r\n"

    @Test("each of a group's switches works there, and not beside it")
    func switches() async throws {
        let sink = try Sink(answer: { $0.hasPrefix("RCPT") ? "550 5.1.1 No such user here" : nil })
        defer { sink.stop() }
        let port = try FreePorts.take()
        let free = try Self.freeKilobytes()
        try await Instance.run { settings in
            RelayTests.settings(sink)(&settings)
            settings.smtpserverParameters += [
                "maxsize 0", "min-availspace \(free - min(18_000_000, free / 2))", "TcpRcvBufferSize 65536",
                "TcpXmitBufferSize 32768",
                "newgroup", "BindSmtp [127.0.0.1] \(port)", "NoETRN", "sum-sizeoption-value",
                "force-rcpt-notify-never", "no-multiline-replies", "TcpRcvBufferSize 49152", "TcpXmitBufferSize 24576",
            ]
        } _: { instance in
            let (never, _, neverHello) = try instance.greeted(port: port)
            let (usual, _, usualHello) = try instance.greeted()

            // NoETRN
            #expect(usualHello.texts.contains("ETRN"), "\(usualHello)")
            #expect(!neverHello.texts.contains("ETRN"), "\(neverHello)")
            let flushed = try usual.command("ETRN remote.test")
            #expect(flushed.code == 251, "\(flushed)")
            let unknown = try never.command("ETRN remote.test")
            #expect(unknown.code / 100 == 5, "\(unknown)")

            // no-multiline-replies: the last line alone; EHLO keeps its lines.
            #expect(neverHello.texts.count > 5)
            #expect(try usual.command("HELP").texts.count > 1)
            let short = try never.command("HELP")
            #expect(short.code == 214 && short.texts.count == 1, "\(short)")

            // sum-sizeoption-value: one copy finds room in what is free, forty do not.
            for (client, last) in [(usual, 250), (never, 452)] {
                let mail = try client.command("MAIL FROM:<a@client.test> SIZE=900000000")
                #expect(mail.code == 250, "\(mail)")
                let first = try client.command("RCPT TO:<bob@example.test>")
                #expect(first.code == 250, "\(first)")
                var reply = first
                for _ in 1..<40 { reply = try client.command("RCPT TO:<bob@example.test>") }
                #expect(reply.code == last, "\(reply)")
                #expect(try client.command("RSET").code == 250)
            }
            try await instance.waitForEvent("refused", "RCPT TO:<bob@example.test>", "min-availspace")

            // force-rcpt-notify-never: no report, whatever was asked for.
            for (client, name) in [(never, "never"), (usual, "usual")] {
                #expect(try client.command("MAIL FROM:<alice@example.test>").code == 250)
                let recipient = try client.command("RCPT TO:<\(name)@remote.test> NOTIFY=FAILURE,DELAY")
                #expect(recipient.code == 250, "\(recipient)")
                #expect(try client.command("DATA").code == 354)
                try client.send(Self.message + ".\r\n")
                #expect(try client.readReply().code == 250)
                try await instance.waitForEvent("delivery", "\(name)@remote.test")
                try await instance.waitForEmptySpool()
            }
            try await instance.waitForMail(of: "alice", count: 1)
            let report = try #require(instance.maildir("alice").texts.first)
            #expect(report.contains("usual@remote.test") && !report.contains("never@remote.test"), "\(report)")

            // TcpRcvBufferSize, TcpXmitBufferSize: the system doubles what is asked for (socket(7)).
            for (port, receive, transmit) in [(instance.port, 131072, 65536), (port, 98304, 49152)] {
                for state in ["listening", "established"] {
                    let sockets = try await instance.run(
                        "/bin/ss", ["-Htnm", "state", state, "sport", "=", ":\(port)"])
                    #expect(
                        sockets.output.contains(",rb\(receive),") && sockets.output.contains(",tb\(transmit),"),
                        "\(state): \(sockets.output)")
                }
            }
            withExtendedLifetime((never, usual)) {}
        }
    }

    /// Of the file system that instances are in.
    private static func freeKilobytes() throws -> Int {
        var values = statvfs()
        guard statvfs("/tmp", &values) == 0 else { throw HarnessError("statvfs: \(String(cString: strerror(errno)))") }
        return Int(values.f_bavail) * Int(values.f_frsize) / 1024
    }

    @Test(
        "listen-ssmtp opens port 465 with TLS, and with no-smtp-auth-on-25 port 25 alone has no AUTH",
        .enabled(if: TestNetwork.canBeMade, "\(TestNetwork.requirement)"))
    func ports() async throws {
        try await Instance.run { settings in
            settings.network = try TestNetwork()
            settings.useTLS()
            settings.smtpserverParameters += [
                "listen-ssmtp", "BindSmtp [127.0.0.1]", "BindSubmit [127.0.0.1]", "smtp-auth", "no-smtp-auth-on-25",
                "AUTH-LOGIN-also-without-TLS", "SMTP-auth-pipe $MAILVAR/check-password",
            ]
            settings.prepareAlso {
                try $0.install(AuthenticationTests.checker, as: "check-password", mode: 0o755)
            }
        } _: { instance in
            let plain = AuthenticationTests.plain(AuthenticationTests.login)
            for (port, offered) in [(25, false), (instance.port, true), (587, true)] {
                let (client, _, hello) = try instance.greeted(port: port)
                #expect(hello.texts.contains { $0.hasPrefix("AUTH ") } == offered, "\(port): \(hello)")
                let reply = try client.command("AUTH PLAIN \(plain)")
                #expect(offered ? reply.code == 235 : reply.code / 100 == 5, "\(port): \(reply)")
            }
            // 465, at the address of BindAddress: TLS, then the greeting.
            let client = try Connection(port: 465, from: "127.0.0.1", in: instance.settings.network)
            try client.startTLS(serverName: "mail.example.test")
            #expect(try client.readReply().code == 220)
            let hello = try client.command("EHLO client.test")
            #expect(hello.texts.contains { $0.hasPrefix("AUTH ") } && !hello.texts.contains("STARTTLS"), "\(hello)")
            let reply = try client.transact(from: "a@client.test", to: ["alice@example.test"], message: Self.message)
            #expect(reply.code == 250, "\(reply)")
            try await instance.waitForMail(of: "alice", count: 1)
            #expect(instance.maildir("alice").texts.first?.contains("with ESMTPS id ") == true)
        }
    }
}
