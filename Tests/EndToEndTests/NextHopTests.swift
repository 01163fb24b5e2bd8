import Foundation
import Testing

/// Mail systems of Debian as next hops of ours.
@Suite("Real next hops", .enabled(if: PeerAccounts.canBeMade, "\(PeerAccounts.requirement)"))
struct NextHopTests {
    /// An instance that sends next.test to a server, and a sink behind that.
    private func relay(
        to server: NextHopServer, keywords: [String] = ["PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES"],
        change: @escaping (inout Instance.Settings) -> Void = { _ in },
        _ body: (_ instance: Instance, _ peer: NextHopPeer, _ sink: Sink) async throws -> Void
    ) async throws {
        let sink = try Sink(keywords: keywords)
        defer { sink.stop() }
        let port = try FreePorts.take()
        try await Instance.run { settings in
            settings.relayDomains = ["next.test"]
            settings.routes = [server.route(port)]
            // A mail system that leaves a connection unanswered on a busy machine is asked again within the test's time.
            settings.prepareAlso { instance in
                let conf = instance.read("share/scheduler.conf")
                try instance.write(
                    conf.replacing(
                        "smtp -c $channel -x", with: "smtp -c $channel -x -T conn=20s,cmd=20s,data=20s,dot=20s"),
                    to: "share/scheduler.conf")
            }
            change(&settings)
        } _: { instance in
            let peer = try await NextHopPeer(server, on: port, beside: instance, sink: sink.port)
            try await body(instance, peer, sink)
            try await peer.stop()
        }
    }

    private static let header =
        "From: Sender <alice@example.test>\r\nTo: box@next.test\r\nSubject: octets\r\n"
        + "Date: Thu, 26 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@client.test>\r\nMIME-Version: 1.0\r\n"
        + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"

    private static let message = Array(
        (header + "Hello.\r\n.\r\n..\r\n.a dot\r\nFrom here\r\ngr\u{fc}\u{df}e\r\nRSET\r\n\r\n").utf8)

