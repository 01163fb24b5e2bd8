import Foundation
import Testing

/// What the service counts, once for all workers: sessions, messages, sightings.
@Suite("Policy: counters", .serialized)
struct PolicyLimitTests {
    private static func greeted(_ instance: Instance, from source: String) throws -> (Connection, Connection.Reply) {
        let client = try Connection(port: instance.port, from: source)
        return (client, try client.readReply())
    }

    private static func send(_ instance: Instance, from source: String, to recipients: [String]) throws
        -> Connection.Reply
    {
        let (client, greeting) = try greeted(instance, from: source)
        guard greeting.code == 220 else { return greeting }
        try client.command("EHLO client.test")
        return try client.transact(from: "u@client.test", to: recipients, message: "Subject: x\r\n\r\nx\r\n")
    }

    private static let relayClients = [
        "[127.0.0.3]/32 relaycustnet + ratelimitmsgs 2", "[127.0.0.4]/32 relaycustnet + ratelimitmsgs -2",
        "[127.0.0.5]/32 relaycustnet + ratelimitmsgs 100,3", "[127.0.0.6]/32 relaycustnet +",
        "[127.0.0.7]/32 relaycustnet + message \"Slowly, please\" ratelimitmsgs 1",
        "[127.0.0.8]/32 ratelimitmsgs 1",
    ]

    @Test("ratelimitmsgs: messages and recipients of an hour; soft, hard, with a message; only what was stored counts")
    func rates() async throws {
        try await Instance.run {
            $0.usePolicy(Self.relayClients)
        } _: { instance in
            let alice = ["alice@example.test"]
            for source in ["127.0.0.3", "127.0.0.4"] {
                // Transactions that store nothing count nothing.
                let (client, _) = try Self.greeted(instance, from: source)
                try client.command("EHLO client.test")
                for _ in 0..<4 {
                    #expect(try client.command("MAIL FROM:<u@client.test>").code == 250)
                    #expect(try client.command("RCPT TO:<alice@example.test>").code == 250)
                    #expect(try client.command("RSET").code == 250)
                }
                #expect(try Self.send(instance, from: source, to: alice).code == 250)
                #expect(try Self.send(instance, from: source, to: alice).code == 250)
            }
            let text = "You are sending too much mail/rcpts per time interval.  Try again later."
            try await waitUntil("the count is known", details: { instance.report }) {
                try Self.send(instance, from: "127.0.0.3", to: alice).code == 451
            }
            let soft = try Self.send(instance, from: "127.0.0.3", to: alice)
            #expect(soft.description.hasPrefix("451 4.7.1") && soft.description.contains(text), "\(soft)")
            let hard = try Self.send(instance, from: "127.0.0.4", to: alice)
            #expect(hard.description.hasPrefix("553 5.7.1") && hard.description.contains(text), "\(hard)")
            // Recipients.
            #expect(try Self.send(instance, from: "127.0.0.5", to: alice).code == 250)
            #expect(
                try Self.send(instance, from: "127.0.0.5", to: ["bob@example.test", "alice@example.test"]).code == 250)
            try await waitUntil("the recipients are counted", details: { instance.report }) {
                try Self.send(instance, from: "127.0.0.5", to: alice).code == 451
            }
            // A message of its own; no limit; no relay client.
            #expect(try Self.send(instance, from: "127.0.0.7", to: alice).code == 250)
            try await waitUntil("the message is shown", details: { instance.report }) {
                try Self.send(instance, from: "127.0.0.7", to: alice).description.contains("Slowly, please")
            }
            for source in ["127.0.0.6", "127.0.0.8"] {
                for _ in 0..<4 { #expect(try Self.send(instance, from: source, to: alice).code == 250, "\(source)") }
            }
        }
    }

