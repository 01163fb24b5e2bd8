import MailModel
import Testing

@testable import SMTPProtocol

@Suite("Client and server together")
struct RoundTripTests {
    /// Carries octets back and forth, at most `piece` at a time, until nothing moves any more.
    static func run(_ client: inout ClientHost, _ server: inout ServerHost, piece: Int) {
        while true {
            let up = Array(client.sent.prefix(piece))
            client.sent.removeFirst(up.count)
            if !up.isEmpty { server.receive(up) }
            let down = Array(server.output.prefix(piece))
            server.output.removeFirst(down.count)
            client.receive(down)
            if up.isEmpty, down.isEmpty, client.sent.isEmpty, server.output.isEmpty { return }
        }
    }

    static let contents = [
        "", ".\r\n", "\r\n", "S: x\r\n\r\n.\r\n..\r\n.a\r\n\u{fc}\r\n",
        String(repeating: String(repeating: "y", count: 998) + "\r\n.\r\n", count: 100),
    ]

    @Test(
        "three messages go through octet for octet, whatever is offered",
        arguments: [[.ehlo], [.ehlo, .pipelining], [.ehlo, .chunking], [.ehlo, .pipelining, .chunking], .all, []]
            as [Extensions], [false, true])
    func messages(extensions: Extensions, isLMTP: Bool) {
        if isLMTP, !extensions.contains(.ehlo) { return }
        for content in Self.contents {
            for piece in content.utf8.count < 100 ? [1, 7, 100_000] : [1000, 100_000] {
                var server = ServerHost {
                    $0.extensions = extensions
                    $0.isLMTP = isLMTP
                }
                server.greet()
                var client = ClientHost { $0.isLMTP = isLMTP }
                Self.run(&client, &server, piece: piece)
                for _ in 0..<3 {
                    #expect(client.isReady)
                    client.begin(
                        ClientHost.mail(
                            "a@b.example", "nobody@b.example", "later@b.example", "c@b.example", content: content),
                        content: content)
                    Self.run(&client, &server, piece: piece)
                }
                #expect(client.results.count == 3)
                for results in client.results {
                    #expect(results.map(\.disposition) == [.success, .noUser, .temporary, .success])
                }
                #expect(server.stored.map { text($0.content) } == [content, content, content])
                #expect(server.stored.allSatisfy { $0.transaction.recipients.count == 2 })
                client.quit()
                Self.run(&client, &server, piece: piece)
                #expect(client.closed == .quit)
                #expect(server.isClosed)
            }
        }
    }

    @Test(
        "messages that nobody wants leave both sides in step",
        arguments: [[.ehlo], [.ehlo, .pipelining], [.ehlo, .chunking], [.ehlo, .pipelining, .chunking]] as [Extensions],
        [false, true])
    func refused(extensions: Extensions, isLMTP: Bool) {
        var server = ServerHost {
            $0.extensions = extensions
            $0.isLMTP = isLMTP
        }
        server.decide = { question in
            if case .sender(let mail) = question, mail.reversePath == .null {
                return .reply(Reply(550, nil, "No reports"))
            }
            return ServerHost.usual(question)
        }
        server.greet()
        var client = ClientHost { $0.isLMTP = isLMTP }
        Self.run(&client, &server, piece: 10_000)
        var bounce = ClientHost.mail("a@b.example")
        bounce.reversePath = .null
        for message in [ClientHost.mail("nobody@b.example"), bounce, ClientHost.mail("a@b.example")] {
            client.begin(message, content: ClientHost.message)
            Self.run(&client, &server, piece: 10_000)
        }
        #expect(client.results.map { $0.map(\.disposition) } == [[.noUser], [.noUser], [.success]])
        #expect(server.stored.count == 1)
    }
}
