import Configuration
import Glibc
import MailModel
import Policy
import SASL
import Telemetry
import Testing

@testable import SMTPServer

/// AUTH of a worker's sessions: the checker of passwords follows a script.
@Suite(.serialized) struct WorkerAuthenticationTests {
    static let parameters = ["smtp-auth", "AUTH-LOGIN-also-without-TLS"]

    /// alice has the password `secret`; bob's checker does not answer, carol's is in trouble.
    static func check(_ line: String) -> String? {
        guard let request = CredentialRequest(line: Array((line + "\n").utf8)),
            case .password(let user, let secret) = request.question
        else { return String(decoding: CredentialAnswer.unavailable(reason: "no question").line, as: UTF8.self) }
        let answer: CredentialAnswer
        switch user.text {
        case "alice" where secret == Secret(Array("secret".utf8)): answer = .accepted(canonicalName: nil)
        case "bob": return ""
        case "carol": answer = .unavailable(reason: "the moon is wrong")
        default: answer = .refused
        }
        return String(decoding: answer.line, as: UTF8.self)
    }

    func fixture(
        _ more: [String] = [], _ policy: @escaping ScriptedPolicy.Script = ScriptedPolicy.acceptAll
    ) throws -> (WorkerFixture, ScriptedService) {
        let fixture = try WorkerFixture(parameters: Self.parameters + more, policy: policy)
        return (fixture, try ScriptedService(fixture.worker.settings.credentialSocket) { Self.check($0) })
    }

    func plain(_ user: String, _ password: String) -> String {
        "AUTH PLAIN \(Base64.encode(Array("\0\(user)\0\(password)".utf8)))\r\n"
    }

    @Test("who has authenticated is told to the policy with each question, and stands in the message")
    func succeeds() throws {
        let (fixture, checker) = try fixture(["rcvd-auth-user"])
        defer { checker.stop() }
        let dialogue = try fixture.greeted()
        try dialogue.send(plain("alice", "secret"))
        try dialogue.expect("235 2.7.0 Authentication successful")
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        try dialogue.expect("250 ")
        try dialogue.expect("250 ")
        try dialogue.expect("354 ")
        try dialogue.send("x\r\n.\r\n")
        let id = String(try dialogue.expectReply("250").split(separator: " ").last ?? "")
        let asked = fixture.policy.questions.filter { $0.verb == .mail || $0.verb == .rcpt }
        #expect(asked.map(\.authenticatedUser) == ["alice", "alice"])
        let message = try fixture.message(id)
        #expect(message.contains("with ESMTPA id"))
        #expect(message.contains("smtp-auth: \"alice\""))
        #expect(message.contains("\nauthuser alice"))
        #expect(message.contains("\nsubmission authenticated"))
        #expect(checker.lines.count == 1)
        #expect(checker.lines.first?.hasPrefix("password\t127.0.0.1\t") == true)
        let log = try fixture.log()
        #expect(log.contains("authenticated session=") && log.contains("user=alice"))
        #expect(!log.contains("secret") && !log.contains(Base64.encode(Array("secret".utf8))))
        let metrics = fixture.worker.intake.metrics.metrics.text
        #expect(metrics.contains("zmailer_smtp_auth_total{outcome=\"succeeded\"} 1\n"), "\(metrics)")
        #expect(!metrics.contains("zmailer_smtp_policy_seconds_count 0\n"))
        #expect(metrics.contains("zmailer_smtp_policy_unanswered_total 0\n"))
    }

    @Test("LOGIN asks for name and password")
    func login() throws {
        let (fixture, checker) = try fixture(["smtp-auth-password-prompt Pass?"])
        defer { checker.stop() }
        let dialogue = try fixture.greeted()
        try dialogue.send("AUTH LOGIN\r\n")
        try dialogue.expect("334 \(Base64.encode(Array("Username:".utf8)))")
        try dialogue.send("\(Base64.encode(Array("alice".utf8)))\r\n")
        try dialogue.expect("334 \(Base64.encode(Array("Pass?".utf8)))")
        try dialogue.send("\(Base64.encode(Array("secret".utf8)))\r\n")
        try dialogue.expect("235 ")
    }

