import ChildProcesses
import Foundation
import Glibc
import LocalSubmission
import MailModel
import SMTPProtocol
import Testing

@Suite(.serialized) struct SubmissionClientTests {
    private func envelope(_ recipients: [String], from sender: String? = "me@d.test") throws
        -> SubmissionClient.Envelope
    {
        SubmissionClient.Envelope(
            reversePath: try sender.map { .mailbox(try #require(Mailbox($0))) } ?? .null,
            recipients: try recipients.map { ClientMessage.Recipient(.mailbox(try #require(Mailbox($0)))) })
    }

    private func content(_ text: String) throws -> MessageStore {
        let store = MessageStore()
        try store.append(Array(text.utf8))
        return store
    }

    private func submit(
        _ server: ScriptedServer, _ recipients: [String], from sender: String? = "me@d.test", _ text: String = "a\r\n"
    ) throws -> [Int] {
        try SubmissionClient(path: server.path, helloName: "here").submit(
            envelope(recipients, from: sender), content(text)
        ).map(\.code)
    }

    @Test("a message goes with its envelope, dots doubled")
    func submitted() throws {
        let server = try ScriptedServer()
        defer { server.stop() }
        #expect(try submit(server, ["a@b.test", "c@d.test"], "Subject: x\r\n\r\n.dot\r\n") == [250, 250])
        #expect(
            server.lines.prefix(5) == [
                "EHLO here", "MAIL FROM:<me@d.test> SIZE=20", "RCPT TO:<a@b.test>", "RCPT TO:<c@d.test>", "DATA",
            ])
        #expect(server.messages == ["Subject: x\n\n..dot"])
    }

    @Test("the null sender, 8-bit content, and what a report shall have")
    func parameters() throws {
        let server = try ScriptedServer()
        defer { server.stop() }
        var envelope = try envelope(["a@b.test"], from: nil)
        envelope.has8Bit = true
        envelope.ret = .headers
        envelope.envelopeID = XText.encode("a=b".utf8)
        envelope.recipients[0].notify = .never
        let replies = try SubmissionClient(path: server.path, helloName: "here").submit(envelope, content("ü\r\n"))
        #expect(replies.map(\.code) == [250])
        #expect(server.lines[1] == "MAIL FROM:<> SIZE=4 BODY=8BITMIME RET=HDRS ENVID=a+3Db")
        #expect(server.lines[2] == "RCPT TO:<a@b.test> NOTIFY=NEVER")
    }

    @Test("some recipients are refused, the others get it")
    func partly() throws {
        let server = try ScriptedServer { line in
            line.hasPrefix("RCPT TO:<no") ? "550 5.1.1 nobody" : ScriptedServer.friendly(line)
        }
        defer { server.stop() }
        #expect(try submit(server, ["a@b.test", "no@b.test", "c@b.test"]) == [250, 550, 250])
        #expect(server.messages.count == 1)
    }

    @Test("more recipients than the server takes at once make several transactions")
    func many() throws {
        let server = try ScriptedServer { line in
            line.hasPrefix("EHLO") ? "250-here\r\n250 LIMITS RCPTMAX=2" : ScriptedServer.friendly(line)
        }
        defer { server.stop() }
        let recipients = (0..<5).map { "user\($0)@b.test" }
        #expect(try submit(server, recipients) == [250, 250, 250, 250, 250])
        #expect(server.messages.count == 3)
        #expect(server.lines.filter { $0.hasPrefix("RCPT") }.count == 5)
    }

    @Test("a server that says 452 to the third gets it in another transaction")
    func tooMany() throws {
        let counts = Counter()
        let server = try ScriptedServer { line in
            if line.hasPrefix("MAIL") { counts.reset() }
            if line.hasPrefix("RCPT"), counts.next() > 2 { return "452 4.5.3 too many recipients" }
            return ScriptedServer.friendly(line)
        }
        defer { server.stop() }
        let recipients = (0..<5).map { "user\($0)@b.test" }
        #expect(try submit(server, recipients) == [250, 250, 250, 250, 250])
        #expect(server.messages.count == 3)
    }

    @Test(
        "what becomes of all is told as it is",
        arguments: [
            ("MAIL", "553 5.7.1 not you", 553), ("DATA", "451 4.3.0 later", 451), ("data", "552 5.3.4 too large", 552),
            ("data", "550 5.7.1 virus", 550), ("MAIL", "452 4.3.1 full", 452),
        ])
    func refused(command: String, reply: String, code: Int) throws {
        let server = try ScriptedServer { line in
            line.hasPrefix(command) ? reply : ScriptedServer.friendly(line)
        }
        defer { server.stop() }
        #expect(try submit(server, ["a@b.test"]) == [code])
    }

    @Test("nobody there, no greeting, and a connection that breaks may be tried again")
    func temporary() throws {
        #expect(throws: SubmissionFailure.unreachable(path: "/tmp/nowhere/socket", code: ENOENT)) {
            try SubmissionClient(path: "/tmp/nowhere/socket", helloName: "here").submit(
                envelope(["a@b.test"]), content("x"))
        }
        let closed = try ScriptedServer(greeting: "421 4.3.2 not now")
        defer { closed.stop() }
        let error = #expect(throws: SubmissionFailure.self) { try submit(closed, ["a@b.test"]) }
        #expect(error?.isTemporary == true)
        let broken = try ScriptedServer { $0 == "data" ? nil : ScriptedServer.friendly($0) }
        defer { broken.stop() }
        #expect(try submit(broken, ["a@b.test"]) == [451])
        let permanent = try ScriptedServer(greeting: "554 5.7.1 go away")
        defer { permanent.stop() }
        let refusal = #expect(throws: SubmissionFailure.self) { try submit(permanent, ["a@b.test"]) }
        #expect(refusal?.isTemporary == false)
    }

    @Test("a large message goes through a file, octet for octet")
    func large() throws {
        let server = try ScriptedServer { line in
            line.hasPrefix("EHLO") ? "250-here\r\n250 SIZE" : ScriptedServer.friendly(line)
        }
        defer { server.stop() }
        let line = String(repeating: "0123456789", count: 7)
        let count = 3 * MessageStore.memoryLimit / 72
        let store = MessageStore()
        for _ in 0..<count { try store.append(Array("\(line)\r\n".utf8)) }
        let replies = try SubmissionClient(path: server.path, helloName: "here").submit(envelope(["a@b.test"]), store)
        #expect(replies.map(\.code) == [250])
        let message = try #require(server.messages.first)
        #expect(message.utf8.count == count * 71 - 1)
        #expect(message.split(separator: "\n").allSatisfy { $0 == line })
    }

    @Test("a message larger than the server takes is refused without being sent")
    func tooLarge() throws {
        let server = try ScriptedServer { line in
            line.hasPrefix("EHLO") ? "250-here\r\n250 SIZE 3" : ScriptedServer.friendly(line)
        }
        defer { server.stop() }
        #expect(try submit(server, ["a@b.test"], "abcdef\r\n") == [552])
        #expect(server.messages.isEmpty)
    }

    @Test("VRFY: a reply for each address")
    func verify() throws {
        let server = try ScriptedServer { line in
            line.hasPrefix("VRFY no") ? "550 5.1.1 nobody" : ScriptedServer.friendly(line)
        }
        defer { server.stop() }
        let client = SubmissionClient(path: server.path, helloName: "here")
        #expect(try client.verify(["a", "nobody", "b"]).map(\.code) == [250, 550, 250])
        #expect(server.lines.contains("VRFY nobody"))
    }

    @Test("dialogues of others are carried through, both ways, to their end")
    func relay() throws {
        let server = try ScriptedServer()
        defer { server.stop() }
        var input: [Int32] = [0, 0]
        var output: [Int32] = [0, 0]
        try #require(pipe(&input) == 0 && pipe(&output) == 0)
        let commands = Array("EHLO x\r\nNOOP\r\nQUIT\r\n".utf8)
        #expect(write(input[1], commands, commands.count) == commands.count)
        close(input[1])
        try SubmissionClient(path: server.path, helloName: "here").relay(input: input[0], output: output[1])
        close(output[1])
        var octets = [UInt8](repeating: 0, count: 4096)
        let count = read(output[0], &octets, octets.count)
        let text = String(decoding: octets.prefix(max(0, count)), as: UTF8.self)
        #expect(text.hasPrefix("220 here ESMTP\r\n250-here") && text.hasSuffix("250 2.1.0 ok\r\n221 bye\r\n"))
        close(input[0])
        close(output[0])
    }

    @Test("a server that takes no more is heard to its last word")
    func lastWords() throws {
        var template = Array("/tmp/zml-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = "\(folder)/socket"
        let listener = try UnixSocket.listen(path)
        UnixSocket.makeBlocking(listener)
        defer {
            close(listener)
            unlink(path)
            unlink("\(folder)/input")
            rmdir(folder)
        }
        Thread {
            let connection = accept(listener, nil, nil)
            UnixSocket.makeBlocking(connection)
            let greeting = Array("220 here\r\n".utf8)
            _ = send(connection, greeting, greeting.count, Int32(MSG_NOSIGNAL))
            // Until the client has more to say than we take.
            var octets: [UInt8] = [0]
            _ = recv(connection, &octets, 1, Int32(MSG_PEEK))
            for _ in 0..<3 {
                let words = Array("421 4.4.2 here no more\r\n".utf8)
                _ = send(connection, words, words.count, Int32(MSG_NOSIGNAL))
            }
            close(connection)
        }.start()
        let input = open("\(folder)/input", O_RDWR | O_CREAT, 0o600)
        let line = Array(String(repeating: "x", count: 1 << 16).utf8)
        for _ in 0..<64 { #expect(write(input, line, line.count) == line.count) }
        lseek(input, 0, SEEK_SET)
        var output: [Int32] = [0, 0]
        try #require(pipe(&output) == 0)
        try SubmissionClient(path: path, helloName: "here").relay(input: input, output: output[1])
        close(output[1])
        close(input)
        var text: [UInt8] = []
        var octets = [UInt8](repeating: 0, count: 4096)
        while case let count = read(output[0], &octets, octets.count), count > 0 { text += octets[..<count] }
        close(output[0])
        let last = String(repeating: "421 4.4.2 here no more\r\n", count: 3)
        #expect(String(decoding: text, as: UTF8.self) == "220 here\r\n\(last)")
    }
}
