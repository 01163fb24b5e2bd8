import MailModel
import SMTPProtocol
import Testing

@Suite("AUTH as a client says it")
struct ClientAuthenticationTests {
    private func host(_ mechanisms: [String], _ initial: String?, believes: Bool = true) -> ClientHost {
        var host = ClientHost { $0.authenticates = true }
        host.mechanisms = mechanisms
        host.initialResponse = initial.map { Array($0.utf8) }
        host.believes = believes
        host.receive(Array("220 hello\r\n".utf8))
        host.receive(Array("250-x\r\n250 AUTH PLAIN LOGIN\r\n".utf8))
        return host
    }

    private func sent(_ host: ClientHost) -> String { String(decoding: host.sent, as: UTF8.self) }

    @Test("the initial response goes with the command, and mail comes behind 235")
    func initial() {
        var host = host(["PLAIN"], "\0a\0b")
        #expect(sent(host) == "EHLO client.example\r\nAUTH PLAIN AGEAYg==\r\n")
        #expect(!host.isReady)
        #expect(host.session.phase == .authentication)
        host.receive(Array("235 2.7.0 ok\r\n".utf8))
        #expect(host.isReady)
    }

    @Test("an empty initial response is =, a long one waits for the empty challenge")
    func forms() {
        #expect(sent(host(["X"], "")).hasSuffix("AUTH X =\r\n"))
        #expect(sent(host(["X"], nil)).hasSuffix("AUTH X\r\n"))
        var long = host(["X"], String(repeating: "a", count: 400))
        #expect(sent(long).hasSuffix("AUTH X\r\n"))
        long.receive(Array("334 \r\n".utf8))
        #expect(long.challenges == [[]])
        #expect(sent(long).hasSuffix("AUTH X\r\nYW5zd2Vy\r\n"))
    }

    @Test("challenges are decoded and answered", arguments: ["334 VXNlcm5hbWU6\r\n", "334 VXNlcm5hbWU6 \r\n"])
    func challenge(line: String) {
        var host = host(["LOGIN"], nil)
        host.receive(Array(line.utf8))
        #expect(host.challenges == [Array("Username:".utf8)])
        #expect(sent(host).hasSuffix("AUTH LOGIN\r\nYW5zd2Vy\r\n"))
    }

    @Test("a mechanism that the server does not do after all makes room for the next", arguments: [504, 534, 538])
    func next(code: Int) {
        var host = host(["A", "B"], nil)
        host.receive(Array("\(code) no\r\n".utf8))
        #expect(sent(host).hasSuffix("AUTH A\r\nAUTH B\r\n"))
        host.receive(Array("\(code) no\r\n".utf8))
        #expect(host.closed == .notAuthenticated(.refused(Reply(code, nil, "no"))))
        #expect(host.refusals == [nil, Reply(code, nil, "no"), Reply(code, nil, "no")])
    }

    @Test("other refusals end the connection", arguments: [454, 432, 500, 501, 503, 535, 550])
    func refused(code: Int) {
        var host = host(["A", "B"], nil)
        host.receive(Array("\(code) 5.7.8 no\r\n".utf8))
        #expect(sent(host).hasSuffix("AUTH A\r\nQUIT\r\n"))
        guard case .notAuthenticated(.refused(let reply))? = host.closed else {
            Issue.record("\(String(describing: host.closed))")
            return
        }
        #expect(reply.code == code)
    }

    @Test("what is no base64, or comes out of turn, ends it", arguments: ["334 ***\r\n", "334-YQ==\r\n334 YQ==\r\n"])
    func malformed(line: String) {
        var host = host(["A"], nil)
        host.receive(Array(line.utf8))
        #expect(host.closed == .notAuthenticated(.distrusted("its challenge is no base64")))
        #expect(sent(host).hasSuffix("*\r\nQUIT\r\n"))
    }

    @Test(
        "250 is no 235, and a reply too many is one",
        arguments: ["250 ok\r\n", "235 ok\r\n235 ok\r\n", "334 YQ==\r\n235 ok\r\n"])
    func outOfStep(line: String) {
        var host = host(["A"], nil)
        host.receive(Array(line.utf8))
        #expect(host.closed == .outOfStep)
    }

    @Test("421 and silence end it, too")
    func gone() {
        var host = host(["A"], nil)
        host.receive(Array("421 4.3.2 bye\r\n".utf8))
        #expect(host.closed == .serviceNotAvailable(Reply(421, EnhancedStatusCode(4, 3, 2), "bye")))
        var lost = self.host(["A"], nil)
        lost.session.connectionLost()
        lost.receive([])
        #expect(lost.closed == .connectionLost)
    }

    @Test("235 is not believed by a host that has not seen the server's proof")
    func distrusted() {
        var host = host(["A"], nil, believes: false)
        host.receive(Array("235 ok\r\n".utf8))
        #expect(host.closed == .notAuthenticated(.distrusted("x")))
        #expect(!host.isReady)
    }
}