    @Test("a wrong password is 535 and counted, a checker in trouble is 454 and not")
    func fails() throws {
        let (fixture, checker) = try fixture()
        defer { checker.stop() }
        let dialogue = try fixture.greeted()
        try dialogue.send(plain("alice", "wrong"))
        try dialogue.expect("535 5.7.8 Authentication Failed")
        for user in ["bob", "carol"] {
            try dialogue.send(plain(user, "x"))
            try dialogue.expect("454 4.7.0 Temporary authentication failure")
        }
        checker.stop()
        try dialogue.send(plain("alice", "secret"))
        try dialogue.expect("454 4.7.0 ")
        try eventually("it is told") { fixture.policy.questions.contains { $0.verb == .authFailed } }
        let told = fixture.policy.questions.filter { $0.verb == .authFailed }
        #expect(told.map(\.authenticatedUser) == ["alice"])
        #expect(told.map(\.number) == [0])
        let log = try fixture.log()
        #expect(log.contains("the moon is wrong"))
        #expect(log.contains("user=alice mechanism=PLAIN reason=\"invalid credentials\""))
        let metrics = fixture.worker.intake.metrics.metrics.text
        #expect(metrics.contains("zmailer_smtp_auth_total{outcome=\"refused\"} 1\n"), "\(metrics)")
        #expect(metrics.contains("zmailer_smtp_auth_total{outcome=\"trouble\"} 3\n"))
        #expect(metrics.contains("zmailer_smtp_auth_total{outcome=\"succeeded\"} 0\n"))
    }

    @Test("the policy decides whether a client may try at all")
    func tooManyFailures() throws {
        let (fixture, checker) = try fixture([]) { question in
            var answer = PolicyAnswer(number: question.number, verdict: .accept, reason: "script")
            if question.verb == .auth {
                answer.verdict = .refuse
                answer.reply = Reply(503, EnhancedStatusCode(5, 5, 1), "Too many authentication failures")
            }
            return answer
        }
        defer { checker.stop() }
        let dialogue = try fixture.greeted()
        try dialogue.send(plain("alice", "secret"))
        try dialogue.expect("503 5.5.1 Too many authentication failures")
        try dialogue.send(plain("alice", "secret"))
        try dialogue.expect("503 5.5.1 Too many authentication failures")
        #expect(checker.lines.isEmpty)
        // What was never checked is no failure: it would keep the client out for ever.
        try dialogue.send("QUIT\r\n")
        try dialogue.expect("221 ")
        try dialogue.expectEnd()
        try eventually("it is over") { fixture.policy.questions.contains { $0.verb == .disconnect } }
        #expect(!fixture.policy.questions.contains { $0.verb == .authFailed })
    }

    @Test("submission wants AUTH, unless the policy trusts the client")
    func submission() throws {
        let fixture = try WorkerFixture(
            parameters: Self.parameters + ["BindSubmit any"], role: ListenerRole(service: .submission, port: 587))
        let dialogue = try fixture.greeted()
        try dialogue.send("MAIL FROM:<a@b.example>\r\n")
        try dialogue.expect("530 5.7.0 Sorry [127.0.0.1]; Authentication required")
        let trusting = try WorkerFixture(
            parameters: Self.parameters + ["MSA-mode"],
            policy: { question in
                var answer = PolicyAnswer(number: question.number, verdict: .accept, reason: "script")
                answer.trust = .granted
                return answer
            })
        let trusted = try trusting.greeted()
        try trusted.send("MAIL FROM:<a@b.example>\r\n")
        try trusted.expect("250 2.1.0 ")
    }

    @Test("who goes before a wrong password is told, or gives an exchange up, has failed too")
    func guessing() throws {
        let (fixture, checker) = try fixture()
        defer { checker.stop() }
        do {
            let dialogue = try fixture.greeted()
            try dialogue.send(plain("alice", "wrong"))
            try eventually("it was checked") { checker.lines.count == 1 }
            try dialogue.reset()
        }
        try eventually("it is counted") { fixture.policy.questions.contains { $0.verb == .authFailed } }
        #expect(try fixture.log().contains("authentication-failed"))
        let counted = fixture.policy.questions.filter { $0.verb == .authFailed }.count
        #expect(counted == 1)
        let dialogue = try fixture.greeted()
        for _ in 0..<4 {
            try dialogue.send("AUTH LOGIN\r\n*\r\n")
            try dialogue.expect("334 ")
            try dialogue.expect("501 5.7.0 ")
        }
        try dialogue.send("AUTH PLAIN ?\r\n")
        try dialogue.expect("501 5.5.2 ")
        try dialogue.expect("421 4.7.0 ")
        try dialogue.expectEnd()
    }
}
