import Foundation
import Testing

@Suite("The first message")
struct FirstMessageTests {
    @Test("mail for a user ends in his Maildir, and nothing is left in the spool")
    func delivered() async throws {
        try await Instance.run { instance in
            let sent = try await instance.swaks(
                to: "alice@example.test", arguments: ["--header", "Subject: the first", "--body", "Hello, Alice."])
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "alice", count: 1)
            let text = try #require(instance.maildir("alice").texts.first)
            #expect(text.contains("Subject: the first"))
            #expect(text.contains("Hello, Alice."))
            #expect(text.hasPrefix("Return-Path: <sender@client.test>"))
            #expect(text.contains("\"EHLO client.test\" rhost-flags-"))
            #expect(instance.maildir("bob").count == 0)
            try await instance.waitForEmptySpool()
        }
    }

    @Test(
        "what must be refused is refused at RCPT",
        arguments: [
            ("nobody@example.test", "550 5.1.1"), ("someone@elsewhere.test", "550 5.7.1"),
        ])
    func refused(recipient: String, reply: String) async throws {
        try await Instance.run { instance in
            let sent = try await instance.swaks(to: recipient)
            // swaks: 24, no recipient was accepted.
            #expect(sent.status == .exited(24), "\(sent.output)")
            #expect(sent.output.contains(reply), "\(sent.output)")
            #expect(instance.spoolFiles.isEmpty)
        }
    }

    @Test("an instance that was ended by kill -9 starts again and delivers")
    func startsAgain() async throws {
        try await Instance.run { instance in
            instance.crash()
            try await instance.start()
            let sent = try await instance.swaks(to: "bob@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "bob", count: 1)
        }
    }

    @Test("an instance may lie in a folder whose path is longer than a socket address, and have blanks in it")
    func longPath() async throws {
        let long = (0..<8).map { "a folder with a long name \($0)" }.joined(separator: "/")
        try await Instance.run({ $0.nesting = long }) { instance in
            let sent = try await instance.swaks(to: "alice@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "alice", count: 1)
            let queue = try await instance.zmailer("queue")
            #expect(queue.status == .exited(0), "\(queue.output)")
        }
    }
}
