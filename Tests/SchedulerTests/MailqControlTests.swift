import AgentProtocol
import Glibc
import MailModel
import Postoffice
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("mailq: what it removes, its version 1, and the statistics")
struct MailqControlTests {
    @Test("KILL MSG and KILL THREAD remove what waits; REROUTE gives it back to the router")
    func kill() throws {
        let scheduler = try makeScheduler()
        let port = try scheduler.startWithMailq()
        defer { scheduler.stop() }
        let first = try scheduler.queue(["etrn a.test x@a.test"])
        let thread = [try scheduler.queue(["etrn b.test x@b.test"]), try scheduler.queue(["etrn b.test y@b.test"])]
        let again = try scheduler.queue(["etrn c.test x@c.test"])
        scheduler.notify([first, again] + thread)
        try scheduler.wait("the queue") { try scheduler.ask("queue").count == 4 }
        let watch = try MailqPeer(port: port)
        #expect(try watch.logIn("watch", "seen") == "+OK")
        #expect(try watch.ask("KILL MSG \(first)") == "-No KILL allowed for you.")
        let peer = try MailqPeer(port: port)
        #expect(try peer.logIn("root", "all") == "+OK")
        #expect(try peer.ask("KILL MSG \(first.zmailerName)") == "+OK; KILLed something.")
        try scheduler.wait("removal") { scheduler.isGone(first) }
        #expect(try peer.ask("KILL MSG \(first)") == "+OK; didn't KILL anything.")
        #expect(try peer.ask("KILL THREAD etrn b.*") == "+OK; didn't KILL anything.")
        #expect(try peer.ask("KILL THREAD etrn b.test") == "+OK; KILLed something.")
        try scheduler.wait("removal") { thread.allSatisfy(scheduler.isGone) }
        #expect(try peer.ask("REROUTE MSG \(again)") == "+OK; REROUTEd something.")
        try scheduler.wait("the old one") { scheduler.isGone(again) }
        let new = try #require(try scheduler.postoffice.entries(.router).first)
        #expect(scheduler.read("po/router/\(new)").contains("\nto x@c.test\n"))
        #expect(scheduler.log.contains("operation verb=remove by=root@[127.0.0.1]"))
    }

    @Test("who has asked for something that takes long gets its answer, and has time for the next command")
    func longWait() {
        let connection = MailqConnection(-1, client: nil, nonce: "1.2.3", now: 0)
        #expect(connection.deadline == MailqConnection.loginTime)
        connection.wait()
        #expect(connection.deadline == .max)
        let late = 3 * MailqConnection.longestTime
        connection.answer("+OK; KILLed something.\n", at: late)
        #expect(!connection.isWaiting && connection.isAnswering)
        #expect(connection.deadline == late + MailqConnection.quietTime)
    }

    @Test("version 1 gives everything and ends; only to addresses of nobody's lines")
    func version1() throws {
        let scheduler = try makeScheduler()
        let port = try MailqPeer.freePort()
        let file = try scheduler.writeAccounts("nobody:nobody:TT:[127.0.0.1]\nroot:all:ALL:[127.0.0.1]\n")
        var options = SchedulerOptions()
        options.mailqVersion = 1
        try scheduler.startAndWait(
            TestScheduler.mailqConfiguration("TCP:\(port)@127.0.0.1", authFile: file), options: options)
        defer { scheduler.stop() }
        let id = try scheduler.queue(["etrn a.test x@a.test", "etrn a.test y@a.test", "later b.test z@b.test"])
        scheduler.notify([id])
        try scheduler.wait("an attempt") { scheduler.log.contains("status=deferred") }
        try scheduler.wait("its end") { try scheduler.ask("status").first?.contains("\"active\":0") == true }
        let offsets = Array(try scheduler.control(id).recipients).map(\.offset)
        func dump() throws -> [String] {
            let peer = try MailqPeer(port: port)
            var lines: [String] = []
            while let line = try peer.line() { lines.append(line) }
            return lines
        }
        let lines = try dump()
        #expect(
            lines.prefix(9) == [
                "version zmailer 1.0", "Vertices:", "1:\t\(id)\t2; \(offsets[0]),\(offsets[1])",
                "2:\t\(id)\t1; \(offsets[2])\t#connection refused", "Channels:", "etrn:\t>1", "later:\t>2", "Hosts:",
                "a.test:\t>1",
            ])
        #expect(lines.dropFirst(9).first == "b.test:\t>2")
        #expect(lines.dropFirst(10).first == "End:")
        #expect(lines.last?.hasPrefix("Msgs in 1 out 0 stored 1") == true)

