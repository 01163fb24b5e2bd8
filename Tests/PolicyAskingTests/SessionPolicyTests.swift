import Configuration
import MailModel
import Policy
import PolicyAsking
import Testing

@Suite struct SessionPolicyTests {
    func answer(
        _ verdict: PolicyAnswer.Verdict = .accept, state: String = "", freeze: Int = 0, reason: String = "test"
    ) -> PolicyAnswer {
        var answer = PolicyAnswer(number: 1, verdict: verdict, reason: reason)
        answer.state = state
        answer.freezeCode = freeze
        return answer
    }

    @Test("the state of connect and helo holds for the session, that of mail and rcpt for the transaction")
    func states() {
        var policy = SessionPolicy()
        #expect(policy.state(for: .helo).isEmpty)
        policy.take(answer(state: "c"), to: .connect)
        #expect(policy.state(for: .helo) == "c")
        policy.take(answer(state: "h"), to: .helo)
        policy.beginTransaction()
        #expect(policy.state(for: .mail) == "h")
        #expect(policy.state(for: .rcpt) == "h", "when mail was not asked")
        policy.take(answer(state: "m"), to: .mail)
        #expect(policy.state(for: .rcpt) == "m")
        policy.take(answer(.refuse, state: "r"), to: .rcpt)
        #expect(policy.state(for: .rcpt) == "r")
        #expect(policy.state(for: .stored) == "r")
        #expect(policy.state(for: .verify) == "h")
        policy.beginTransaction()
        #expect(policy.state(for: .rcpt) == "h")
    }

    @Test("an answer without a state, as of a service in trouble, makes nothing forgotten")
    func trouble() {
        var policy = SessionPolicy()
        policy.take(answer(state: "rejected"), to: .connect)
        policy.take(answer(.refuse), to: .helo)
        #expect(policy.state(for: .mail) == "rejected")
    }

    @Test("who may submit without a login is told by connect and HELO; an answer in trouble changes nothing")
    func trust() {
        func answer(_ trust: PolicyAnswer.Trust, _ verdict: PolicyAnswer.Verdict = .accept) -> PolicyAnswer {
            var answer = self.answer(verdict)
            answer.trust = trust
            return answer
        }
        var policy = SessionPolicy()
        #expect(!policy.isTrusted && policy.trust == .none)
        policy.take(answer(.granted), to: .connect)
        #expect(policy.isTrusted)
        policy.take(answer(.none, .refuse), to: .helo)
        policy.take(answer(.none), to: .mail)
        #expect(policy.isTrusted)
        policy.take(answer(.none), to: .helo)
        #expect(!policy.isTrusted)
        policy.take(answer(.unknown), to: .connect)
        #expect(!policy.isTrusted && policy.trust == .unknown)
    }

    @Test("MAIL is asked about after a login, whatever was needless before")
    func login() {
        var policy = SessionPolicy()
        var connected = answer()
        connected.needless = [.helo, .mail]
        policy.take(connected, to: .connect)
        #expect(policy.isNeedless(.helo) && policy.isNeedless(.mail))
        #expect(!policy.isNeedless(.auth) && !policy.isNeedless(.authFailed))
        policy.clientLoggedIn()
        #expect(policy.isNeedless(.helo) && !policy.isNeedless(.mail))
        #expect(policy.state(for: .auth).isEmpty && policy.state(for: .authFailed).isEmpty)
    }

    @Test("one frozen recipient freezes the message, a frozen client every message")
    func freeze() {
        var policy = SessionPolicy()
        #expect(policy.freeze == nil && policy.comments.isEmpty)
        policy.beginTransaction()
        policy.take(answer(), to: .mail)
        policy.take(answer(freeze: 1, reason: "freeze + @f:3 via x"), to: .rcpt)
        policy.take(answer(), to: .rcpt)
        #expect(policy.freeze == .init(code: 1, reason: "freeze + @f:3 via x"))
        policy.beginTransaction()
        #expect(policy.freeze == nil)
        policy.take(answer(freeze: 2), to: .connect)
        policy.beginTransaction()
        #expect(policy.freeze?.code == 2)
    }

    @Test("comments and header fields are gathered once each, and not without bound")
    func gathered() {
        var policy = SessionPolicy()
        var spf = answer()
        spf.headerField = "Received-SPF: pass"
        spf.comment = "spf: pass"
        policy.take(spf, to: .mail)
        policy.take(spf, to: .rcpt)
        #expect(policy.headerFields == ["Received-SPF: pass"])
        #expect(policy.comments == ["spf: pass"])
        for number in 0..<200 {
            var refusal = answer(.refuse)
            refusal.comment = "rejected \(number)"
            policy.take(refusal, to: .rcpt)
        }
        #expect(policy.comments.count == SessionPolicy.maximumComments)
    }

    @Test("what needs not be asked is the session's, and never about recipients")
    func needless() {
        var policy = SessionPolicy()
        var trusted = answer()
        trusted.needless = [.helo, .mail, .rcpt]
        trusted.maximumSize = 1000
        trusted.clientName = "a.example"
        policy.take(trusted, to: .connect)
        #expect(policy.isNeedless(.helo) && policy.isNeedless(.mail))
        #expect(!policy.isNeedless(.rcpt) && !policy.isNeedless(.stored))
        #expect(policy.maximumSize == 1000 && policy.clientName == "a.example")
        policy.take(answer(.submit), to: .rcpt)
        #expect(policy.isSubmission)
        policy.beginTransaction()
        #expect(!policy.isSubmission)
    }

    @Test("settings say what smtpserver.conf says, and survive the line that they travel in")
    func settings() throws {
        let configuration = try SMTPServerConfiguration.parse(
            """
            PARAM policydb gdbm /var/db/smtp-policy
            PARAM MaxSameIpSource 7
            PARAM MaxParallelConnections 70
            PARAM spf-received
            PARAM spf-threshold neutral
            PARAM spf-localpolicy include:a.example
            PARAM no-reject-percent-kludge
            PARAM contact-pointer-message Call us
            * ve
            """, file: "f", environment: ZEnvironment())
        let settings = AskerSettings(configuration, hostName: "mx.example")
        #expect(settings.database == .gdbm("/var/db/smtp-policy"))
        #expect(settings.limits == ConnectionLimits(perAddress: 7, total: 70))
        #expect(settings.spfThreshold == .neutral && settings.addsReceivedSPF && !settings.rejectsPercentKludge)
        #expect(settings.contactPointer == "Call us" && settings.spfLocalPolicy == "include:a.example")
        #expect(AskerSettings(line: settings.line) == settings)
    }
}
