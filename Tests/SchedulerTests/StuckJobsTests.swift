import Scheduling
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("What cannot be written is tried again in order")
struct StuckJobsTests {
    @Test("jobs come back behind the resumption of their message, in the order in which they were given")
    func order() {
        var stuck = StuckJobs()
        let (first, second) = (SpoolID(rawValue: 1), SpoolID(rawValue: 2))
        stuck.add(.report(second))
        stuck.add(.sync(first))
        stuck.add(.finish(second, .remove, isUnsynced: false))
        #expect(stuck.holds(first) && stuck.holds(second))
        let names = stuck.takeAll().map { job in
            switch job {
            case .resume(let id): "resume \(id)"
            case .sync(let id): "sync \(id)"
            case .report(let id): "report \(id)"
            case .finish(let id, _, _): "finish \(id)"
            case .load, .reread, .append, .move, .reroute: "?"
            }
        }
        #expect(names == ["resume 1", "sync 1", "resume 2", "report 2", "finish 2"])
        #expect(stuck.isEmpty)
    }

    @Test("a removal that fails is tried again, and others are not held up")
    func removal() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["ok h a@h"])
        // A directory cannot be unlinked, whoever tries.
        try scheduler.makeUnremovable(id)
        let others = try (0..<100).map { try scheduler.queue(["ok h b\($0)@h"]) }
        scheduler.notify([id] + others)
        try scheduler.wait("the others") { others.allSatisfy(scheduler.isGone) }
        try scheduler.wait("the complaint") { scheduler.log.contains("error spool-trouble queue-id=\(id)") }
        try scheduler.makeRemovable(id)
        try scheduler.wait("removal") { scheduler.isGone(id) }
    }
}
