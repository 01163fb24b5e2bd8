import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("What cannot be delivered in time fails")
struct ExpiryTests {
    static let rules = ThreadRules(interval: 600, expiry: 3 * 86400)

    private func tryAll(_ bench: Bench, until end: Int64, _ result: DeliveryResult) {
        var done = 0
        while bench.time < end {
            guard let next = bench.core.nextEvent else { break }
            bench.core.advance(to: max(next, bench.core.now))
            bench.run()
            while done < bench.fed.count {
                let job = bench.fed[done]
                done += 1
                bench.report(job.agent, job.id, result, text: "451 not now")
            }
        }
    }

    @Test("expiry to the second, with the last problem", arguments: [DeliveryResult.deferred, .deferredAll])
    func expires(_ result: DeliveryResult) {
        let bench = Bench(Self.rules)
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.report(1, id, result, text: "451 not now")
        tryAll(bench, until: 4 * 86400, result)
        let last = bench.results.last
        #expect(last?.outcome == .expired)
        #expect(last?.delay == Int64(3 * 86400))
        #expect(last?.status == "5.4.7")
        #expect(last?.text == "expired after 3d, problem was: 451 not now")
        #expect(bench.finishes.map(\.ending) == [.reportAndRemove])
        #expect(bench.core.messageCount == 0)
        #expect(bench.core.threadCount == 0)
    }

    @Test("all of a thread whose host is down expire in time, though one at a time is tried")
    func wholeThread() {
        let bench = Bench(Self.rules)
        for _ in 0..<50 {
            bench.load("a")
            bench.advance(10)
        }
        bench.run()
        bench.hungry(1)
        bench.report(1, bench.fed[0].id, .deferredAll, text: "down")
        tryAll(bench, until: 4 * 86400, .deferredAll)
        let expired = bench.results.filter { $0.outcome == .expired }
        #expect(expired.count == 50)
        #expect(expired.allSatisfy { $0.delay == 3 * 86400 })
        #expect(expired.allSatisfy { $0.text.hasPrefix("expired after 3d, problem was: ") })
    }

    @Test("without any attempt it fails a day later, or after expiry2")
    func neverTried() {
        for (expiry2, expected) in [(0, 4 * 86400), (3600, 3 * 86400 + 3600)] as [(Int64, Int64)] {
            var rules = Self.rules
            rules.expiry2 = expiry2
            let bench = Bench(rules)
            bench.load("a")
            // The agent never becomes hungry.
            bench.pass(5 * 86400)
            #expect(bench.results.map(\.outcome) == [.expired])
            #expect(bench.results.first?.delay == expected)
            #expect(bench.results.first?.text.contains("no delivery attempt was possible") == true)
        }
    }

    @Test("what has expired while nobody was here is tried once more, then fails")
    func afterOutage() {
        let bench = Bench(Self.rules)
        var recipient = Bench.recipient("a")
        recipient.attempts = 8
        recipient.lastAttempt = bench.core.now - 86400
        let id = bench.load([recipient], age: 10 * 86400)
        bench.run()
        #expect(bench.results.isEmpty)
        bench.hungry(1)
        #expect(bench.fed.map(\.id) == [id])
        bench.report(1, id, .deferred, text: "450 busy")
        #expect(bench.results.map(\.outcome) == [.deferred, .expired])
        #expect(bench.results.last?.text == "expired after 10d, problem was: 450 busy")
    }

    @Test("proof that a host is down ends what is over its time")
    func overdueThread() {
        let bench = Bench(Self.rules)
        for _ in 0..<10 { bench.load("a", age: 3 * 86400 - 5) }
        bench.run()
        bench.advance(10)
        #expect(bench.results.isEmpty)
        bench.hungry(1)
        bench.report(1, bench.fed[0].id, .deferredAll)
        #expect(bench.results.filter { $0.outcome == .expired }.count == 10)
        #expect(bench.core.messageCount == 0)
    }

    @Test("nothing expires while an agent has it")
    func atWork() {
        let bench = Bench(Self.rules)
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.pass(10 * 86400)
        #expect(bench.results.isEmpty)
        bench.report(1, id, .ok)
        #expect(bench.results.map(\.outcome) == [.delivered])
    }
}
