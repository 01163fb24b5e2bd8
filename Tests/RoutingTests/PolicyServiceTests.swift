import ChildProcesses
import Glibc
import MailModel
import Policy
import PolicyEngine
import Testing

@testable import Router

/// Connections of one engine, with a clock that the test moves.
private final class ServiceFixture {
    let instance: RouterInstance
    let engine: PolicyEngine
    private let clock: Clock

    private final class Clock { var now: Int64 = 1_000_000 }

    init(users: String? = "alice\nbob\n") throws {
        instance = try RouterInstance(users: users)
        let clock = Clock()
        self.clock = clock
        engine = try PolicyEngine(
            instance.configuration, writesState: true, log: instance.log,
            clock: .init(milliseconds: { clock.now }, seconds: { clock.now / 1000 }))
    }

    func connection() -> PolicyConnection { PolicyConnection(engine) }

    /// What a session has to give back after its `connect`, as a field.
    func state() throws -> String {
        let connection = connection()
        defer { connection.end() }
        let (answers, _) = try ask("1\tconnect\tsession=state\tclient=203.0.113.9\n", connection)
        return "state=\(try #require(answers.first).state)"
    }

    func pass(_ milliseconds: Int64) { clock.now += milliseconds }

    /// Feeds `text` in pieces of `size` octets; the answers, when all are there, and why the asker had to go.
    func ask(
        _ text: String, size: Int = .max, _ connection: PolicyConnection? = nil
    ) throws -> (answers: [PolicyAnswer], problem: String?) {
        let connection = connection ?? self.connection()
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let piece = rest.prefix(size)
            rest = rest.dropFirst(size)
            if let problem = connection.take(piece) { return ([], problem) }
        }
        let deadline = ContinuousClock.now + .seconds(10)
        while engine.waiting > 0, ContinuousClock.now < deadline {
            var entry = pollfd(fd: engine.descriptor ?? -1, events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, 100)
            engine.resolverReady()
        }
        #expect(engine.waiting == 0)
        let lines = Octets.split(connection.output[...], at: 0x0a).dropLast()
        let answers = try lines.map { try #require(PolicyAnswer(octets: $0)) }
        connection.written(connection.output.count)
        return (answers.sorted { $0.number < $1.number }, nil)
    }
}

@Suite("Router: the policy service's connections")
struct PolicyConnectionTests {
    private static func questions(_ state: String) -> String {
        "settings\tsame-source=2\tparallel=100\n1\tconnect\tsession=a\tclient=203.0.113.9\n"
            + "2\trcpt\tclient=203.0.113.9\tto=team@example.test\t\(state)\n"
            + "3\trcpt\tclient=203.0.113.9\tto=ghost@example.test\t\(state)\n"
            + "4\trcpt\tclient=203.0.113.9\tto=x@there.test\t\(state)\n"
            + "5\texpand\tto=team\n6\tverify\tto=ghost\n7\tdisconnect\tsession=a\n"
    }

    @Test("all questions of one read are answered, however they are split", arguments: [1, 2, 7, 64, Int.max])
    func splits(size: Int) throws {
        let fixture = try ServiceFixture()
        let (answers, problem) = try fixture.ask(Self.questions(try fixture.state()), size: size)
        #expect(problem == nil)
        #expect(answers.map(\.number) == [1, 2, 3, 4, 5, 6, 7])
        #expect(answers.map(\.verdict) == [.accept, .accept, .refuse, .refuse, .accept, .refuse, .accept])
        #expect(answers.map { $0.reply?.code ?? 0 } == [0, 0, 550, 550, 250, 550, 0])
        #expect(answers[4].reply?.lines == ["<alice>", "<bob>"])
        #expect(fixture.engine.connections == 0)
    }

