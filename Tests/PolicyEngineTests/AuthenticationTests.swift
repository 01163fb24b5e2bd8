import Glibc
import MailModel
import Policy
import Testing

@testable import PolicyEngine

@Suite("Policy engine: logins")
struct AuthenticationTests {
    private func auth(_ fixture: EngineFixture, _ client: String, as user: String = "") throws -> PolicyAnswer {
        var question = fixture.question(.auth, client: client)
        question.authenticatedUser = user
        return try fixture.ask(question)
    }

    private func fail(_ fixture: EngineFixture, _ client: String, as user: String = "") throws {
        var question = fixture.question(.authFailed, client: client)
        question.number = 0
        question.authenticatedUser = user
        try fixture.ask(question)
    }

    @Test("failures are counted by address for an hour, and those of a /64 together")
    func counting() throws {
        let fixture = try EngineFixture()
        fixture.settings.authFailureRate = 3
        for client in ["203.0.113.9", "2001:db8::1"] {
            for count in 0..<3 {
                #expect(try auth(fixture, client).verdict == .accept, "after \(count)")
                try fail(fixture, client)
            }
            #expect(try auth(fixture, client).reply?.code == 503)
        }
        #expect(try auth(fixture, "::ffff:203.0.113.9").reply?.code == 503)
        #expect(try auth(fixture, "2001:db8::ffff").reply?.code == 503)
        #expect(try auth(fixture, "203.0.113.10").verdict == .accept)
        #expect(try auth(fixture, "2001:db8:0:1::1").verdict == .accept)
        fixture.pass(3_600_000)
        #expect(try auth(fixture, "203.0.113.9").verdict == .accept)
    }

    @Test("messages of an account of this host are counted by its name, for an hour; a login's of that name are not")
    func accounts() throws {
        let fixture = try EngineFixture()
        fixture.settings.accountRateLimit = 2
        /// The reply to MAIL in a new session of the account.
        func outcome(_ user: String) throws -> Int? {
            fixture.state = ""
            var code: Int?
            for verb in [PolicyQuestion.Verb.connect, .mail] {
                var question = fixture.question(verb, helo: "")
                question.client = nil
                question.authenticatedUser = user
                question.identity = .account
                code = try fixture.ask(question).reply?.code
            }
            return code
        }
        func stored(_ user: String, _ identity: PolicyQuestion.Identity) throws {
            var question = fixture.question(.stored, count: 3)
            question.client = nil
            question.authenticatedUser = user
            question.identity = identity
            try fixture.ask(question)
        }
        for _ in 0..<5 { try stored("alice", .login) }
        for _ in 0..<2 {
            #expect(try outcome("alice") == nil)
            try stored("alice", .account)
        }
        #expect(try outcome("alice") == 451)
        #expect(try outcome("bob") == nil)
        fixture.pass(3_600_000)
        #expect(try outcome("alice") == nil)
    }

    @Test("failures of a user are told, from wherever they come")
    func users() throws {
        let fixture = try EngineFixture()
        try fail(fixture, "203.0.113.1", as: "alice")
        try fail(fixture, "203.0.113.2", as: "alice")
        try fail(fixture, "203.0.113.2", as: "bob")
        try fail(fixture, "203.0.113.2", as: String(repeating: "x", count: 300))
        #expect(
            try auth(fixture, "203.0.113.2", as: "alice").reason
                == "3 failed logins of 203.0.113.2/32 in an hour, auth-failrate 20; 2 as alice")
        #expect(try auth(fixture, "203.0.113.3", as: "carol").reason.hasSuffix("; 0 as carol"))
    }

    private func mail(_ fixture: EngineFixture, as user: String, from sender: String) throws -> PolicyAnswer {
        try fixture.openSession()
        var question = fixture.question(.mail, from: sender)
        question.authenticatedUser = user
        return try fixture.ask(question)
    }

    @Test(
        "the table of senders is read again when it changes; a wrong one is not used, and the log says where it is wrong"
    )
    func senders() throws {
        let fixture = try EngineFixture()
        let path = "\(fixture.scratch.path)/var/db/smtp-auth-senders"
        fixture.settings.senderTable = path
        fixture.scratch.write("alice: alice@example.test\n", to: "var/db/smtp-auth-senders")
        func outcome(_ user: String = "alice") throws -> String {
            let answer = try mail(fixture, as: user, from: "alice@example.test")
            return "\(answer.verdict.rawValue) \(answer.reply?.code ?? 0) \(answer.reason)"
        }
        #expect(try outcome() == "submit 0 authenticated; smtp-auth-senders:1")
        #expect(try outcome("bob") == "refuse 553 smtp-auth-senders has no line for bob")
        fixture.scratch.write("# moved\nalice: bob@example.test\n", to: "var/db/smtp-auth-senders")
        fixture.pass(1000)
        let denied = "refuse 553 smtp-auth-senders:2 does not give <alice@example.test> to alice"
        #expect(try outcome() == denied)
        fixture.scratch.write("alice: *\nbob\n", to: "var/db/smtp-auth-senders")
        fixture.pass(1000)
        #expect(try outcome() == denied)
        #expect(fixture.scratch.logLines("table-broken").first?.contains("smtp-auth-senders:2") == true)
        fixture.scratch.write("alice: *\n", to: "var/db/smtp-auth-senders")
        fixture.engine.lookAgain()
        #expect(try outcome() == "submit 0 authenticated; smtp-auth-senders:1")
        unlink(path)
        fixture.pass(1000)
        #expect(try outcome() == "submit 0 authenticated; smtp-auth-senders:1", "the version before stays")
    }

    @Test("a table of senders that was never there, or wrong from the start, is 451 for those with a login")
    func noTable() throws {
        let fixture = try EngineFixture()
        fixture.settings.senderTable = "\(fixture.scratch.path)/var/db/smtp-auth-senders"
        let missing = try mail(fixture, as: "alice", from: "alice@example.test")
        #expect(missing.reply?.code == 451)
        #expect(missing.reason.contains("smtp-auth-senders: No such file or directory"))
        #expect(try mail(fixture, as: "", from: "alice@example.test").verdict == .accept)
        fixture.scratch.write("alice\n", to: "var/db/smtp-auth-senders")
        fixture.pass(1000)
        let broken = try mail(fixture, as: "alice", from: "alice@example.test")
        #expect(broken.reply?.code == 451)
        #expect(broken.reason.contains("smtp-auth-senders:1"))
        #expect(PolicyCheck.problem(fixture.settings)?.contains("smtp-auth-senders:1") == true)
        fixture.scratch.write("alice: *\n", to: "var/db/smtp-auth-senders")
        fixture.pass(1000)
        #expect(try mail(fixture, as: "alice", from: "alice@example.test").verdict == .submit)
        #expect(PolicyCheck.problem(fixture.settings) == nil)
    }
}
