import Configuration
import Glibc
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("A queue of 200,000 messages")
struct LargeQueueTests {
    /// Unoptimised code on a busy machine has a tenth of them, and more time.
    #if DEBUG
        static let count = 20_000
        static let limit = Duration.seconds(20)
    #else
        static let count = 200_000
        static let limit = Duration.seconds(1)
    #endif

    static func queue() -> Bench {
        let bench = Bench(ThreadRules(interval: 600))
        bench.core.isFrozen = true
        for number in 0..<count {
            bench.load(
                [Bench.recipient("host\(number % 5000).example.test")], age: Int64(number % 40_000),
                sender: "sender\(number % 100)@x.test")
        }
        return bench
    }

    @Test("the summary, a filter, a hold and a removal of everything take less than a second each")
    func speed() {
        let bench = Self.queue()
        let clock = ContinuousClock()
        var threads: [ThreadDescription] = []
        let summary = clock.measure { threads = bench.core.threadDescriptions }
        #expect(threads.count == 5000)
        #expect(threads.reduce(0) { $0 + $1.messages } == Self.count)
        func apply(_ verb: QueueOperation.Verb, _ selection: QueueSelection) -> (Duration, OperationTally) {
            var tally = OperationTally()
            let note = OperatorNote(operatorName: "o", reason: "", time: 0)
            let time = clock.measure {
                for id in bench.core.messageIDs {
                    bench.core.apply(QueueOperation(verb, selection, note), to: id, &tally)
                }
            }
            return (time, tally)
        }
        var selection = QueueSelection()
        selection.senders = [GlobPattern("sender1?@*")]
        selection.hosts = [GlobPattern("*.example.test")]
        let (filter, filtered) = apply(.count, selection)
        #expect(filtered.messages == Self.count / 10)
        let (hold, held) = apply(.hold, QueueSelection())
        #expect(held.messages == Self.count)
        let suspend = clock.measure {
            _ = bench.core.suspend(Suspension(host: GlobPattern("host1*")))
            while bench.core.isSweeping { bench.core.sweep(10_000) }
        }
        let (remove, removed) = apply(.remove, QueueSelection())
        #expect(removed.messages == Self.count)
        bench.run()
        #expect(bench.core.messageCount == 0 && bench.core.threadCount == 0)
        let times = [
            ("summary", summary), ("filter", filter), ("hold", hold), ("suspend", suspend), ("remove", remove),
        ]
        for (name, time) in times {
            #expect(time < Self.limit, "\(name)")
            print("\(Self.count) messages: \(name) \(time)")
        }
    }

    /// A look at each agent for each thread would take a minute.
    @Test("the summary looks at each job once, however many agents there are")
    func agents() {
        let count = 4000
        let bench = Bench(ThreadRules(isAgentPerHost: false))
        for number in 0..<count { bench.load("host\(number).example.test") }
        bench.run()
        for agent in 1...count {
            bench.hungry(agent)
            #expect(bench.started.count == min(count, agent + 1))
        }
        // Of this thread, whatever else the machine does.
        func processorSeconds() -> Int {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return time.tv_sec
        }
        let before = processorSeconds()
        let threads = bench.core.threadDescriptions
        let spent = processorSeconds() - before
        #expect(threads.allSatisfy { $0.agents.count == 1 && $0.agents[0].jobs == 1 })
        #expect(Set(threads.map(\.agents[0].number)).count == count)
        #expect(spent < 5)
        #expect(bench.core.threads.values.allSatisfy { $0.handedOut == 1 })
    }

    @Test("timers that have been armed again are thrown out, some with each change, and none is lost")
    func timers() {
        var queue = TimerQueue()
        let messages = (0..<20_000).map { number in
            QueuedMessage(
                LoadedMessage(
                    id: SpoolID(rawValue: UInt64(number)), arrived: 0, size: 0, sender: "", isErrorMessage: false,
                    recipients: []), sender: "", known: 0)
        }
        for round in 1...5 {
            for (index, message) in messages.enumerated() {
                queue.arm(.message(message), at: UnixTime(100_000 * round + (index * 7919) % 20_000))
                #expect(queue.nextTime ?? .max <= UnixTime(100_000 * round + (index * 7919) % 20_000))
            }
            #expect(queue.count <= 2 * messages.count + 4097)
        }
        for message in messages[..<5000] { queue.cancel(message) }
        var times: [UnixTime] = []
        while let next = queue.nextTime {
            if case .message(let message)? = queue.popDue(next) { times.append(next); #expect(message.due == .max) }
        }
        #expect(times == times.sorted() && times.count == 15_000 && times[0] >= 500_000)
    }
}