    @Test("sessions are counted over all askers, by unmapped address; refused ones too, dropped ones not")
    func counting() throws {
        let fixture = try ServiceFixture()
        let first = fixture.connection()
        let second = fixture.connection()
        var verdicts: [PolicyAnswer.Verdict] = []
        for number in 1...12 {
            let connection = number % 2 == 0 ? first : second
            let settings = number <= 2 ? "settings\tsame-source=2\n" : ""
            let client = number % 3 == 0 ? "::ffff:203.0.113.9" : "203.0.113.9"
            let (answers, _) = try fixture.ask(
                "\(settings)\(number)\tconnect\tsession=s\(number)\tclient=\(client)\n", connection)
            verdicts += answers.map(\.verdict)
        }
        #expect(
            verdicts == Array(repeating: .accept, count: 2) + Array(repeating: .refuse, count: 6)
                + Array(repeating: .drop, count: 4))
        #expect(fixture.engine.connections == 8)
        _ = try fixture.ask("1\tdisconnect\tsession=s1\n2\tdisconnect\tsession=nobody\n", second)
        #expect(fixture.engine.connections == 7)
        first.end()
        #expect(fixture.engine.connections == 3)
        second.end()
        #expect(fixture.engine.connections == 0)
    }

    @Test("what is told and not asked, number 0, is done and not answered")
    func told() throws {
        let fixture = try ServiceFixture()
        let connection = fixture.connection()
        let (answers, problem) = try fixture.ask(
            "0\tconnect\tsession=a\tclient=203.0.113.9\n0\tconnect\tsession=b\tclient=203.0.113.9\n"
                + "0\tstored\tclient=203.0.113.9\tcount=1\n0\tdisconnect\tsession=b\n", connection)
        #expect(answers.isEmpty && problem == nil)
        #expect(fixture.engine.connections == 1)
    }

    @Test("a session that is counted already is refused")
    func twice() throws {
        let fixture = try ServiceFixture()
        let (answers, _) = try fixture.ask(
            "1\tconnect\tsession=a\tclient=203.0.113.9\n2\tconnect\tsession=a\tclient=203.0.113.9\n")
        #expect(answers.map(\.verdict) == [.accept, .drop])
        #expect(fixture.engine.connections == 1)
    }

    @Test("an asker that goes while its questions wait is forgotten, answers and all")
    func gone() throws {
        let fixture = try ServiceFixture()
        var connection: PolicyConnection? = fixture.connection()
        #expect(connection?.take(Array("1\tconnect\tsession=a\tclient=203.0.113.9\n".utf8)[...]) == nil)
        connection?.end()
        connection = nil
        #expect(fixture.engine.connections == 0)
        let (answers, _) = try fixture.ask("2\trcpt\tclient=203.0.113.9\tto=alice@example.test\n")
        #expect(answers.map(\.number) == [2])
    }

    @Test(
        "an asker that does not speak the protocol must go",
        arguments: [
            "hello\n", "settings\tsame-source=x\n", "1\tfly\n", "x\trcpt\tto=a\n", "1\trcpt\tto\n",
            "1\trcpt\tclient=nowhere\n", "settings\nsettings\n", "\n", "GET / HTTP/1.1\r\n",
        ])
    func garbage(text: String) throws {
        #expect(try ServiceFixture().ask(text).problem != nil)
    }

    @Test("the longest that a client can say is a question like another")
    func longest() throws {
        let fixture = try ServiceFixture()
        let question = PolicyQuestion(
            number: 1, verb: .verify, session: String(repeating: "s", count: 64), client: IPAddress("203.0.113.9"),
            helo: String(repeating: "h", count: 255), recipient: String(repeating: "x", count: 8192),
            authenticatedUser: String(repeating: "u", count: 8192), state: String(repeating: "t", count: 2000))
        let (answers, problem) = try fixture.ask("\(question.line)\n")
        #expect(problem == nil)
        #expect(answers.first?.reply?.code == 501)
    }

    @Test("a line without end costs no more than a line")
    func endless() throws {
        let text = "1\trcpt\tto=\(String(repeating: "x", count: 1 << 20))"
        #expect(try ServiceFixture().ask(text, size: 65536).problem != nil)
    }

    @Test("tables that change are believed within a second; wrong ones are not")
    func reload() throws {
        let fixture = try ServiceFixture()
        let state = try fixture.state()
        func code() throws -> Int? {
            try fixture.ask("1\trcpt\tclient=203.0.113.9\tto=new@example.test\t\(state)\n")
                .answers.first?.reply?.code
        }
        #expect(try code() == 550)
        fixture.instance.write("alice\nnew\n", to: "users")
        fixture.pass(1000)
        #expect(try code() == nil)
        fixture.instance.write("example.test nonsense x y\n", to: "localnames")
        fixture.pass(1000)
        #expect(try code() == nil)
        #expect(fixture.instance.logText.contains("error table-broken"))
        #expect(fixture.instance.logText.contains("localnames:1"))
    }

    @Test("no list of users is no answer about users")
    func noUsers() throws {
        let fixture = try ServiceFixture(users: nil)
        let state = try fixture.state()
        let (answers, _) = try fixture.ask(
            "1\trcpt\tclient=203.0.113.9\tto=alice@example.test\t\(state)\n"
                + "2\trcpt\tclient=203.0.113.9\tto=x@there.test\t\(state)\n")
        #expect(answers.map { $0.reply?.code } == [451, 550])
    }
}
