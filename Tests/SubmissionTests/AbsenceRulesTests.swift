import MailModel
import Testing

@testable import Submission

@Suite struct AbsenceRulesTests {
    private func verdict(
        _ header: String, from sender: String = "carl@else.test", _ change: (inout AbsenceRules) -> Void = { _ in }
    ) -> AbsenceRules.Verdict {
        var rules = AbsenceRules(names: ["alice", "alice@example.test", "sales@example.test"])
        change(&rules)
        return rules.verdict(sender: sender, header: HeaderSection(Array((header + "\r\n\r\n").utf8)))
    }

    private func isAnswered(_ header: String, from sender: String = "carl@else.test") -> Bool {
        verdict(header, from: sender) == Mailbox(sender).map { .answer($0) }
    }

    @Test(
        "a person who has written to him is told",
        arguments: [
            "To: alice@example.test", "To: Alice <ALICE@Example.test>", "Cc: x@y, alice+list@example.test",
            "To: sales@example.test", "Resent-To: alice@example.test", "To: alice@other.example",
            "To: alice@example.test\r\nAuto-Submitted: no", "To: alice@example.test\r\nPrecedence: first-class",
            "To: alice@example.test\r\nX-Auto-Response-Suppress: DR, RN",
            "To: alice@example.test\r\nContent-Type: multipart/mixed; boundary=x", "To: alice",
            "To: alice@example.test\r\nX-Spam-Status: No, score=1",
        ])
    func answered(header: String) { #expect(isAnswered(header)) }

    @Test(
        "nobody is told where a field says that no answer is wanted",
        arguments: [
            "Auto-Submitted: auto-generated", "Auto-Submitted: auto-replied (vacation)", "Auto-Submitted: yes",
            "auto-submitted:Auto-Notified; owner=x", "Precedence: bulk", "Precedence: LIST", "Precedence: junk",
            "List-Id: <a.b>", "List-Unsubscribe: <mailto:x@y>", "List-Post: NO", "X-Auto-Response-Suppress: OOF",
            "X-Auto-Response-Suppress: DR, AutoReply", "X-Auto-Response-Suppress: All", "X-Spam-Flag: YES",
            "Content-Type: multipart/report; report-type=delivery-status", "X-Loop: x", "Mailing-List: x",
            "Feedback-ID: a:b:c",
        ])
    func fields(field: String) {
        let verdict = verdict("To: alice@example.test\r\n\(field)")
        guard case .silent(.field) = verdict else {
            Issue.record("\(field): \(verdict)")
            return
        }
    }

    @Test(
        "lists and programs are not told",
        arguments: [
            "mailer-daemon@x.test", "MAILER-DAEMON@x.test", "postmaster@x.test", "owner-swift@x.test",
            "swift-request@x.test", "swift-owner@x.test", "swift-bounces+alice=example.test@x.test", "listserv@x.test",
            "majordomo@x.test", "noreply@x.test", "no-reply@x.test", "noreply+tag@x.test", "bounce-12-34@x.test",
            "bounces+12@x.test", "root@x.test", "swift-confirm+token@x.test", "news-noreply@x.test",
        ])
    func robots(sender: String) {
        guard case .silent(.robot) = verdict("To: alice@example.test", from: sender) else {
            Issue.record("\(sender)")
            return
        }
    }

    @Test(
        "names that only look like those are people",
        arguments: ["owen@x.test", "bouncer@x.test", "requester@x.test", "daemonica@x.test", "lists.fan@x.test"])
    func people(sender: String) { #expect(isAnswered("To: alice@example.test", from: sender)) }

    @Test(
        "null sender, own message, no address, not addressed, excluded",
        arguments: [
            ("", "To: alice@example.test", "the sender is <>"), ("<>", "To: alice@example.test", "the sender is <>"),
            ("alice@example.test", "To: alice@example.test", "it is his own message"),
            ("SALES@example.test", "To: alice@example.test", "it is his own message"),
            ("no address", "To: alice@example.test", "the sender 'no address' is no address"),
            (
                "carl@else.test", "To: list@example.test",
                "neither To nor Cc has his address (-a names another, -j does not look)"
            ),
            (
                "carl@else.test", "Bcc: alice@example.test",
                "neither To nor Cc has his address (-a names another, -j does not look)"
            ),
            ("carl@else.test", "", "neither To nor Cc has his address (-a names another, -j does not look)"),
        ])
    func silent(sender: String, header: String, reason: String) {
        guard case .silent(let silence) = verdict(header, from: sender) else {
            Issue.record("answered")
            return
        }
        #expect(silence.description == reason)
    }

    @Test("excluded addresses and domains are never told; -j does not look at To")
    func options() {
        let exclude: (inout AbsenceRules) -> Void = { $0.excluded = ["carl@else.test", "@firm.test"] }
        #expect(verdict("To: alice", exclude) == .silent(.excluded("carl@else.test")))
        #expect(verdict("To: alice", from: "x@FIRM.test", exclude) == .silent(.excluded("x@FIRM.test")))
        #expect(Mailbox("carl@else.test").map { verdict("") { $0.answersUnaddressed = true } == .answer($0) } == true)
    }

    @Test("what a stranger writes into a reason is cut and has no control characters")
    func hostile() {
        let verdict = verdict("To: alice\r\nPrecedence: bulk\u{1b}[2J" + String(repeating: "x", count: 5000))
        if case .silent(let silence) = verdict {
            #expect(silence.description.utf8.count < 200)
            #expect(!silence.description.unicodeScalars.contains { $0.value < 0x20 })
        }
        let long = String(repeating: "a", count: 5000) + "@b.test"
        if case .silent(let silence) = self.verdict("To: alice", from: long) {
            #expect(silence.description.utf8.count < 200)
        } else {
            Issue.record("answered")
        }
    }
}
