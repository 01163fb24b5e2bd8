import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("Results become records, reports and removals")
struct ResultTests {
    @Test("one recipient's success is recorded by the removal itself")
    func single() {
        let bench = Bench()
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .ok)
        #expect(bench.records.isEmpty)
        #expect(bench.finishes.map(\.ending) == [.remove])
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var notify: Notify = .standard
        var hasErrorAddress = true
        var isErrorMessage = false
        var result = DeliveryResult.failed
        var action: Notary.Action?
        let ending: SchedulerAction.Ending
    }

    static let cases = [
        Case(testDescription: "failure", ending: .reportAndRemove),
        Case(testDescription: "failure, NOTIFY=NEVER", notify: .never, ending: .remove),
        Case(testDescription: "failure, NOTIFY=SUCCESS", notify: .success, ending: .remove),
        Case(testDescription: "failure, nobody to tell", hasErrorAddress: false, ending: .remove),
        Case(testDescription: "failure of a notification", isErrorMessage: true, ending: .doubleFault),
        Case(testDescription: "success", result: .ok, ending: .remove),
        Case(testDescription: "success, NOTIFY=SUCCESS", notify: .success, result: .ok, ending: .reportAndRemove),
        Case(
            testDescription: "relayed, NOTIFY=SUCCESS", notify: [.success, .failure], result: .ok, action: .relayed,
            ending: .reportAndRemove),
    ]

    @Test("who is told", arguments: cases)
    func told(_ test: Case) {
        let bench = Bench()
        var recipient = Bench.recipient("a", notify: test.notify)
        recipient.hasErrorAddress = test.hasErrorAddress
        let id = bench.load([recipient], isErrorMessage: test.isErrorMessage)
        bench.run()
        bench.hungry(1)
        bench.report(1, id, test.result, action: test.action)
        #expect(bench.finishes.map(\.ending) == [test.ending])
        #expect(bench.records.count == (test.ending == .remove ? 0 : 1))
        // Of a notification that failed no sender is told; the record is for whoever looks after it.
        #expect(bench.records.allSatisfy { $0.record.isReported == (test.ending == .doubleFault) })
    }

    @Test("a success without a notary is reported by the next host")
    func passedOn() {
        let bench = Bench()
        let id = bench.load("a", notify: .success)
        bench.run()
        bench.hungry(1)
        bench.core.received(
            .report(AgentReport(file: id, offset: 100, notary: nil, result: .ok, message: "250 ok")), from: 1)
        bench.run()
        #expect(bench.finishes.map(\.ending) == [.remove])
    }

    @Test("every result of several recipients is recorded with its tag")
    func several() {
        let bench = Bench()
        let id = bench.load((1...3).map { Bench.recipient("a", $0 * 100) })
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .ok, offset: 100, isHungry: false)
        bench.report(1, id, .failed, offset: 200, isHungry: false)
        bench.report(1, id, .ok, offset: 300)
        #expect(bench.records.map(\.record.offset) == [100, 200, 300])
        #expect(bench.records.map(\.tag) == [.delivered, .failed, .delivered])
        #expect(bench.records.map(\.record.isReported) == [true, false, true])
        #expect(bench.finishes.map(\.ending) == [.reportAndRemove])
        #expect(bench.reports.isEmpty, "they end together: one report")
    }

    @Test("a failure is reported before the rest is done when that takes long")
    func interim() {
        let bench = Bench(ThreadRules(interval: 60, retries: [1000]))
        let id = bench.load([Bench.recipient("a", 100), Bench.recipient("a", 200)])
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .failed, offset: 100, isHungry: false)
        bench.report(1, id, .deferred, offset: 200)
        bench.pass(899)
        #expect(bench.reports.isEmpty)
        bench.pass(1)
        #expect(bench.reports == [id])
        bench.core.reported(id, count: 1)
        bench.pass(86400)
        #expect(bench.reports == [id])
        let agent = bench.started.last?.agent ?? 0
        bench.hungry(agent)
        bench.report(agent, id, .ok, offset: 200)
        #expect(bench.finishes.map(\.ending) == [.remove])
    }

    @Test("the status word decides over the notary's action")
    func contradiction() {
        let bench = Bench()
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .failed, action: .delivered)
        #expect(bench.records.first?.record.notary.action == .failed)
        #expect(bench.results.first?.outcome == .failed)
    }

    @Test("reports for what an agent does not have are refused")
    func stray() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 2))
        let ids = [bench.load("a"), bench.load("a")]
        bench.run()
        bench.hungry(1)
        bench.hungry(2)
        bench.report(2, ids[0], .ok, isHungry: false)
        bench.report(1, ids[0], .ok, offset: 101, isHungry: false)
        bench.report(1, SpoolID(rawValue: 5), .ok, isHungry: false)
        bench.report(99, ids[0], .ok, isHungry: false)
        #expect(bench.core.messageCount == 2)
        #expect(bench.results.isEmpty)
        #expect(bench.events.count == 3)
    }

    @Test("a message whose recipients are all done is finished when it is loaded")
    func loadedDone() {
        let bench = Bench()
        var done = Bench.recipient("a", 100)
        done.outcome = .delivered
        var failed = Bench.recipient("a", 200)
        failed.outcome = .failed
        failed.isUnreported = true
        bench.load([done, failed])
        bench.load([done])
        bench.run()
        #expect(bench.finishes.map(\.ending) == [.reportAndRemove, .remove])
        #expect(bench.started.isEmpty)
        #expect(bench.core.threadCount == 0)
    }

    @Test("control files become messages: results by their records, attempts by the number of delays")
    func controlFile() throws {
        var file = ControlFile(
            id: SpoolID(rawValue: 1_800_000_000_000 << 22), headerStart: 10, bodyOffset: 20, messageSize: 30, logID: "",
            groups: [
                ControlGroup(
                    sender: Quad(channel: "smtp", host: "-", user: "s@x", privilege: 0), errorsTo: "s@x",
                    recipients: ["a@h", "b@h", "c@h"].map {
                        ControlRecipient(
                            quad: Quad(channel: "smtp", host: "h", user: $0, privilege: 0), envelopeRecipient: "list@x")
                    })
            ])
        var octets = file.encodeHead()
        let offsets = file.recipients.map(\.offset)
        func append(_ index: Int, _ action: Notary.Action, time: Int64, isReported: Bool) {
            octets += ResultRecord(
                offset: offsets[index], headerOffset: -1, notaryOffset: -1, time: time,
                notary: Notary(finalRecipient: "r", action: action, status: "4.0.0"), message: "m\(time)",
                isReported: isReported
            ).encoded()
        }
        for time in 1...3 { append(0, .delayed, time: Int64(time), isReported: true) }
        append(1, .failed, time: 4, isReported: false)
        append(2, .relayed, time: 5, isReported: true)
        let message = LoadedMessage(try ControlFile.parse(octets))
        #expect(message.arrived == 1_800_000_000)
        #expect(message.recipients.map(\.outcome) == [.pending, .failed, .delivered])
        #expect(message.recipients.map(\.isUnreported) == [false, true, false])
        #expect(message.recipients[0].attempts == 4)
        #expect(message.recipients[0].lastAttempt == 3)
        #expect(message.recipients[0].problem == "m3")
        #expect(message.recipients[0].original == "list@x")
    }
}
