import Foundation
import Testing

/// A real proxy in front of smtpserver.
@Suite("Behind HAProxy")
struct HAProxyTests {
    private static let message = "From: <a@client.test>\r\nSubject: x\r\n\r\ntext\r\n"

    /// Clients of 127.0.9.0/24 may relay to the sink; 127.0.0.1 is a proxy.
    private static func settings(_ sink: Sink) -> (inout Instance.Settings) -> Void {
        { settings in
            settings.useNextHop(sink)
            settings.relayNetworks = ["[127.0.9.0]/24"]
            settings.smtpserverParameters.append("proxy-protocol 127.0.0.1")
        }
    }

    private static func recipient(
        _ address: String, through proxy: HAProxy, from source: String
    ) throws -> (client: Connection, reply: Connection.Reply) {
        let client = try Connection(port: proxy.port, from: source)
        var reply = try client.readReply()
        for command in ["EHLO client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<\(address)>"]
        where reply.code / 100 == 2 {
            reply = try client.command(command)
        }
        return (client, reply)
    }

    @Test("the client that it brings is in trace and log, and has its own rights", arguments: HAProxy.Header.allCases)
    func brought(header: HAProxy.Header) async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run(Self.settings(sink)) { instance in
            let proxy = try await HAProxy(before: instance, header, from: "127.0.0.1", checks: true)
            let client = try Connection(port: proxy.port, from: "127.0.9.7")
            #expect(try client.readReply().code == 220, "\(proxy.log)")
            #expect(try client.command("EHLO client.test").code == 250)
            let reply = try client.transact(
                from: "a@client.test", to: ["someone@elsewhere.test"], message: Self.message)
            #expect(reply.code == 250, "\(reply)")
            #expect(try client.command("QUIT").code == 221)
            try await waitUntil("it is relayed", details: { instance.report }) { sink.messageCount == 1 }
            let text = try #require(sink.messages.first).text
            #expect(text.contains("([127.0.9.7]:") && !text.contains("127.0.0.1"), "\(text)")
            try await instance.waitForEvent("accepted", "client=[127.0.9.7]")

            let (_, refused) = try Self.recipient("someone@elsewhere.test", through: proxy, from: "127.0.0.9")
            #expect(refused.code / 100 == 5, "\(refused)")
            try await instance.waitForEvent("refused", "client=[127.0.0.9]", "RCPT TO:<someone@elsewhere.test>")

            // Its own sessions, which bring nobody, are greeted, and answered.
            try await waitUntil("HAProxy's checks succeed", details: { proxy.log + instance.report }) {
                proxy.log.contains("Layer7 check passed")
            }
            #expect(!proxy.log.contains("DOWN"), "\(proxy.log)")
            #expect(instance.events("proxy-header-refused").isEmpty)
        }
    }

    @Test("at an address that is no proxy's its header is a command that does not exist, and believed by nobody")
    func notNamed() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        try await Instance.run(Self.settings(sink)) { instance in
            let first = try await HAProxy(before: instance, .version1, from: "127.0.0.2")
            let client = try Connection(port: first.port, from: "127.0.9.7")
            #expect(try client.readReply().code == 220)
            let answer = try client.readReply()
            #expect(answer.code / 100 == 5, "\(answer)")
            try await instance.waitForEvent("refused", "client=[127.0.0.2]", "PROXY TCP4 127.0.9.7")
            #expect(try client.command("EHLO client.test").code == 250)
            #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
            let refused = try client.command("RCPT TO:<someone@elsewhere.test>")
            #expect(refused.code / 100 == 5, "the rights of 127.0.9.7 are not the proxy's: \(refused)")
            #expect(try client.command("RSET").code == 250)
            let reply = try client.transact(from: "a@client.test", to: ["alice@example.test"], message: Self.message)
            #expect(reply.code == 250, "\(reply)")
            try await instance.waitForMail(of: "alice", count: 1)
            let text = try #require(instance.maildir("alice").texts.first)
            #expect(text.contains("([127.0.0.2]:") && !text.contains("127.0.9.7"), "\(text)")

            // In version 2 stands QUIT, on a line of its own.
            let second = try await HAProxy(before: instance, .version2, from: "127.0.0.2")
            let other = try Connection(port: second.port, from: "127.0.9.7")
            #expect(try other.readReply().code == 220)
            let rest = String(decoding: try #require(try other.remainder()), as: UTF8.self)
            #expect(rest.hasPrefix("5") && rest.contains("\r\n221 "), "\(rest)")
            #expect(sink.messageCount == 0)
        }
    }
}
