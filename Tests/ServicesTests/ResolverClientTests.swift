import Glibc
import MailModel
import Testing

@testable import Resolver

/// One thread, no packet that leaves the machine.
@Suite("Resolver: the client for a thread that waits with a poller")
struct ResolverClientTests {
    private func client(_ zones: String = ResolverTests.zones) throws -> ResolverClient {
        var configuration = ResolverConfiguration()
        configuration.zones = try ZoneData(parsing: zones)
        return try ResolverClient(configuration)
    }

    /// Processes answers until `isDone`, for at most ten seconds.
    private func run(_ client: ResolverClient, until isDone: () -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while !isDone(), ContinuousClock.now < deadline {
            var entry = pollfd(fd: try #require(client.descriptor), events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, 100)
            client.process()
        }
        #expect(isDone())
    }

    @Test("nothing is started before the first question")
    func lazy() throws {
        let client = try ResolverClient()
        #expect(client.descriptor == nil)
        client.process()
        #expect(client.outstanding == 0)
    }

    @Test("a thousand questions at once are each answered once")
    func many() throws {
        let client = try client()
        var answers: [Int: Lookup<[UInt8]>] = [:]
        for number in 0..<1000 {
            let question = number % 2 == 0 ? Question("mx1.example.test", .a) : Question("nobody.example.test", .mx)
            try client.ask(question) { lookup in
                #expect(answers.updateValue(lookup, forKey: number) == nil)
            }
        }
        #expect(answers.isEmpty, "no completion is called before process")
        try run(client) { answers.count == 1000 }
        for number in 0..<1000 {
            if number % 2 == 0 {
                #expect(answers[number]?.addresses4.records.count == 2)
            } else {
                #expect(answers[number] == .nxDomain)
            }
        }
        #expect(client.outstanding == 0)
    }

    @Test("a completion may ask and cancel")
    func reentrant() throws {
        let client = try client()
        var texts: [[UInt8]] = []
        var wasCancelledCalled = false
        try client.ask(Question("example.test", .mx)) { _ in
            let ticket = try? client.ask(Question("mx1.example.test", .a)) { _ in wasCancelledCalled = true }
            if let ticket { client.cancel(ticket) }
            _ = try? client.ask(Question("example.test", .txt)) { texts = $0.texts.records }
        }
        try run(client) { !texts.isEmpty }
        #expect(texts == [Array("v=spf1 -all".utf8)])
        #expect(!wasCancelledCalled)
        #expect(client.outstanding == 0)
    }

    @Test("what is cancelled is not answered, and a client may go with questions on their way")
    func cancel() throws {
        var configuration = ResolverConfiguration()
        configuration.forwarders = ["127.0.0.1@9"]
        var called = 0
        do {
            let client = try ResolverClient(configuration)
            let tickets = try (0..<20).map { number in
                try client.ask(Question("name\(number).invalid-zone", .a)) { _ in called += 1 }
            }
            for ticket in tickets.prefix(10) { client.cancel(ticket) }
            #expect(client.outstanding == 10)
            client.cancel(tickets[0])
        }
        #expect(called == 0)
    }

    @Test("a name that is none is a failure and no answer")
    func syntax() throws {
        let client = try client()
        var answer: Lookup<[UInt8]>?
        try client.ask(Question(String(repeating: "a", count: 64) + ".test", .a)) { answer = $0 }
        try run(client) { answer != nil }
        #expect(answer?.isTemporaryFailure == true)
        #expect(client.outstanding == 0)
    }

    @Test("zones that the library does not take are an error at the start")
    func zones() throws {
        #expect(throws: ResolverError.self) { try client("data \"example.test. 300 IN A nowhere\"") }
    }
}