    @Test("MaxSameIpSource: 450 above it, silence above four times; maxsameipsource lowers it for a network")
    func sameSource() async throws {
        try await Instance.run { settings in
            settings.usePolicy(["[127.0.0.4]/32 maxsameipsource 1", "[127.0.0.5]/32 maxsameipsource 0"])
            settings.smtpserverParameters.append("MaxSameIpSource 2")
        } _: { instance in
            var kept: [Connection] = []
            for _ in 0..<2 {
                let (client, greeting) = try Self.greeted(instance, from: "127.0.0.3")
                #expect(greeting.code == 220)
                kept.append(client)
            }
            let (third, reply) = try Self.greeted(instance, from: "127.0.0.3")
            #expect(reply.code == 450 && "\(reply)".contains("Too many simultaneous connections"), "\(reply)")
            #expect(try third.isClosedByPeer())
            // Another address has its own count.
            let (other, greeting) = try Self.greeted(instance, from: "127.0.0.4")
            #expect(greeting.code == 220)
            let (second, lowered) = try Self.greeted(instance, from: "127.0.0.4")
            #expect(lowered.code == 450 && "\(lowered)".contains("too many simultaneous connections"), "\(lowered)")
            #expect(try second.isClosedByPeer())
            let (none, refused) = try Self.greeted(instance, from: "127.0.0.5")
            #expect(refused.code == 450, "\(refused)")
            #expect(try none.isClosedByPeer())
            // Who leaves makes room.
            kept.removeLast()
            try await waitUntil("there is room", details: { instance.report }) {
                try Self.greeted(instance, from: "127.0.0.3").1.code == 220
            }
            withExtendedLifetime(other) {}
        }
    }

    @Test("greylist: refused for its seconds, then taken, also over a restart; who passed need not wait again")
    func greylist() async throws {
        try await Instance.run {
            $0.usePolicy(["[127.0.0.3]/32 greylist 3", "[127.0.0.6]/32 relaycustnet + greylist 3"])
        } _: { instance in
            let alice = ["alice@example.test"]
            #expect(try Self.send(instance, from: "127.0.0.6", to: alice).code == 250, "a relay client does not wait")
            let clock = ContinuousClock()
            let first = try Self.send(instance, from: "127.0.0.3", to: alice)
            let start = clock.now
            #expect(first.description.hasPrefix("451 4.7.1"), "\(first)")
            let again = try Self.send(instance, from: "127.0.0.3", to: alice)
            if clock.now - start < .seconds(2) { #expect(again.code == 451, "\(again)") }
            try await instance.stop()
            try await instance.start()
            try await waitUntil("it is taken after its seconds", deadline: .seconds(20), details: { instance.report }) {
                try Self.send(instance, from: "127.0.0.3", to: alice).code == 250
            }
            // Had the restart forgotten it, the three seconds would have begun anew at the first try after it.
            #expect(clock.now - start >= .seconds(2))
            try await instance.stop()
            try await instance.start()
            #expect(try Self.send(instance, from: "127.0.0.3", to: alice).code == 250, "known from now on")
            let stranger = try Self.send(instance, from: "127.0.0.3", to: ["bob@example.test"])
            #expect(stranger.code == 451, "another recipient waits: \(stranger)")
        }
    }

    @Test("what is frozen lands in the freezer, is told as accepted, and goes nowhere; thaw lets it go")
    func freezer() async throws {
        try await Instance.run {
            $0.usePolicy(["[127.0.0.3]/32 freezenet +", "cold.test relaytarget + freeze +"])
        } _: {
            instance in
            let frozen = try Self.send(instance, from: "127.0.0.3", to: ["alice@example.test"])
            #expect(frozen.code == 250, "\(frozen)")
            let cold = try Self.send(instance, from: "127.0.0.9", to: ["alice@example.test", "u@cold.test"])
            #expect(cold.code == 250, "\(cold)")
            #expect(instance.spoolFiles["freezer"]?.count == 2, "\(instance.spoolFiles)")
            let free = try Self.send(instance, from: "127.0.0.9", to: ["alice@example.test"])
            #expect(free.code == 250)
            try await instance.waitForMail(of: "alice", count: 1)
            let freezer = "\(instance.postoffice)/freezer"
            for name in instance.spoolFiles["freezer"] ?? [] {
                let text = instance.read("postoffice/freezer/\(name)")
                #expect(text.contains("comment policytest() reported freeze state"), "\(freezer)/\(name): \(text)")
            }
        }
    }
}
