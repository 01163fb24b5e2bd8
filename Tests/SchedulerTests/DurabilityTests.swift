import AgentProtocol
import Glibc
import Postoffice
import Scheduling
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("What is answered as done stays done when the scheduler is killed then")
struct DurabilityTests {
    private static func frozen() -> SchedulerOptions {
        var options = SchedulerOptions()
        options.isFrozen = true
        return options
    }

    /// A scheduler that has read these messages and tries none of them.
    private static func world(_ recipients: [[String]]) throws -> (scheduler: TestScheduler, ids: [SpoolID]) {
        let scheduler = try makeScheduler()
        let ids = try recipients.map { try scheduler.queue($0) }
        try scheduler.startAndWait(options: frozen())
        try scheduler.wait("the queue") {
            try scheduler.ask("status").first?.contains("\"messages\":\(ids.count),") == true
        }
        return (scheduler, ids)
    }

    @Test(
        "nothing of a removed message is there when the answer is there",
        arguments: [["ok h a@h"], ["ok h a@h", "ok h b@h"]])
    func removed(recipients: [String]) throws {
        let (scheduler, ids) = try Self.world([[String]](repeating: recipients, count: 300))
        defer { scheduler.stop() }
        let answer = try #require(try scheduler.ask("operate\tremove\tall\tby=alice").last)
        // A SIGKILL leaves what the file system has just now.
        #expect(ids.allSatisfy(scheduler.isGone))
        #expect(answer.contains("\"messages\":300,") && !answer.contains("not_stored"))
        #expect(scheduler.log.contains("notice operation verb=remove by=alice"))
    }

    @Test("the last recipient of a message takes the message along")
    func lastRecipient() throws {
        let (scheduler, ids) = try Self.world([["ok h a@h", "ok i b@i"]])
        defer { scheduler.stop() }
        _ = try scheduler.ask("operate\tremove\thost=h")
        #expect(try scheduler.control(ids[0]).recipients.map(\.tag) == [.failed, .pending])
        _ = try scheduler.ask("operate\tremove\thost=i")
        #expect(scheduler.isGone(ids[0]))
    }

