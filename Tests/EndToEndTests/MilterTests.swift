import Foundation
import Glibc
import Testing

/// Debian's OpenDKIM and OpenDMARC behind filter-milter, which is spoken to as smtpserver does.
@Suite(
    "Real milters", .timeLimit(.minutes(5)),
    .enabled(if: MilterPrograms.isAvailable, MilterPrograms.requirement))
struct MilterTests {
    /// A folder with configurations and links for filter-milter.
    private final class Place {
        let folder: String
        private var count = 0

        init() throws {
            var template = Array("/tmp/zm-milter-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: \(String(cString: strerror(errno)))") }
            folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            try "MAILSHARE=\(folder)\nHOSTNAME=mx.example.test\n".write(
                toFile: "\(folder)/zmailer.conf", atomically: true, encoding: .utf8)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        /// filter-milter by a name of its own, for one milter.
        func filter(_ name: String, _ endpoint: String) throws -> FilterDialogue {
            let link = "\(folder)/filter-milter.\(name)"
            try FileManager.default.createSymbolicLink(
                atPath: link, withDestinationPath: "\(Programs.libexec)/filter-milter")
            try "milter \(endpoint)\n".write(toFile: "\(link).conf", atomically: true, encoding: .utf8)
            return try FilterDialogue(
                link, environment: ["ZCONFIG": "\(folder)/zmailer.conf"], log: "\(folder)/\(name).filter.log")
        }

        /// A message file.
        func message(_ content: String, client: String, authenticated: Bool = false) throws -> String {
            count += 1
            let path = "\(folder)/\(7_526_000_000_000 + count)"
            let envelope = """
                format crlf
                external
                rcvdfrom client.test ([\(client)]:4711 "EHLO client.test" rhost-flags-OK-OK-OK-OK)
                with ESMTP
                \(authenticated ? "authuser alice\n" : "")from alice@example.test
                todsn NOTIFY=FAILURE,DELAY
                to bob@example.org
                env-end

                """
            try (envelope + content).write(toFile: path, atomically: true, encoding: .utf8)
            return path
        }
    }

    private static let own =
        "Received: from client.test ([192.0.2.1]:4711)\r\n\tby mx.example.test with ESMTP id 1; Thu, 26 Nov 2026 10:00:00 +0000\r\n"
    private static let mail =
        "Received: from before\r\n by client.test; Thu, 26 Nov 2026 09:59:59 +0000\r\n"
        + "From: Alice\r\n  <alice@example.test>\r\nTo:bob@example.org\r\nSubject:  folded \r\n\tonce,\r\n twice\r\n"
        + "Date: Thu, 26 Nov 2026 09:59:58 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n"
        + "Hello  Bob,\r\n\r\n.\r\n..dots\r\nFrom here \r\n\r\n\r\n"

    @Test(
        "OpenDKIM signs what a client of ours sends, and dkimpy verifies it",
        arguments: ["relaxed/relaxed", "relaxed/simple", "simple/simple"])
    func signs(canonicalization: String) async throws {
        let place = try Place()
        let key = try await DKIMKey(in: place.folder)
        let milter = try await OpenDKIMPeer(in: place.folder, key: key, canonicalization: canonicalization)
        let filter = try place.filter("opendkim", milter.endpoint)
        for (client, isAuthenticated) in [("127.0.0.1", false), ("192.0.2.1", true)] {
            let content = Self.own + Self.mail
            let answer = try filter.judge(
                place.message(content, client: client, authenticated: isAuthenticated))
            #expect(answer.result == "0", "\(milter.log)")
            let signed = try answer.applied(to: content)
            #expect(signed.hasPrefix("DKIM-Signature: "))
            #expect(signed.contains("c=\(canonicalization);"))
            #expect(try await key.verifies(Array(signed.utf8), in: place.folder))
            let spoilt = signed.replacingOccurrences(of: "Hello", with: "Hallo")
            #expect(try await !key.verifies(Array(spoilt.utf8), in: place.folder))
        }
        #expect(try await filter.end() == .exited(0))
        try await milter.stop()
    }

    @Test("OpenDKIM verifies what strangers send, and removes results that they have forged")
    func verifies() async throws {
        let place = try Place()
        let key = try await DKIMKey(in: place.folder)
        let milter = try await OpenDKIMPeer(in: place.folder, key: key)
        let filter = try place.filter("opendkim", milter.endpoint)
        let signed = try filter.judge(place.message(Self.own + Self.mail, client: "127.0.0.1")).applied(
            to: Self.own + Self.mail)
        let forged = "Authentication-Results: mx.example.test; dkim=pass (forged)\r\n"
        for (content, result) in [
            (signed, "dkim=pass"), (signed.replacingOccurrences(of: "Hello", with: "Hallo"), "dkim=fail"),
        ] {
            let other = "Authentication-Results: other.example; spf=pass\r\n"
            let received = Self.own + forged + other + forged + forged + content
            let answer = try filter.judge(place.message(received, client: "192.0.2.1"))
            #expect(answer.result == "0")
            let edited = try answer.applied(to: received)
            #expect(edited.hasPrefix("Authentication-Results: mx.example.test;"))
            #expect(edited.contains(result), "\(edited)")
            #expect(!edited.contains("forged"))
            #expect(edited.contains("Authentication-Results: other.example"))
        }
        try await milter.stop()
        // A milter that is away is no answer; once it is back it is asked again.
        let path = try place.message(Self.own + signed, client: "192.0.2.1")
        let nothing = try filter.judge(path)
        #expect(nothing.result == "#none")
        #expect(nothing.remarks.last?.hasPrefix("# no answer: milter \(milter.endpoint): connect: ") == true)
        unlink(milter.socket)
        let again = try await OpenDKIMPeer(in: place.folder, key: key)
        #expect(try filter.judge(path).result == "0")
        try await again.stop()
        #expect(try await filter.end() == .exited(0))
    }

    @Test(
        "OpenDMARC, asked behind OpenDKIM, adds its result and refuses what the policy of the sender's domain refuses")
    func two() async throws {
        let place = try Place()
        let key = try await DKIMKey(in: place.folder)
        let dkim = try await OpenDKIMPeer(in: place.folder, key: key)
        let dmarc = try await OpenDMARCPeer(
            in: place.folder, records: ["_dmarc.example.test v=DMARC1; p=reject"])
        let filters = (try place.filter("opendkim", dkim.endpoint), try place.filter("opendmarc", dmarc.endpoint))
        let original = Self.own + Self.mail
        let signed = try filters.0.judge(place.message(original, client: "127.0.0.1")).applied(to: original)

        let good = Self.own + signed
        let checked = try filters.0.judge(place.message(good, client: "192.0.2.1")).applied(to: good)
        let answer = try filters.1.judge(place.message(checked, client: "192.0.2.1"))
        #expect(answer.result == "0", "\(answer) \(dmarc.log)")
        #expect(answer.edits.contains { $0.hasPrefix("+header Authentication-Results: mx.example.test; dmarc=pass") })

        let bad = try filters.0.judge(place.message(original, client: "192.0.2.1")).applied(to: original)
        let refused = try filters.1.judge(place.message(bad, client: "192.0.2.1"))
        #expect(refused.result.hasPrefix("-1 550 5.7.1 "), "\(refused) \(dmarc.log)")
        #expect(refused.result.contains("DMARC"))
        try await dkim.stop()
        try await dmarc.stop()
    }
}
