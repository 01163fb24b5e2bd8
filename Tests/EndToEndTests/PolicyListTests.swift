import Foundation
import Testing

/// Block lists, mail domains and names of clients as a real name server tells them.
@Suite("Policy: with a real name server", .serialized)
struct PolicyListTests {
    // `test.` and the like never leave libunbound (RFC 6761); `example.` does.
    private static let records = [
        "2.0.0.127.bl.example IN A 127.0.0.2", "2.0.0.127.bl.example IN TXT \"127.0.0.2 is listed, see bl.example\"",
        "3.0.0.127.bl.example IN A 127.0.0.4", "4.0.0.127.late.example IN A 127.0.0.2",
        "4.0.0.127.late.example IN TXT \"listed \" \"late\"", "5.0.0.127.bl.example IN A 127.0.0.2",
        "5.0.0.127.ok.example IN A 127.0.0.2", "6.0.0.127.bl.example IN A 127.255.255.254",
        "client.example IN MX 10 mx.client.example", "mx.client.example IN A 198.51.100.40",
        "empty.example IN TXT \"nothing\"", "alias.example IN CNAME client.example",
        "1.2.1.10.in-addr.arpa IN PTR host.customer.example", "host.customer.example IN A 10.1.2.1",
        "2.2.1.10.in-addr.arpa IN PTR forged.customer.example", "forged.customer.example IN A 10.9.9.9",
    ]

    private static let source = [
        "[127.0.0.0]/8 test-dns-rbl ~ok.example:bl.example rcpt-dns-rbl late.example",
        "[127.0.0.4]/32 rcpt-dns-rbl late.example", "rbl.example relaytarget + test-rcpt-dns-rbl +",
        "norbl.example relaytarget +", ".customer.example relaycustnet +", ".strict.example senderokwithdns -",
        "client.example senderokwithdns -", "empty.example senderokwithdns -", "gone.example senderokwithdns -",
        "alias.example senderokwithdns -",
    ]

    private static func prepare(_ settings: inout Instance.Settings, _ server: NameServer) {
        settings.usePolicy(source)
        settings.zones = []
        settings.zenv["RESOLVER"] = "127.0.0.1@\(server.port)"
    }

    private static func answer(
        _ instance: Instance, from source: String, sender: String = "u@x.test", to recipient: String
    ) throws -> Connection.Reply {
        let client =
            try instance.settings.network.map {
                try Connection(port: instance.port, from: source, in: $0)
            } ?? Connection(port: instance.port, from: source)
        var reply = try client.readReply()
        for command in ["EHLO client.test", "MAIL FROM:<\(sender)>", "RCPT TO:<\(recipient)>"]
        where reply.code / 100 == 2 {
            reply = try client.command(command)
        }
        return reply
    }

    @Test("lists with texts, pairs, errors of lists; senders' domains")
    func lists() async throws {
        let server = try await NameServer(Self.records)
        try await Instance.run {
            Self.prepare(&$0, server)
        } _: { instance in
            let alice = "alice@example.test"
            let listed = try Self.answer(instance, from: "127.0.0.2", to: alice)
            #expect(listed.code == 550 && "\(listed)".contains("127.0.0.2 is listed, see bl.example"), "\(listed)")
            #expect(try Self.answer(instance, from: "127.0.0.3", to: alice).code == 550)
            #expect(try Self.answer(instance, from: "127.0.0.5", to: alice).code == 250, "on the allow list too")
            #expect(try Self.answer(instance, from: "127.0.0.6", to: alice).code == 250, "an error of the list")
            #expect(try Self.answer(instance, from: "127.0.0.7", to: alice).code == 250)
            let late = try Self.answer(instance, from: "127.0.0.4", to: "u@rbl.example")
            #expect(late.code == 550 && "\(late)".contains("listed late"), "\(late)")
            #expect(try Self.answer(instance, from: "127.0.0.4", to: "u@norbl.example").code == 250)
            for (sender, code) in [
                ("u@client.example", 250), ("u@alias.example", 250), ("u@gone.example", 553), ("u@empty.example", 553),
            ] {
                let reply = try Self.answer(instance, from: "127.0.0.7", sender: sender, to: alice)
                #expect(reply.code == code, "\(sender): \(reply)")
            }
        }
    }

    @Test(
        "the name of a client with a private address, confirmed and forged",
        .enabled(if: TestNetwork.canBeMade, "\(TestNetwork.requirement)"))
    func reverseNames() async throws {
        let network = try TestNetwork()
        let server = try await NameServer(Self.records, in: network)
        try await Instance.run { settings in
            Self.prepare(&settings, server)
            settings.network = network
            settings.zenv["SMTPADDRESS"] = "any"
        } _: { instance in
            let known = try Self.answer(instance, from: "10.1.2.1", to: "u@client.example")
            #expect(known.code == 250, "\(known)")
            let forged = try Self.answer(instance, from: "10.1.2.2", to: "u@client.example")
            #expect(forged.code == 550, "\(forged)")
            let nameless = try Self.answer(instance, from: "10.1.2.3", to: "u@client.example")
            #expect(nameless.code == 550, "\(nameless)")
        }
    }

    @Test("a name server that is silent: lists are skipped within their deadline, everything else waits with 4xx")
    func silent() async throws {
        let server = try await NameServer(Self.records)
        try await Instance.run {
            Self.prepare(&$0, server)
        } _: { instance in
            #expect(try Self.answer(instance, from: "127.0.0.2", to: "alice@example.test").code == 550)
            server.signal(SIGSTOP)
            let clock = ContinuousClock()
            var start = clock.now
            let sender = try Self.answer(
                instance, from: "127.0.0.20", sender: "u@new.strict.example", to: "alice@example.test")
            #expect(sender.description.hasPrefix("451 4.4.3"), "\(sender)")
            #expect(clock.now - start < .seconds(30))
            // The lists' names alone: three time-outs at most, then they are left out.
            var slowest = Duration.zero
            for number in 21..<29 {
                start = clock.now
                let reply = try Self.answer(instance, from: "127.0.0.\(number)", to: "alice@example.test")
                // The client's name is not known either, and might grant rights; mail for us is taken all the same.
                #expect(reply.code == 250, "\(reply)")
                slowest = clock.now - start
            }
            #expect(slowest < .seconds(14), "the last one still waited: \(slowest)")
            server.signal(SIGCONT)
            try await waitUntil("it answers again", deadline: .seconds(30), details: { instance.report }) {
                try Self.answer(
                    instance, from: "127.0.0.7", sender: "u@gone.strict.example", to: "alice@example.test"
                ).code == 553
            }
        }
    }
}