    @Test("a hold is in the file when the answer is there")
    func held() throws {
        let (scheduler, ids) = try Self.world([[String]](repeating: ["ok h a@h"], count: 100))
        defer { scheduler.stop() }
        _ = try scheduler.ask("operate\thold\tall\tby=alice")
        for id in ids { #expect(LoadedMessage(try scheduler.control(id)).hold?.operatorName == "alice") }
    }

    @Test("what cannot be written is not called done, and is done when it can be")
    func trouble() throws {
        let (scheduler, ids) = try Self.world([["ok h a@h"], ["ok h b@h"], ["ok h c@h"]])
        defer { scheduler.stop() }
        try scheduler.makeUnremovable(ids[1])
        let answer = try #require(try scheduler.ask("operate\tremove\tall").last)
        #expect(answer.contains("\"messages\":3,"))
        #expect(answer.contains("\"not_stored\":\"files of 1 messages cannot be written just now"))
        #expect(scheduler.isGone(ids[0]) && scheduler.isGone(ids[2]) && scheduler.exists(.queue, ids[1]))
        try scheduler.makeRemovable(ids[1])
        try scheduler.wait("the next try") { scheduler.isGone(ids[1]) }
    }

    @Test("mailq's KILL is answered when the message is gone, and says what went wrong")
    func kill() throws {
        let scheduler = try makeScheduler()
        let port = try scheduler.startWithMailq()
        defer { scheduler.stop() }
        let ids = try (0..<2).map { try scheduler.queue(["etrn a.test x\($0)@a.test"]) }
        scheduler.notify(ids)
        try scheduler.wait("the queue") { try scheduler.ask("queue").count == 2 }
        let peer = try MailqPeer(port: port)
        #expect(try peer.logIn("root", "all") == "+OK")
        #expect(try peer.ask("KILL MSG \(ids[0])") == "+OK; KILLed something.")
        #expect(scheduler.isGone(ids[0]))
        try scheduler.makeUnremovable(ids[1])
        #expect(try peer.ask("KILL MSG \(ids[1])")?.hasPrefix("-KILL: files of 1 messages cannot be written") == true)
        try scheduler.makeRemovable(ids[1])
        try scheduler.wait("the next try") { scheduler.isGone(ids[1]) }
    }

    @Test("a move that waits for an agent is carried out by the next scheduler", arguments: ["move", "reroute"])
    func moveInHand(verb: String) throws {
        let first = try makeScheduler()
        try first.agent("slow", OperationTests.slow)
        try first.startAndWait(OperationTests.configuration)
        defer { first.stop() }
        let id = try first.queue(["slow a.test x@a.test", "later b.test y@b.test"])
        first.notify([id])
        try first.wait("the agent") { first.lines("log/begun").count == 1 }
        try first.wait("the other") { first.log.contains("status=deferred") }
        let answer = try #require(try first.ask("operate\t\(verb)\tall\tto=ok/c.test\tby=alice").last)
        #expect(answer.contains("\"recipients\":2,\"in_hand\":1"))

        // What a SIGKILL leaves just now.
        let second = try makeScheduler()
        try second.agent("slow", OperationTests.slow)
        for directory in ["queue", "transport"] {
            try second.write(first.read("po/\(directory)/\(id)"), to: "po/\(directory)/\(id)")
        }
        try second.startAndWait(OperationTests.configuration)
        defer { second.stop() }
        try second.wait("its end") { second.isGone(id) }
        #expect(second.log.contains("info \(verb) queue-id=\(id)") && second.log.contains("by=alice"))
        #expect(second.lines("log/ok").count == (verb == "move" ? 2 : 0))
        #expect(try second.postoffice.entries(.router).count == (verb == "move" ? 0 : 1))
        try first.write("deferred", to: "log/go")
    }

    // MARK: The order

    /// A core with messages to one recipient each.
    private static func core(_ count: UInt64) -> (core: DeliveryScheduler, ids: [SpoolID]) {
        let core = DeliveryScheduler(now: 1_800_000_000, seed: 1) { _, _ in ThreadRules() }
        let ids = (1...count).map { SpoolID(rawValue: 1_800_000_000_000 << 22 | $0) }
        for id in ids {
            core.load(
                LoadedMessage(
                    id: id, arrived: core.now, size: 1, sender: "s@x.test", isErrorMessage: false,
                    recipients: [LoadedRecipient(offset: 100, channel: "ok", host: "h", address: "a@h")]))
        }
        return (core, ids)
    }

    private static func operation(
        _ verb: QueueOperation.Verb, _ ids: [SpoolID], _ core: DeliveryScheduler
    ) -> RunningOperation {
        let note = OperatorNote(operatorName: "", reason: "", time: 0)
        let running = RunningOperation(QueueOperation(verb, QueueSelection(), note), ids, at: 0) { _, _ in }
        running.proceed(ids.count, with: core)
        return running
    }

    @Test("operations that end while others are made durable share the next sync; what means nothing needs none")
    func shared() {
        let (core, ids) = Self.core(3)
        var queue = OperationQueue()
        func run(_ verb: QueueOperation.Verb, _ ids: [SpoolID]) -> Bool {
            queue.add(Self.operation(verb, ids, core))
            return queue.endFirst() == nil
        }
        func begins() -> Bool { queue.beginSettling { _ in false } }
        func settle() -> [String] { queue.settled(nil).map(\.0.verb) }
        #expect(!run(.count, ids) && !run(.retry, ids) && !run(.remove, []))
        #expect(!begins())
        #expect(run(.hold, [ids[0]]))
        #expect(begins())
        // The second one changes nothing: what it repeats may not be on the disk yet.
        #expect(run(.hold, [ids[0]]) && run(.remove, [ids[1]]) && run(.bounce, [ids[2]]))
        #expect(!begins())
        #expect(settle() == ["hold"])
        #expect(begins())
        #expect(settle() == ["hold", "remove", "bounce"])
        #expect(!begins())
    }

    @Test(
        "what fails before the sync or beside it is not called durable; what fails of others is",
        arguments: [
            (stuck: [], halted: [], expected: "durable"), (stuck: [0], halted: [], expected: "files of 1 "),
            (stuck: [], halted: [1], expected: "files of 1 "), (stuck: [0], halted: [0, 1], expected: "files of 2 "),
            (stuck: [2, 3], halted: [2, 3], expected: "durable"),
        ] as [(stuck: [Int], halted: [Int], expected: String)])
    func unwritten(stuck: [Int], halted: [Int], expected: String) throws {
        let (core, ids) = Self.core(4)
        var queue = OperationQueue()
        // The third is done already; the fourth is not looked at.
        #expect(Self.operation(.remove, [ids[2]], core).meant == [ids[2]])
        queue.add(Self.operation(.hold, Array(ids[..<3]), core))
        #expect(queue.endFirst() == nil)
        #expect(queue.beginSettling { id in stuck.contains { ids[$0] == id } })
        // Their next try may be under way when the sync ends: nothing is stuck then.
        for index in halted { queue.halted(ids[index]) }
        switch try #require(queue.settled(nil).first).1 {
        case .durable: #expect(expected == "durable")
        case .notDurable(let reason): #expect(reason.hasPrefix(expected), "\(reason)")
        case .stopped, .refused: Issue.record("it has been done")
        }
    }

    @Test("a message that cannot be written is trouble for who means it, and not for others")
    func othersTrouble() throws {
        let (scheduler, ids) = try Self.world([["ok a.test a@a.test"], ["ok b.test b@b.test"]])
        defer { scheduler.stop() }
        try scheduler.makeUnremovable(ids[0])
        #expect(try scheduler.ask("operate\tremove\thost=a.test").last?.contains("not_stored") == true)
        let other = try #require(try scheduler.ask("operate\thold\thost=b.test").last)
        #expect(other.contains("\"messages\":1,") && !other.contains("not_stored"))
        try scheduler.makeRemovable(ids[0])
        try scheduler.wait("the next try") { scheduler.isGone(ids[0]) }
    }

    @Test("who asks again for what is not on the disk yet hears that it is not")
    func repeated() throws {
        let (scheduler, ids) = try Self.world([["ok h a@h"]])
        defer { scheduler.stop() }
        let path = scheduler.postoffice.path(.transport, ids[0])
        // A directory takes no record, whoever writes.
        #expect(rename(path, "\(scheduler.root)/log/aside") == 0 && mkdir(path, 0o700) == 0)
        func hold() throws -> String { try #require(try scheduler.ask("operate\thold\tall\tby=alice").last) }
        #expect(try hold().contains("\"unchanged\":0,\"not_stored\":\"files of 1 messages"))
        #expect(try hold().contains("\"unchanged\":1,\"not_stored\":\"files of 1 messages"))
        #expect(rmdir(path) == 0 && rename("\(scheduler.root)/log/aside", path) == 0)
        try scheduler.wait("the next try") {
            LoadedMessage(try scheduler.control(ids[0])).hold?.operatorName == "alice"
        }
        let answer = try hold()
        #expect(answer.contains("\"unchanged\":1") && !answer.contains("not_stored"))
    }
}