        chmod(file, 0o600)
        try scheduler.write("root:all:ALL:[127.0.0.1]\n", to: "share/scheduler.auth")
        try scheduler.reload(TestScheduler.mailqConfiguration("TCP:\(port)@127.0.0.1", authFile: file))
        try scheduler.wait("the reload") { scheduler.log.contains("notice reloaded") }
        #expect(try dump() == ["version zmailer 2.0", "550 NO ACCESS FOR YOU"])
    }

    @Test("the lists of mailq are at the queue socket, too; one that is not there names those that are")
    func lists() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        #expect(try scheduler.ask("mailq SNMP").first?.hasPrefix("{\"line\":\"Kids: 0  Idle:  0  Msgs:   0") == true)
        #expect(try scheduler.ask("mailq COUNTERS").count > 10)
        #expect(try scheduler.ask("mailq NOTHING").first?.contains("valid are SNMP, COUNTERS, QUEUE SHORT") == true)
    }

    @Test("a line for each final result, in the file that has the name when it is opened again")
    func statistics() throws {
        let scheduler = try makeScheduler()
        var options = SchedulerOptions()
        options.statisticsFile = "\(scheduler.root)/log/statistics"
        try scheduler.startAndWait(options: options)
        defer { scheduler.stop() }
        let ids = [
            try scheduler.queue(["ok a.test x@a.test"]), try scheduler.queue(["bad b.test x@b.test"]),
            try scheduler.queue(["later c.test x@c.test"]),
        ]
        scheduler.notify(ids)
        try scheduler.wait("an attempt") { scheduler.log.contains("status=deferred") }
        try scheduler.wait("the others") { scheduler.isGone(ids[0]) && scheduler.isGone(ids[1]) }
        _ = try scheduler.ask("operate\tremove\tid=\(ids[2])")
        try scheduler.wait("three lines") { scheduler.lines("log/statistics").count == 3 }
        let lines = scheduler.lines("log/statistics").map { $0.split(separator: " ").map(String.init) }
        #expect(lines.allSatisfy { $0.count == 5 && Int($0[1]) != nil && Int($0[2]) != nil })
        #expect(
            Set(lines.map { "\($0[0]) \($0[3]) \($0[4])" }) == [
                "\(ids[0]) ok ok/a.test", "\(ids[1]) error bad/b.test", "\(ids[2]) delete later/c.test",
            ])

        // As a rotation of logs does it.
        func deliver() throws -> SpoolID {
            let id = try scheduler.queue(["ok a.test x@a.test"])
            scheduler.notify([id])
            try scheduler.wait("delivery") { scheduler.isGone(id) }
            return id
        }
        for name in ["statistics", "scheduler"] {
            #expect(rename("\(scheduler.root)/log/\(name)", "\(scheduler.root)/log/\(name).1") == 0)
        }
        let before = try deliver()
        try scheduler.wait("its line") { scheduler.lines("log/statistics.1").last?.hasPrefix("\(before) ") == true }
        scheduler.hangUp()
        try scheduler.wait("the new log") { scheduler.log.contains("notice reloaded") }
        let after = try deliver()
        try scheduler.wait("its line") { scheduler.lines("log/statistics").count == 1 }
        #expect(scheduler.lines("log/statistics")[0].hasPrefix("\(after) "))
        #expect(scheduler.lines("log/statistics.1").count == 4)
        #expect(!scheduler.read("log/scheduler.1").contains("queue-id=\(after)"))
    }

    @Test("statistics that cannot be written are said once; mail goes on, and so do they when they can")
    func statisticsTrouble() throws {
        let scheduler = try makeScheduler()
        var options = SchedulerOptions()
        options.statisticsFile = "\(scheduler.root)/missing/statistics"
        try scheduler.startAndWait(options: options)
        defer { scheduler.stop() }
        func deliver() throws {
            let id = try scheduler.queue(["ok a.test x@a.test"])
            scheduler.notify([id])
            try scheduler.wait("delivery") { scheduler.isGone(id) }
        }
        for _ in 0..<3 { try deliver() }
        try scheduler.wait("the complaint") { scheduler.log.contains("error statistics-not-written") }
        #expect(scheduler.log.split(separator: "\n").count { $0.contains("statistics-not-written") } == 1)
        mkdir("\(scheduler.root)/missing", 0o755)
        scheduler.hangUp()
        try scheduler.wait("the file") {
            scheduler.lines("missing/statistics").isEmpty && access("\(scheduler.root)/missing/statistics", F_OK) == 0
        }
        try deliver()
        try scheduler.wait("its line") { scheduler.lines("missing/statistics").count == 1 }
    }
}
