import Foundation
import Testing

/// A real client of LMTP.
@Suite("Postfix by LMTP", .enabled(if: PeerAccounts.canBeMade, "\(PeerAccounts.requirement)"))
struct LMTPClientTests {
    @Test("each recipient has an answer of its own: stored, bounced, and tried again")
    func recipients() async throws {
        try await Instance.run { settings in
            settings.smtpserverParameters.append("lmtp-mode")
            settings.users.append("carol")
            settings.prepareAlso { instance in
                try instance.append(["carol@example.test greylist 2"], to: "var/db/smtp-policy.src")
            }
        } _: { instance in
            let postfix = try await Postfix(relayingTo: instance, by: .lmtp)
            let client = try Connection.greeted(port: postfix.port)
            let recipients = [
                "alice@example.test", "nobody@example.test", "carol@example.test", "postmaster@example.test",
            ]
            let reply = try client.transact(
                from: "bob@example.test", to: recipients,
                message: "From: <bob@example.test>\r\nSubject: for four\r\n\r\n.\r\ntext\r\n")
            #expect(reply.code == 250, "\(reply)")
            for (recipient, status, code) in [
                ("alice@example.test", "sent", "250 2."), ("postmaster@example.test", "sent", "250 2."),
                ("nobody@example.test", "bounced", "550 5.1.1 "), ("carol@example.test", "deferred", "451 4.7.1 "),
            ] {
                try await waitUntil("\(recipient) is \(status)", details: { postfix.log + instance.report }) {
                    postfix.log.split(separator: "\n").contains { line in
                        line.contains("postfix/lmtp[") && line.contains("to=<\(recipient)>")
                            && line.contains("relay=127.0.0.1[127.0.0.1]:\(instance.port)")
                            && line.contains("status=\(status) (") && line.contains(code)
                    }
                }
            }
            // Who shall come later is tried again, alone.
            try await instance.waitForMail(of: "carol", count: 1)
            try await instance.waitForMail(of: "alice", count: 1)
            try await instance.waitForMail(of: "postmaster", count: 1)
            let text = try #require(instance.maildir("alice").texts.first)
            #expect(text.contains("with LMTP id ") && text.hasSuffix("\n\n.\ntext\n"), "\(text)")
            // Postfix's report comes by LMTP, too.
            try await instance.waitForMail(of: "bob", count: 1)
            let report = try #require(instance.maildir("bob").texts.first)
            #expect(report.contains("Final-Recipient: rfc822; nobody@example.test"), "\(report)")
            #expect(!report.contains("Final-Recipient: rfc822; alice"), "\(report)")
            try await postfix.stop()
        }
    }
}
