import Configuration
import Glibc
import MailModel
import Policy
import Testing

@testable import PolicyEngine

/// An engine over tables and zones of its own, with a clock that the test moves.
final class EngineFixture {
    let scratch: Scratch
    let engine: PolicyEngine
    var settings = AskerSettings()
    private let clock: TestClock
    private var lastNumber: UInt64 = 0
    /// Given back with the next question, as smtpserver does.
    var state = ""

    final class TestClock { var milliseconds: Int64 = 1_000_000_000 }

    /// Everything that is asked for and not in `zones` does not exist, unless `forwarder` is asked; `test.` never does (RFC 6761).
    init(
        source: String? = nil, localnames: String = "example.test\n", zones: String = "", forwarder: String? = nil,
        scratch: Scratch? = nil, writesState: Bool = true
    ) throws {
        let scratch = try scratch ?? Scratch()
        self.scratch = scratch
        for folder in ["var", "var/db", "po"] { mkdir("\(scratch.path)/\(folder)", 0o755) }
        if let source { scratch.write(source, to: "var/db/smtp-policy.src") }
        scratch.write(localnames, to: "var/db/localnames")
        scratch.write("alice\nbob\npostmaster\n", to: "var/db/users")
        scratch.write((forwarder == nil ? "zone . static\n" : "") + zones, to: "zones")
        var values = [
            "MAILVAR": "\(scratch.path)/var", "ACCOUNTS": "file:\(scratch.path)/var/db/users",
            "HOSTNAME": "mail.example.test", "SELFADDRESSES": "[192.0.2.25]", "RESOLVERZONES": "\(scratch.path)/zones",
        ]
        values["RESOLVER"] = forwarder
        let clock = TestClock()
        self.clock = clock
        engine = try PolicyEngine(
            try MailConfiguration(ZEnvironment(values: values), postoffice: "\(scratch.path)/po"),
            writesState: writesState, log: scratch.log,
            clock: .init(milliseconds: { clock.milliseconds }, seconds: { clock.milliseconds / 1000 }))
    }

    /// Moves the clock and gives the engine its turn.
    func pass(_ milliseconds: Int64) {
        clock.milliseconds += milliseconds
        engine.tick()
    }

    func question(
        _ verb: PolicyQuestion.Verb, client: String = "203.0.113.9", helo: String = "client.test", from: String = "",
        to: String = "", count: Int = 0, session: String = "s"
    ) -> PolicyQuestion {
        lastNumber += 1
        return PolicyQuestion(
            number: lastNumber, verb: verb, session: session, client: IPAddress(client), helo: helo, sender: from,
            recipient: to, state: state, count: count)
    }

    /// Answers that come; the DNS has ten real seconds.
    func wait(until isDone: () -> Bool) {
        let deadline = ContinuousClock.now + .seconds(10)
        while !isDone(), ContinuousClock.now < deadline {
            var entry = pollfd(fd: engine.descriptor ?? -1, events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, 20)
            engine.resolverReady()
        }
        #expect(isDone())
    }

    /// Takes what the DNS has answered until it is quiet for 50 real milliseconds.
    func settle() {
        guard let descriptor = engine.descriptor else { return }
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, 50) > 0 { engine.resolverReady() }
    }

    /// The state after CONNECT and HELO, for questions of a session.
    func openSession(client: String = "203.0.113.9") throws {
        state = ""
        _ = try ask(question(.connect, client: client))
        _ = try ask(question(.helo, client: client))
    }

    /// The answer to one question, its state kept.
    @discardableResult
    func ask(_ question: PolicyQuestion, from asker: PolicyAsker? = nil) throws -> PolicyAnswer {
        var answer: PolicyAnswer?
        engine.ask(question, from: asker ?? engine.asker(settings)) { answer = $0 }
        wait { answer != nil }
        let result = try #require(answer)
        state = result.state
        return result
    }

    /// A whole transaction up to its recipient: the answer to RCPT, or the first that is no accept.
    func recipient(
        _ to: String, client: String = "203.0.113.9", from: String = "someone@from.test"
    ) throws -> PolicyAnswer {
        let asker = engine.asker(settings)
        defer { engine.forget(asker) }
        state = ""
        let connect = try ask(question(.connect, client: client), from: asker)
        guard connect.verdict == .accept || connect.verdict == .submit else { return connect }
        _ = try ask(question(.helo, client: client), from: asker)
        let mail = try ask(question(.mail, client: client, from: from), from: asker)
        guard mail.verdict == .accept || mail.verdict == .submit else { return mail }
        return try ask(question(.rcpt, client: client, from: from, to: to), from: asker)
    }
}