    @Test(
        "who is there gets the message as it was sent, who is not is returned to the sender",
        arguments: NextHopServer.available)
    func delivery(server: NextHopServer) async throws {
        try await relay(to: server) { instance, peer, sink in
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "alice@example.test", to: ["box@next.test", "nobody@next.test"], message: Self.message,
                parameters: " BODY=8BITMIME")
            #expect(reply.code == 250, "\(reply)")
            let body = String(decoding: Self.message, as: UTF8.self)
            if server == .dovecot {
                try await waitUntil("it is in the mailbox", details: { peer.log + instance.report }) {
                    peer.stored.count == 1
                }
                let text = try #require(peer.stored.first)
                #expect(text.hasSuffix(body.replacingOccurrences(of: "\r\n", with: "\n")), "\(text)")
            } else {
                try await waitUntil("it is behind the next hop", details: { peer.log + instance.report }) {
                    sink.messageCount > 0
                }
                let got = try #require(sink.messages.first)
                #expect(got.forwardPaths == ["box@next.test"])
                #expect(got.content == Self.message, "\(got.text)")
            }
            let delivery = try await instance.waitForEvent("delivery", "to=nobody@next.test")
            #expect(delivery.contains("dsn=5."), "\(delivery)")
            try await instance.waitForMail(of: "alice", count: 1)
            let report = try #require(instance.maildir("alice").texts.first)
            #expect(report.contains("Final-Recipient: rfc822; nobody@next.test"), "\(report)")
            #expect(!report.contains("Final-Recipient: rfc822; box@next.test"), "\(report)")
            try await instance.waitForEmptySpool()
        }
    }

    @Test("many messages, a few connections", arguments: NextHopServer.available)
    func many(server: NextHopServer) async throws {
        let count = 50
        try await relay(to: server) { instance, peer, sink in
            let client = try Connection.greeted(port: instance.port)
            for number in 0..<count {
                let text = "From: <alice@example.test>\r\nSubject: number \(number)\r\n\r\ntext\r\n"
                let reply = try client.transact(
                    from: "alice@example.test", to: ["box@next.test"], message: Array(text.utf8))
                #expect(reply.code == 250, "\(reply)")
            }
            try await waitUntil("all are there", deadline: .seconds(120), details: { peer.log + instance.report }) {
                server == .dovecot ? peer.stored.count == count : sink.messageCount == count
            }
            let texts = server == .dovecot ? peer.stored : sink.messages.map(\.text)
            for number in 0..<count {
                #expect(
                    texts.count { $0.contains("Subject: number \(number)\(server == .dovecot ? "\n" : "\r\n")") } == 1)
            }
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a host without 8BITMIME gets quoted-printable, and its mail system passes that on")
    func sevenBit() async throws {
        let hop = try Sink(keywords: ["PIPELINING", "SIZE 0"])
        defer { hop.stop() }
        try await Instance.run { settings in
            settings.relayDomains = ["remote.test"]
            settings.routes = ["remote.test smtpx![127.0.0.1]:\(hop.port)"]
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "alice@example.test", to: ["box@remote.test"], message: Self.message,
                parameters: " BODY=8BITMIME")
            #expect(reply.code == 250, "\(reply)")
            try await waitUntil("it is at the next hop", details: { instance.report }) { hop.messageCount > 0 }
            let got = try #require(hop.messages.first)
            #expect(got.octets.allSatisfy { $0 < 0x80 })
            #expect(got.text.contains("Content-Transfer-Encoding: quoted-printable\r\n"))
            #expect(got.text.hasSuffix("\r\n=46rom here\r\ngr=C3=BC=C3=9Fe\r\nRSET\r\n\r\n"), "\(got.text)")
            #expect(!got.mailCommand.contains("BODY="), "\(got.mailCommand)")
        }
    }

    @Test(
        "a wish to hear of success goes to a next hop that knows DSN; for others we report the relay (RFC 3461 §5.2.2)",
        arguments: [true, false])
    func relayedReport(hasDSN: Bool) async throws {
        let hop = try Sink(keywords: ["PIPELINING", "8BITMIME"] + (hasDSN ? ["DSN"] : []))
        defer { hop.stop() }
        try await Instance.run { settings in
            settings.relayDomains = ["remote.test"]
            settings.routes = ["remote.test smtpx![127.0.0.1]:\(hop.port)"]
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            for line in [
                "MAIL FROM:<alice@example.test> RET=HDRS ENVID=e+2B1",
                "RCPT TO:<box@remote.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;orig@remote.test",
                "RCPT TO:<quiet@remote.test> NOTIFY=NEVER",
            ] {
                let reply = try client.command(line)
                #expect(reply.code == 250, "\(line): \(reply)")
            }
            #expect(try client.command("DATA").code == 354)
            try client.send(Array("Subject: x\r\n\r\ntext\r\n.\r\n".utf8))
            #expect(try client.readReply(deadline: .seconds(60)).code == 250)
            try await waitUntil("it is at the next hop", details: { instance.report }) { hop.messageCount > 0 }
            let got = try #require(hop.messages.first)
            #expect(got.mailCommand.contains("RET=HDRS ENVID=e+2B1") == hasDSN, "\(got.mailCommand)")
            #expect(
                got.recipientCommands.contains(
                    "RCPT TO:<box@remote.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;orig@remote.test") == hasDSN,
                "\(got.recipientCommands)")
            #expect(got.recipientCommands.contains("RCPT TO:<quiet@remote.test> NOTIFY=NEVER") == hasDSN)
            try await instance.waitForEmptySpool()
            guard !hasDSN else {
                #expect(instance.maildir("alice").texts.isEmpty)
                return
            }
            try await instance.waitForMail(of: "alice", count: 1)
            let report = try #require(instance.maildir("alice").texts.first)
            for part in [
                "Action: relayed", "Final-Recipient: rfc822; box@remote.test", "Original-Recipient: rfc822;",
                "Original-Envelope-Id: e+1",
            ] { #expect(report.contains(part), "\(part): \(report)") }
            #expect(!report.contains("quiet@remote.test"), "\(report)")
        }
    }

    @Test("our own server as the smarthost: SCRAM over verified TLS; with a wrong password mail waits, and is not lost")
    func smarthost() async throws {
        let password = "smarthost secret"
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run { settings in
            settings.useTLS()
            settings.useNextHop(sink)
            settings.smtpserverParameters += ["smtp-auth-sasl", "smtp-auth-table $MAILVAR/credentials"]
            settings.prepareAlso { try $0.install("", as: "credentials", mode: 0o600) }
        } _: { smarthost in
            let input = try smarthost.scratch(Array("\(password)\n".utf8))
            let line = try await smarthost.run(
                Programs.zmailer, ["password", "--scram", "--iterations", "5000", "alice"], input: input)
            #expect(line.status == .exited(0) && line.output.hasPrefix("alice:"), "\(line.output)")
            try smarthost.install(line.output, as: "credentials", mode: 0o600)
            let host = "[127.0.0.1]:\(smarthost.port)"
            let authority = "\(smarthost.directory)/var/authority.pem"
            /// Another instance that sends elsewhere.test there, as alice with this password.
            func send(_ password: String, _ body: (_ first: Instance) async throws -> Void) async throws {
                try await Instance.run { settings in
                    settings.relayDomains = ["elsewhere.test"]
                    settings.routes = ["elsewhere.test smtpx!\(host)"]
                    settings.prepareAlso { first in
                        try first.write(
                            "destination * verify CAfile=\(authority) match=mail.example.test\n",
                            to: "share/smtp-tls.conf")
                        let encoded = [Data("alice".utf8), Data(password.utf8)].map { $0.base64EncodedString() }
                        try first.install(
                            "* \(host) \(encoded.joined(separator: " "))\n", as: "smtp-secrets", mode: 0o600)
                        let command = "smtp -c $channel -x"
                        try first.write(
                            first.read("share/scheduler.conf").replacingOccurrences(
                                of: "\"\(command)\"",
                                with: "\"\(command) -A \(first.directory)/var/smtp-secrets\""),
                            to: "share/scheduler.conf")
                    }
                } _: { first in
                    let client = try Connection.greeted(port: first.port)
                    let reply = try client.transact(
                        from: "alice@example.test", to: ["someone@elsewhere.test"], message: Self.message,
                        parameters: " BODY=8BITMIME")
                    #expect(reply.code == 250, "\(reply)")
                    try await body(first)
                }
            }
            try await send(password) { first in
                try await waitUntil("it is relayed", details: { first.report + smarthost.report }) {
                    sink.messageCount == 1
                }
                try await smarthost.waitForEvent("authenticated", "mechanism=SCRAM-SHA-256")
                first.expectNowhere(password)
            }
            try await send("wrong-password") { first in
                let delivery = try await first.waitForEvent("delivery", "to=someone@elsewhere.test")
                #expect(delivery.contains("dsn=4.7.8 status=deferred"), "\(delivery)")
                #expect(sink.messageCount == 1)
                first.expectNowhere("wrong-password")
            }
        }
    }
}
