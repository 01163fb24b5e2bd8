import Foundation
import Glibc
import Testing

/// The ways by which a session comes to smtpserver, and who its client is then.
@Suite("Listeners")
struct ListenerTests {
    private static let message = "From: <a@client.test>\r\nSubject: x\r\n\r\ntext\r\n"
    private var smtpserver: String { "\(Programs.libexec)/smtpserver" }

    /// The first message of this user.
    private static func stored(_ instance: Instance, _ user: String, count: Int = 1) async throws -> [String] {
        try await instance.waitForMail(of: user, count: count)
        return instance.maildir(user).messages.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("groups of listeners have limits of their own")
    func groups() async throws {
        let port = try FreePorts.take()
        try await Instance.run { settings in
            settings.smtpserverParameters += ["newgroup", "BindSmtp [127.0.0.1] \(port)", "maxsize 1000"]
        } _: { instance in
            let large = Self.message + String(repeating: "0123456789\r\n", count: 200)
            for (port, size, code) in [(instance.port, "52428800", 250), (port, "1000", 552)] {
                let client = try Connection(port: port)
                _ = try client.readReply()
                let hello = try client.command("EHLO client.test")
                #expect(hello.texts.contains("SIZE \(size)"), "\(hello)")
                let announced = try client.command("MAIL FROM:<a@client.test> SIZE=2000")
                #expect(announced.code == code, "\(announced)")
                #expect(try client.command("RSET").code == 250)
                let reply = try client.transact(from: "a@client.test", to: ["alice@example.test"], message: large)
                #expect(reply.code == code, "\(reply)")
            }
            try await instance.waitForMail(of: "alice", count: 1)
        }
    }

    // MARK: inetd

    @Test("-R names the router that knows which addresses there are")
    func otherRouter() async throws {
        try await Instance.run { settings in
            settings.aliases = ["info: alice"]
        } _: { other in
            try await Instance.run { instance in
                let listener = try TestListener()
                for (options, code) in [([], 550), (["-R", "\(other.postoffice)/.policy"], 250)] {
                    let (client, process) = try listener.serve(
                        instance, smtpserver, ["-n", "-Z", instance.configuration] + options)
                    #expect(try client.readReply().code == 220)
                    #expect(try client.command("EHLO client.test").code == 250)
                    #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
                    let reply = try client.command("RCPT TO:<info@example.test>")
                    #expect(reply.code == code, "\(reply)")
                    #expect(try client.command("QUIT").code == 221)
                    #expect(try await process.waitForExit() == .exited(0), "\(process.output)")
                }
            }
        }
    }

    @Test("one session for inetd, with the policy and the spool of the instance", arguments: [false, true])
    func inetd(isTLS: Bool) async throws {
        try await Instance.run { settings in
            settings.useTLS()
        } _: { instance in
            let listener = try TestListener()
            let options = ["-n"] + (isTLS ? ["-t"] : [])
            let (client, process) = try listener.serve(
                instance, smtpserver,
                options + ["-l", "\(instance.directory)/sessions", "-S", "remote", "-Z", instance.configuration])
            if isTLS { try client.startTLS(serverName: "mail.example.test") }
            #expect(try client.readReply().code == 220)
            #expect(try client.command("EHLO client.test").code == 250)
            #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
            let refused = try client.command("RCPT TO:<someone@elsewhere.test>")
            #expect(refused.code / 100 == 5, "\(refused)")
            #expect(try client.command("RSET").code == 250)
            let reply = try client.transact(
                from: "a@client.test", to: ["alice@example.test"], message: Self.message)
            #expect(reply.code == 250, "\(reply)")
            #expect(try client.command("QUIT").code == 221)
            #expect(try await process.waitForExit() == .exited(0), "\(process.output)")
            let text = try #require(try await Self.stored(instance, "alice").first)
            #expect(text.contains("with \(isTLS ? "ESMTPS" : "ESMTP") id "), "\(text)")
            #expect(text.contains("([127.0.0.1]:"), "\(text)")
            // The session log of -S remote has the client's address.
            #expect(instance.read("sessions.127.0.0.1").contains("r\tQUIT\n"))
        }
    }

    @Test("inetd's session ends when the client goes away, and needs a socket")
    func inetdEnd() async throws {
        try await Instance.run { instance in
            let listener = try TestListener()
            do {
                let (client, process) = try listener.serve(instance, smtpserver, ["-n", "-Z", instance.configuration])
                #expect(try client.readReply().code == 220)
                client.shutdownSending()
                #expect(try await process.waitForExit() == .exited(0), "\(process.output)")
            }
            let none = try await instance.run(smtpserver, ["-n", "-Z", instance.configuration])
            #expect(none.status == .exited(64) && none.output.contains("no network socket"), "\(none.output)")
        }
    }

    // MARK: systemd

    @Test("sockets of systemd are served, and clients wait while the server is away")
    func activation() async throws {
        let (plain, secure) = (try TestListener(), try TestListener())
        try await Instance.run { settings in
            settings.useTLS()
        } _: { instance in
            // A second server on the same spool, with a pid file of its own.
            func start() throws -> TestProcess {
                try instance.spawn(
                    "/bin/sh",
                    [
                        "-c", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=smtp:smtps exec \"$@\"", "sh", smtpserver,
                        "--foreground", "-I", ".pid.activated", "-Z", instance.configuration,
                    ], descriptors: [3: plain.descriptor, 4: secure.descriptor])
            }
            // Before it runs: the kernel keeps them.
            var first = try Connection(port: plain.port)
            for round in 0..<2 {
                let server = try start()
                #expect(try first.readReply().code == 220, "\(server.output)")
                #expect(try first.command("EHLO client.test").code == 250)
                let reply = try first.transact(
                    from: "a@client.test", to: ["alice@example.test"], message: Self.message)
                #expect(reply.code == 250, "\(reply)")
                let second = try Connection(port: secure.port)
                try second.startTLS(serverName: "mail.example.test")
                #expect(try second.readReply().code == 220)
                server.signal(SIGTERM)
                #expect(try await server.waitForExit() == .exited(0), "\(server.output)")
                #expect(server.output.contains("[127.0.0.1]:\(plain.port) service=smtp\n"), "\(server.output)")
                if round == 0 { first = try Connection(port: plain.port) }
            }
            try await instance.waitForMail(of: "alice", count: 2)
        }
    }

    // MARK: batches

    @Test(
        "a BSMTP batch from a file, echoed by -v, its dialogue in the log of -l and -S local",
        arguments: ["\n", "\r\n"])
    func batch(lineEnd: String) async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run { settings in
            settings.useNextHop(sink)
        } _: { instance in
            let lines = [
                "HELO uucp.client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<alice@example.test>",
                "RCPT TO:<someone@elsewhere.test>", "DATA", "Subject: batch", "", "..a dot", ".",
                "MAIL FROM:<a@client.test>", "RCPT TO:<bob@example.test>", "DATA", "Subject: second", "", "x", ".",
                "QUIT",
            ]
            let file = try instance.scratch(Array(lines.map { $0 + lineEnd }.joined().utf8))
            let result = try await instance.run(
                smtpserver,
                ["-i", "-B", "-v", "-l", "\(instance.directory)/batch", "-S", "local", "-Z", instance.configuration],
                input: file)
            #expect(result.status == .exited(0), "\(result.output)")
            #expect(result.output.contains("MAIL FROM:<a@client.test>"), "-v echoes: \(result.output)")
            #expect(result.output.split(separator: "\n").filter { $0.hasPrefix("220 ") }.count == 1)
            let text = try #require(try await Self.stored(instance, "alice").first)
            #expect(text.contains("with BSMTP id "), "\(text)")
            #expect(text.hasSuffix("\n\n.a dot\n"), "\(text)")
            try await instance.waitForMail(of: "bob", count: 1)
            try await waitUntil("it is relayed, too", details: { instance.report }) { sink.messageCount == 1 }
            #expect(sink.messages.first?.text.hasSuffix("\r\n\r\n.a dot\r\n") == true)
            let dialogue = instance.read("batch.mail.example.test")
            #expect(dialogue.contains("r\tRCPT TO:<bob@example.test>\n"), "\(dialogue)")
            #expect(dialogue.contains("w\t221 "), "\(dialogue)")
        }
    }

