import Glibc
import MailModel
import Postoffice
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("Nothing is lost when something dies")
struct CrashTests {
    @Test("a dead agent's jobs go to the next one")
    func agentDies() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent(
            "shaky", "    if [ ! -e ../../log/died-$id ]; then touch ../../log/died-$id; kill -9 $$; fi\n" + Scripts.ok)
        try scheduler.startAndWait("shaky/*  interval=1s maxthr=5\n    command=\"shaky\"\n")
        defer { scheduler.stop() }
        let ids = try (0..<5).map { try scheduler.queue(["shaky h a\($0)@h"]) }
        scheduler.notify(ids)
        try scheduler.wait("removal") { ids.allSatisfy(scheduler.isGone) }
        #expect(scheduler.lines("log/ok").count == 5)
        #expect(scheduler.log.contains("warning agent-died"))
    }

    @Test("a message that kills its agents waits, and others go on")
    func poison() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent("shaky", "    case $(cat $id) in *poison@*) kill -9 $$;; esac\n" + Scripts.ok)
        try scheduler.startAndWait("shaky/*  interval=1h maxthr=3\n    command=\"shaky\"\n")
        defer { scheduler.stop() }
        let poison = try scheduler.queue(["shaky h poison@h"])
        let others = try (0..<10).map { try scheduler.queue(["shaky h a\($0)@h"]) }
        scheduler.notify([poison] + others)
        try scheduler.wait("the others") { others.allSatisfy(scheduler.isGone) }
        try scheduler.wait("the verdict") { scheduler.log.contains("error poison queue-id=\(poison)") }
        #expect(scheduler.exists(.queue, poison))
        #expect(try scheduler.ask("queue")[0].contains("the delivery agent died over this message"))
    }

    @Test("stopping waits for the reports of what is under way")
    func stop() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent(
            "slow",
            "    touch ../../log/working; while [ ! -e ../../log/go ]; do read -t 1 x < /dev/null; sleep 0.02; done\n"
                + Scripts.ok)
        try scheduler.startAndWait("slow/*  interval=1s\n    command=\"slow\"\n")
        let ids = try (0..<2).map { try scheduler.queue(["slow h a\($0)@h"]) }
        scheduler.notify(ids)
        try scheduler.wait("the agent at work") { access("\(scheduler.root)/log/working", F_OK) == 0 }
        scheduler.requestStop()
        try scheduler.wait("the stop") { scheduler.log.contains("notice stopping") }
        try scheduler.write("", to: "log/go")
        scheduler.stop()
        #expect(ids.count(where: scheduler.isGone) == 1)
        #expect(scheduler.lines("log/ok").count == 1)
    }

    struct Leftover: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var directories: [SpoolDirectory] = [.queue, .transport]
        var recipients = ["ok h a@h"]
        var isTorn = false
        /// Where the message is when the scheduler has dealt with it.
        let ends: [SpoolDirectory]
        var suffix = ""
        let delivered: Int
    }

    static let leftovers = [
        Leftover(testDescription: "nothing is wrong", ends: [], delivered: 1),
        Leftover(
            testDescription: "a torn control file", isTorn: true, ends: [.router, .queue, .transport], delivered: 0),
        Leftover(
            testDescription: "a torn control file of a message that the router still has",
            directories: [.router, .queue, .transport], isTorn: true, ends: [.router, .queue, .transport], delivered: 0),
        Leftover(
            testDescription: "no control file", directories: [.queue], ends: [.router, .queue], delivered: 0),
        Leftover(
            testDescription: "the router is at it", directories: [.router, .queue], ends: [.router, .queue],
            delivered: 0),
        Leftover(
            testDescription: "a removal that had begun", directories: [.transport], ends: [], delivered: 0),
        Leftover(
            testDescription: "no message file for several recipients", directories: [.transport],
            recipients: ["ok h a@h", "ok h b@h"], ends: [.postman], suffix: ":control", delivered: 0),
        Leftover(
            testDescription: "a torn control file without a message", directories: [.transport], isTorn: true,
            ends: [.postman], suffix: ":control", delivered: 0),
    ]

    @Test("each state that a crash leaves is put in order", arguments: leftovers)
    func leftover(_ test: Leftover) throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(test.recipients, directories: test.directories)
        if test.isTorn { try scheduler.write("@ 0x00000007\nE version 1\ni \(id)\n", to: "po/transport/\(id)") }
        // The last one in the scan: when it is gone the first has been dealt with.
        let last = try scheduler.queue(["ok h last@h"])
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.wait("the last message") { scheduler.isGone(last) }
        func isThere(_ directory: SpoolDirectory) -> Bool {
            access(scheduler.postoffice.path(directory, id) + (directory == .postman ? test.suffix : ""), F_OK) == 0
        }
        try scheduler.wait("the end") { SpoolDirectory.allCases.filter(isThere) == test.ends }
        #expect(scheduler.lines("log/ok").count == test.delivered + 1)
    }

    @Test("a control file of a later version is left alone")
    func laterVersion() throws {
        let scheduler = try makeScheduler()
        let id = scheduler.postoffice.newID()
        let head = "@ 0x00000007\nE version 99\ni \(id)\n"
        try scheduler.write("\(head)E sum \(Checksum(head.utf8).text)\n", to: "po/transport/\(id)")
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.wait("the log line") { scheduler.log.contains("error set-aside queue-id=\(id)") }
        #expect(scheduler.exists(.transport, id))
    }

    @Test("recorded results are not delivered again after a restart")
    func recorded() throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(["ok h a@h", "ok h b@h", "ok h c@h"])
        let offsets = try scheduler.control(id).recipients.map(\.offset)
        func record(_ index: Int) -> ResultRecord {
            ResultRecord(
                offset: offsets[index], headerOffset: -1, notaryOffset: -1, time: 1,
                notary: Notary(finalRecipient: "r", action: .delivered, status: "2.0.0"), message: "", isReported: true)
        }
        // The tag of the second was lost.
        try scheduler.postoffice.append([(record(0), .delivered), (record(1), nil)], to: id, sync: true)
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(scheduler.log.split(separator: "\n").filter { $0.contains("status=delivered") }.count == 1)
    }

    @Test("a failure that nobody was told of is reported, even if the message file is lost")
    func unreportedWithoutMessage() throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(["ok h a@h"], directories: [.transport])
        let offset = try #require(try scheduler.control(id).recipients.map(\.offset).first)
        let record = ResultRecord(
            offset: offset, headerOffset: -1, notaryOffset: -1, time: 1,
            notary: Notary(finalRecipient: "a@h", action: .failed, status: "5.1.1"), message: "no such user")
        try scheduler.postoffice.append([(record, .failed)], to: id, sync: false)
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(try scheduler.postoffice.entries(.router).count == 1)
        try scheduler.wait("the log line") { scheduler.log.contains("info report queue-id=\(id)") }
    }

    @Test("a message whose file is lost while it is queued goes to the postmaster, not back to its sender")
    func lostMessage() throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(["careful h a@h"])
        try scheduler.agent("careful", "    rm -f ../queue/$id; printf '#resync %s\\n' \"$id\"")
        try scheduler.startAndWait("careful/*  interval=1s\n    command=\"careful\"\n")
        defer { scheduler.stop() }
        try scheduler.wait("the verdict") { scheduler.log.contains("error set-aside queue-id=\(id)") }
        #expect(access(scheduler.postoffice.path(.postman, id) + ":control", F_OK) == 0)
        #expect(try scheduler.postoffice.entries(.router).isEmpty)
        try scheduler.wait("the empty queue") { try scheduler.ask("queue").isEmpty }
    }

    @Test("a control file that can be read no more keeps its message, and with it the report that is owed")
    func unreadableReport() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent(
            "spoiler", "    for o in $(offsets $id); do report $o error failed 5.1.1 no; done; : > $id")
        let id = try scheduler.queue(["spoiler h a@h"])
        try scheduler.startAndWait("spoiler/*  interval=1s\n    command=\"spoiler\"\n")
        defer { scheduler.stop() }
        try scheduler.wait("the trouble") { scheduler.log.contains("error spool-trouble queue-id=\(id)") }
        #expect(scheduler.exists(.queue, id))
    }
}
