import Foundation
import PolicyRows
import Testing

/// What every stranger tries first: that we relay for him.
@Suite("Policy: no open relay, over TCP", .serialized)
struct PolicyRelayTests {
    private static let policies = ["the sample", "what is shipped", "none", "pair 1", "pair 2", "pair 3"]

    private static func prepare(_ settings: inout Instance.Settings, _ policy: String) throws {
        try settings.usePolicySample()
        settings.smtpserverParameters.append("max-unknown-commands 1000")
        switch policy {
        case "the sample": break
        case "what is shipped":
            settings.usePolicyFiles(RelayPolicies.none.merging(try tables()) { _, new in new })
        case "none":
            settings.smtpserverParameters.append("policydb text")
            settings.buildsPolicy = false
            settings.usePolicyFiles(RelayPolicies.none.merging(try tables()) { _, new in new })
            let prepare = settings.prepare
            settings.prepare = { instance in
                try prepare(instance)
                try? FileManager.default.removeItem(atPath: "\(instance.directory)/var/db/smtp-policy.src")
            }
        default:
            let files = RelayPolicies.pairs.first { $0.name == policy }?.files ?? [:]
            settings.usePolicyFiles(files.merging(try tables()) { _, new in new })
        }
    }

    private static func tables() throws -> [String: String] {
        ["users": try PolicyFolder.read("users"), "aliases": try PolicyFolder.read("aliases")]
    }

    @Test("no trick relays; what is ours is taken", arguments: policies)
    func tricks(policy: String) async throws {
        try await Instance.run { settings in
            try Self.prepare(&settings, policy)
        } _: { instance in
            // From 127.0.0.2: a stranger like any other. Tricks of the address itself need a network of their own.
            for trick in RelayTrick.all where trick.client == "203.0.113.9" {
                let reply = try Self.answer(to: trick, try Connection(port: instance.port, from: "127.0.0.2"))
                #expect((400...599).contains(reply.code), "\(policy): \(trick): \(reply)")
            }
            for recipient in RelayTrick.honest {
                let trick = RelayTrick(recipient: recipient)
                let reply = try Self.answer(to: trick, try Connection(port: instance.port, from: "127.0.0.2"))
                #expect(reply.code == 250, "\(policy): \(recipient): \(reply)")
            }
            #expect(instance.spoolFiles.isEmpty)
        }
    }

    @Test(
        "no address of a stranger makes a difference", .enabled(if: TestNetwork.canBeMade, "\(TestNetwork.requirement)")
    )
    func addresses() async throws {
        try await Instance.run { settings in
            try Self.prepare(&settings, "the sample")
            try settings.useNetwork()
        } _: { instance in
            for client in [
                "203.0.113.9", "2001:db8:99::1", "127.0.0.1", "::1", "192.0.2.25", "10.60.1.255", "10.61.0.1",
            ]
            where client != "10.60.1.255" {
                let trick = RelayTrick(recipient: "u@aother.test", client: client)
                let reply = try Self.answer(to: trick, try instance.connect(from: client))
                #expect((500...599).contains(reply.code), "\(trick): \(reply)")
            }
            let trick = RelayTrick(recipient: "u@aother.test", client: "10.60.1.255")
            #expect(try Self.answer(to: trick, try instance.connect(from: trick.client)).code == 250)
        }
    }

    /// The first refusal, or the reply to RCPT.
    private static func answer(to trick: RelayTrick, _ client: Connection) throws -> Connection.Reply {
        let greeting = try client.readReply()
        guard greeting.code == 220 else { return greeting }
        let hello = try client.command("EHLO \(trick.helo)")
        guard hello.code == 250 else { return hello }
        let mail = try client.command("MAIL FROM:<\(trick.sender)>")
        guard mail.code == 250 else { return mail }
        let reply = try client.command("RCPT TO:<\(trick.recipient)>")
        guard reply.code / 100 == 2 else { return reply }
        // What was taken must not be for elsewhere: a source route is cut down to its last part.
        return reply
    }
}