    /// Runs a command that has a /dev/log of its own, and writes what came there.
    private static let withSyslog = #"""
        import socket, subprocess, sys
        path = sys.argv[1]
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.bind(path)
        script = """
        set -e
        devices=$1; shift
        mkdir "$devices.dev"; mount --rbind /dev "$devices.dev"; mount -t tmpfs none /dev
        for name in null zero full random urandom; do
            touch /dev/$name; mount --bind "$devices.dev/$name" /dev/$name
        done
        ln -s "$devices" /dev/log
        exec "$@"
        """
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"] + sys.argv[1:]
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        log.setblocking(False)
        try:
            while True:
                sys.stdout.write(log.recv(65536).decode(errors="replace") + "\n")
        except BlockingIOError:
            pass
        sys.exit(status)
        """#

    @Test(
        "-l SYSLOG sends each line of a session to syslog, as debug of the facility mail",
        .enabled(if: PeerAccounts.canBeMade, "\(PeerAccounts.requirement)"))
    func syslog() async throws {
        try await Instance.run { instance in
            let lines = ["HELO uucp.client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<alice@example.test>", "QUIT"]
            let file = try instance.scratch(Array(lines.map { $0 + "\n" }.joined().utf8))
            let log = "\(instance.directory)/d"
            let result = try await instance.run(
                "/usr/bin/env",
                [
                    "python3", "-c", Self.withSyslog, log, smtpserver, "-i", "-B", "-l", "SYSLOG",
                    "-Z", instance.configuration,
                ], input: file)
            #expect(result.status == .exited(0), "\(result.output)")
            // 2 << 3 | 7 (RFC 3164 §4.1.1).
            for words in [#"RCPT TO:<alice@example\.test>"#, #"250 2\.1\.5 .*"#] {
                let line = try Regex(#"(?m)^<23>.* smtpserver\[[0-9]+\]: .*\t"# + words + "$")
                #expect(result.output.contains(line), "\(result.output)")
            }
        }
    }

    @Test("a batch that ends in the middle of a message says so", arguments: ["\n", "\r\n"])
    func brokenBatch(lineEnd: String) async throws {
        try await Instance.run { instance in
            let lines = [
                "HELO uucp.client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<alice@example.test>", "DATA",
                "Subject: whole", "", "x", ".", "MAIL FROM:<a@client.test>", "RCPT TO:<bob@example.test>", "DATA",
                "Subject: cut", "", "x",
            ]
            let file = try instance.scratch(Array(lines.map { $0 + lineEnd }.joined().utf8))
            let result = try await instance.run(smtpserver, ["-i", "-B", "-Z", instance.configuration], input: file)
            #expect(result.status == .exited(65), "\(result.output)")
            #expect(result.output.contains("in the middle of a message"), "\(result.output)")
            try await instance.waitForMail(of: "alice", count: 1)
            try await instance.waitForEmptySpool()
            #expect(instance.maildir("bob").count == 0)
        }
    }

    // MARK: whom a proxy brings

    /// Version 1 or 2 of the header for a client with this IPv4 address.
    private static func header(_ version: Int, _ client: String) -> [UInt8] {
        guard version == 2 else { return Array("PROXY TCP4 \(client) 192.0.2.1 4711 25\r\n".utf8) }
        let octets = client.split(separator: ".").compactMap { UInt8($0) }
        return Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x21, 0x11, 0, 12] + octets + [192, 0, 2, 1, 0x12, 0x67, 0, 25]
    }

    @Test("behind a proxy the policy is about the client that it brings", arguments: [1, 2])
    func proxy(version: Int) async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run { settings in
            settings.useNextHop(sink)
            settings.relayNetworks = ["[198.51.100.0]/24"]
            settings.smtpserverParameters.append("proxy-protocol 127.0.0.1")
        } _: { instance in
            let trusted = try Connection(port: instance.port)
            try trusted.send(Self.header(version, "198.51.100.7"))
            #expect(try trusted.readReply().code == 220)
            #expect(try trusted.command("EHLO client.test").code == 250)
            let reply = try trusted.transact(
                from: "a@client.test", to: ["someone@elsewhere.test"], message: Self.message)
            #expect(reply.code == 250, "\(reply)")
            try await waitUntil("it is relayed", details: { instance.report }) { sink.messageCount == 1 }
            #expect(sink.messages.first?.text.contains("([198.51.100.7]:4711 ") == true)

            let stranger = try Connection(port: instance.port)
            try stranger.send(Self.header(version, "203.0.113.9"))
            #expect(try stranger.readReply().code == 220)
            #expect(try stranger.command("EHLO client.test").code == 250)
            #expect(try stranger.command("MAIL FROM:<a@client.test>").code == 250)
            let refused = try stranger.command("RCPT TO:<someone@elsewhere.test>")
            #expect(refused.code / 100 == 5, "\(refused)")
            try await instance.waitForEvent("refused", "client=[203.0.113.9]")

            // A proxy that brings nobody is closed; a header of somebody else is no header.
            let silent = try Connection(port: instance.port)
            try silent.send("EHLO client.test\r\n")
            #expect(try silent.remainder() == [])
            let liar = try Connection(port: instance.port, from: "127.0.0.2")
            try liar.send(Self.header(version, "198.51.100.7"))
            #expect(try liar.readReply().code == 220)
            let answer = try liar.readReply()
            #expect(answer.code / 100 == 5, "\(answer)")
            // In version 2 stands QUIT, on a line of its own.
            guard version == 1 else { return }
            _ = try liar.command("EHLO client.test")
            _ = try liar.command("MAIL FROM:<a@client.test>")
            #expect(try liar.command("RCPT TO:<someone@elsewhere.test>").code / 100 == 5)
        }
    }

    @Test("XCLIENT of who may say it changes the client for the policy and the trace")
    func xclient() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run { settings in
            settings.useNextHop(sink)
            settings.relayNetworks = ["[198.51.100.0]/24"]
            settings.smtpserverParameters.append("xclient 127.0.0.1")
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            for (address, code) in [("203.0.113.9", 5), ("198.51.100.7", 2)] {
                let greeting = try client.command("XCLIENT ADDR=\(address) NAME=[UNAVAILABLE] PORT=4711")
                #expect(greeting.code == 220, "\(greeting)")
                #expect(try client.command("EHLO other.test").code == 250)
                #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
                let reply = try client.command("RCPT TO:<someone@elsewhere.test>")
                #expect(reply.code / 100 == code, "\(address): \(reply)")
                #expect(try client.command("RSET").code == 250)
            }
            let reply = try client.transact(
                from: "a@client.test", to: ["someone@elsewhere.test"], message: Self.message)
            #expect(reply.code == 250, "\(reply)")
            try await waitUntil("it is relayed", details: { instance.report }) { sink.messageCount == 1 }
            let text = try #require(sink.messages.first).text
            #expect(text.contains("([198.51.100.7]:4711 \"EHLO other.test\""), "\(text)")

            let stranger = try Connection(port: instance.port, from: "127.0.0.2")
            _ = try stranger.readReply()
            let hello = try stranger.command("EHLO client.test")
            #expect(!hello.texts.contains { $0.hasPrefix("XCLIENT") }, "\(hello)")
            #expect(try stranger.command("XCLIENT ADDR=198.51.100.7").code / 100 == 5)
        }
    }
}
