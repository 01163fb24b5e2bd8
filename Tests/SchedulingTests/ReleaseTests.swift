import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("Future release (RFC 4865)")
struct ReleaseTests {
    static let start = Bench.start

    private func released(_ bench: Bench) -> [SpoolID] {
        bench.events.compactMap { if case .released(let id, _) = $0 { id } else { nil } }
    }

    @Test("a message waits until its second, and goes then")
    func waits() {
        let bench = Bench()
        let id = bench.load([Bench.recipient("a")], heldUntil: Self.start + 3600)
        bench.run()
        bench.pass(3599)
        #expect(bench.started.isEmpty && bench.fed.isEmpty)
        #expect(bench.core.heldCount == 1)
        let message = bench.core.describe(id)
        #expect(message?.heldUntil == Self.start + 3600)
        #expect(message?.recipients.map(\.state) == [.held])
        #expect(message?.recipients.map(\.nextAttempt) == [Self.start + 3600])
        #expect(bench.core.threadDescriptions.map(\.nextAttempt) == [Self.start + 3600])
        #expect(bench.core.nextEvent == Self.start + 3600)
        bench.advance(1)
        bench.hungry(1)
        #expect(bench.fed.map(\.id) == [id])
        #expect(bench.core.heldCount == 0)
        #expect(bench.core.describe(id)?.heldUntil == nil)
        #expect(bench.core.describe(id)?.recipients.map(\.state) == [.active])
        #expect(released(bench) == [id])
        bench.report(1, id, .ok)
        #expect(bench.core.messageCount == 0)
        #expect(bench.results.map(\.delay) == [0])
    }

    @Test("messages go in the order of their times, and those of one second in that of their names")
    func order() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 10))
        let late = bench.load([Bench.recipient("a")], heldUntil: Self.start + 200)
        let early = bench.load([Bench.recipient("a")], heldUntil: Self.start + 100)
        let same = (0..<20).map { _ in bench.load([Bench.recipient("a")], heldUntil: Self.start + 150) }
        let now = bench.load([Bench.recipient("a")])
        bench.run()
        bench.hungry(1, 30)
        #expect(bench.fed.map(\.id) == [now])
        for job in bench.fed { bench.report(1, job.id, .ok) }
        // One look after all of it, as behind a clock that has jumped.
        bench.core.advance(to: Self.start + 500)
        bench.run()
        bench.hungry(2, 30)
        var done = 1
        while done < bench.fed.count {
            bench.report(2, bench.fed[done].id, .ok)
            done += 1
        }
        #expect(bench.fed.map(\.id) == [now, early] + same + [late])
    }

    @Test("a flush does not release it, nor do an ETRN, new rules or a file that is read again")
    func stays() throws {
        let bench = Bench()
        let id = bench.load([Bench.recipient("a")], heldUntil: Self.start + 3600)
        #expect(bench.core.flush { _, _ in true } == 0)
        let target = try #require(ETRNTarget("a"))
        #expect(bench.core.waiting(for: target).jobs == 0)
        bench.core.start([target])
        bench.core.configure(reportInterval: 5) { _, _ in ThreadRules() }
        bench.core.reload(
            LoadedMessage(
                id: id, arrived: Self.start, size: 1000, sender: "s@example.test", isErrorMessage: false,
                recipients: [Bench.recipient("a")], heldUntil: Self.start + 3600))
        bench.run()
        #expect(bench.started.isEmpty)
        #expect(bench.state(id)?.state == .held)
        bench.pass(3600)
        bench.hungry(1)
        #expect(bench.fed.map(\.id) == [id])
    }

    @Test(
        "after a restart it waits on, or goes at once if its time has come meanwhile", arguments: [-1, 0, 1] as [Int64])
    func restart(distance: Int64) {
        let bench = Bench()
        let id = bench.load([Bench.recipient("a")], age: 1000, heldUntil: Self.start + distance)
        bench.run()
        bench.hungry(1)
        #expect(bench.fed.map(\.id) == (distance > 0 ? [] : [id]))
        bench.advance(1)
        bench.hungry(1)
        #expect(bench.fed.map(\.id) == [id])
    }

    @Test("retention counts from the release")
    func retention() {
        let bench = Bench(ThreadRules(interval: 600, expiry: 86400))
        let id = bench.load([Bench.recipient("a")], heldUntil: Self.start + 5 * 86400)
        #expect(bench.state(id)?.expires == Self.start + 6 * 86400)
        bench.pass(5 * 86400)
        bench.hungry(1)
        bench.report(1, id, .deferred, text: "451 not now")
        var done = 1
        while bench.time < 7 * 86400, let next = bench.core.nextEvent {
            bench.core.advance(to: max(next, bench.core.now))
            bench.run()
            while done < bench.fed.count {
                bench.report(1, bench.fed[done].id, .deferred, text: "451 not now")
                done += 1
            }
        }
        #expect(bench.results.last?.outcome == .expired)
        #expect(bench.results.last?.delay == 86400)
        #expect(bench.results.last?.text == "expired after 1d, problem was: 451 not now")
    }

    @Test("a clock that was put back does not let go early what came after that")
    func clockSetBack() {
        let bench = Bench()
        // An hour fast, then right.
        bench.core.advance(to: Self.start + 3600)
        bench.core.advance(to: Self.start)
        #expect(bench.core.now == Self.start + 3600)
        let id = bench.load([Bench.recipient("a")], age: 3600, heldUntil: Self.start + 600)
        bench.run()
        bench.core.advance(to: Self.start + 599)
        bench.run()
        #expect(bench.started.isEmpty)
        #expect(bench.core.nextEvent == Self.start + 600)
        bench.core.advance(to: Self.start + 600)
        bench.run()
        bench.hungry(1)
        #expect(bench.fed.map(\.id) == [id])
    }

    @Test("a clock that was put back makes what waits wait on")
    func clockSetBackWhileHeld() {
        let bench = Bench()
        let id = bench.load([Bench.recipient("a")], heldUntil: Self.start + 600)
        bench.core.advance(to: Self.start + 500)
        bench.core.advance(to: Self.start - 5000)
        bench.core.advance(to: Self.start + 599)
        bench.run()
        #expect(bench.started.isEmpty)
        bench.core.advance(to: Self.start + 600)
        bench.run()
        bench.hungry(1)
        #expect(bench.fed.map(\.id) == [id])
    }

    @Test("a held message whose files are removed is forgotten, and nothing of it is left to happen")
    func forgotten() {
        let bench = Bench()
        let id = bench.load([Bench.recipient("a"), Bench.recipient("b", 200)], heldUntil: Self.start + 600)
        bench.core.forget(id)
        #expect(bench.core.messageCount == 0 && bench.core.threadCount == 0 && bench.core.heldCount == 0)
        bench.pass(1000)
        #expect(released(bench).isEmpty)
    }

    @Test("a message of which all is done is not held")
    func done() {
        let bench = Bench()
        var recipient = Bench.recipient("a")
        recipient.outcome = .delivered
        bench.load([recipient], heldUntil: Self.start + 600)
        bench.run()
        #expect(bench.finishes.map(\.ending) == [.remove])
        #expect(bench.core.heldCount == 0)
    }

    @Test("ten thousand held messages are released in one moment")
    func many() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 20000))
        for _ in 0..<10_000 { bench.load([Bench.recipient("a")], heldUntil: Self.start + 600) }
        bench.pass(600)
        bench.hungry(1, 10_000)
        #expect(bench.fed.count == 10_000)
        #expect(bench.fed.map(\.id) == bench.fed.map(\.id).sorted())
    }
}
