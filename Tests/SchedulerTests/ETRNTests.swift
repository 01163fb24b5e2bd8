import AgentProtocol
import Glibc
import Testing

@testable import Scheduler

@Suite("ETRN from this host")
struct ETRNTests {
    private func start() throws -> TestScheduler {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait(
            """
            */*  interval=1h maxthr=5 retries="1"
            etrn/*
                queueonly
                command="ok -c $channel"
            """)
        return scheduler
    }

    @Test("the scheduler's own socket takes it, and says what it starts")
    func socket() throws {
        let scheduler = try start()
        defer { scheduler.stop() }
        let ids = try ["a.test", "mx.a.test", "b.test"].map { try scheduler.queue(["etrn \($0) x@\($0)"]) }
        scheduler.notify(ids)
        try scheduler.wait("the queue") { try scheduler.ask("queue").count == 3 }
        #expect(try scheduler.ask("etrn @a.test") == ["{\"etrn\":\"@a.test\",\"threads\":2,\"started\":2}"])
        try scheduler.wait("delivery") { scheduler.isGone(ids[0]) && scheduler.isGone(ids[1]) }
        #expect(try scheduler.ask("etrn c.test") == ["{\"etrn\":\"c.test\",\"threads\":0,\"started\":0}"])
        let target = try #require(ETRNTarget("b.test"))
        let line = try #require(
            try scheduler.ask(String(LocalETRN.request(target, remark: "192.0.2.7 abc").dropLast())).first)
        #expect(try LocalETRN.answer(line.utf8) == LocalETRN.Answer(threads: 1, started: 1))
        try scheduler.wait("delivery") { scheduler.isGone(ids[2]) }
        #expect(scheduler.log.contains("info etrn domain=b.test from=\"local for 192.0.2.7abc\" threads=1 jobs=1"))
    }

    @Test(
        "what cannot be read is refused with what would be valid",
        arguments: ["etrn", "etrn @", "etrn a@b", "message", "message x", "message 17", "queue x"])
    func refused(question: String) throws {
        let scheduler = try start()
        defer { scheduler.stop() }
        let answer = try scheduler.ask(question)
        #expect(answer.count == 1)
        #expect(answer.first?.hasPrefix("{\"error\":\"") == true, "\(answer)")
        #expect(throws: LocalETRN.Failure.self) { try LocalETRN.answer((answer.first ?? "").utf8) }
    }

    @Test("one message of the queue is described alone")
    func message() throws {
        let scheduler = try start()
        defer { scheduler.stop() }
        let ids = try ["a.test", "b.test"].map { try scheduler.queue(["etrn \($0) x@\($0)"]) }
        scheduler.notify(ids)
        try scheduler.wait("the queue") { try scheduler.ask("queue").count == 2 }
        let all = try scheduler.ask("queue")
        for (id, line) in zip(ids, all) { #expect(try scheduler.ask("message \(id)") == [line]) }
    }

    @Test("ZMailer's file in transport/ is taken and removed, and what is no such file is left alone or told")
    func file() throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(["etrn a.test x@a.test"])
        try scheduler.write("T A.TEST 192.0.2.7\n", to: "po/transport/4711-etrn")
        try scheduler.write("X\n", to: "po/transport/4712-etrn")
        symlink("/etc/passwd", "\(scheduler.root)/po/transport/4713-etrn")
        mkfifo("\(scheduler.root)/po/transport/4714-etrn", 0o600)
        try scheduler.write("T b.test 192.0.2.7\n", to: "po/transport/..etrn-XXXXXX")
        try scheduler.write("T b.test 192.0.2.7\n", to: "po/transport/x-etrn")
        try scheduler.start(
            """
            */*  interval=1h
            etrn/*
                queueonly
                command="ok -c $channel"
            """)
        defer { scheduler.stop() }
        try scheduler.wait("the look through the directory") { scheduler.log.contains("etrn-file") }
        // The mail may have been read behind the file that asks for it.
        try scheduler.wait("the mail") { try scheduler.isGone(id) || scheduler.ask("queue").count == 1 }
        if !scheduler.isGone(id) {
            try scheduler.write("T a.test 192.0.2.7\n", to: "po/transport/4715-etrn")
            try scheduler.sendDatagram("NEW 4715-etrn")
        }
        try scheduler.wait("delivery") { scheduler.isGone(id) }
        #expect(scheduler.log.contains("info etrn domain=a.test from=\"4711-etrn for 192.0.2.7\""))
        #expect(
            scheduler.log.contains(
                "warning etrn-file file=transport/4712-etrn reason=\"holds no 'T <domain> <address>'\""))
        for name in ["4713", "4714"] {
            #expect(
                scheduler.log.contains("etrn-file file=transport/\(name)-etrn reason=\"is no readable file\""),
                "\(scheduler.log)")
        }
        for name in ["4711-etrn", "4712-etrn", "4713-etrn", "4714-etrn", "4715-etrn"] {
            #expect(access("\(scheduler.root)/po/transport/\(name)", F_OK) != 0, "\(name)")
        }
        for name in ["..etrn-XXXXXX", "x-etrn"] {
            #expect(access("\(scheduler.root)/po/transport/\(name)", F_OK) == 0, "\(name)")
        }
        #expect(access("/etc/passwd", F_OK) == 0)
    }

    @Test("requests wait together, look at the queue at most a twentieth of the time, and are bounded")
    func requests() {
        var requests = ETRNRequests()
        func add(_ name: String) -> Bool { requests.add(.host(name)) }
        func take(_ time: Int64) -> Set<ETRNTarget> { requests.take(at: time) }
        #expect(requests.due == .max)
        #expect(add("a") && add("b") && add("a"))
        #expect(take(5) == [.host("a"), .host("b")])
        requests.ended(started: 5, at: 15)
        #expect(take(15) == [])
        #expect(add("c"))
        #expect(requests.due == 215)
        #expect(take(214) == [])
        for number in 1..<ETRNRequests.maximumWaiting { #expect(add("\(number)")) }
        #expect(!add("too many"))
        #expect(add("c"))
        #expect(take(215).count == ETRNRequests.maximumWaiting)
    }
}
