import Postoffice
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("The scheduler delivers through agents", .serialized)
struct DeliveryTests {
    static let configuration = """
        */*  interval=1s maxthr=5
        ok/*
            command="ok -c $channel"
        mixed/*
            command="mixed -c $channel"
        """

    static let ok = """
            for o in $(offsets $id); do report $o ok delivered 2.1.5 fine; echo "$id $host $o" >> ../../log/ok; done
        """

    @Test("a message announced is delivered and removed")
    func announced() throws {
        let scheduler = try TestScheduler()
        try scheduler.agent("ok", Self.ok)
        try scheduler.agent("mixed", Self.ok)
        try scheduler.start(Self.configuration)
        defer { scheduler.stop() }
        try scheduler.wait("the queue socket") { (try? scheduler.ask("status"))?.count == 1 }
        let id = try scheduler.queue(["ok example.test alice@example.test"])
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(scheduler.lines("log/ok").count == 1)
        #expect(
            scheduler.log.contains(
                "delivery queue-id=\(id) to=alice@example.test orig_to=alice@example.test channel=ok"))
    }
}
