import AgentProtocol
import Glibc
import MailModel
import Postoffice
import Scheduling
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("An operator at the queue socket")
struct OperationTests {
    /// `slow` waits for a file before it says that the host is down; `later` for its next hour.
    static let configuration = """
        */*  interval=1h maxthr=5 retries="1"
        ok/*
            command="ok -c $channel"
        later/*
            command="later -c $channel"
        slow/*
            command="slow -c $channel"
        mixed/*
            command="mixed -c $channel"

        """
    static let slow = """
            echo "$id" >> ../../log/begun
            while [ ! -e ../../log/go ]; do sleep 0.02; done
            for o in $(offsets $id); do report $o "$(cat ../../log/go)" delayed 4.4.1 "slow"; done
        """

    private static func world() throws -> TestScheduler {
        let scheduler = try makeScheduler()
        try scheduler.agent("slow", slow)
        return scheduler
    }

    private func one(_ scheduler: TestScheduler, _ fields: String...) throws -> String {
        let answer = try scheduler.ask(fields.joined(separator: "\t"))
        guard answer.count == 1 else { throw TestFailure("\(fields): \(answer)") }
        return answer[0]
    }

    private func load(_ scheduler: TestScheduler, _ recipients: [String], sender: String = "s@x.test") throws -> SpoolID
    {
        let id = try scheduler.queue(recipients, sender: sender)
        scheduler.notify([id])
        try scheduler.wait("the queue") { try scheduler.ask("message \(id)").first?.contains("\"id\"") == true }
        return id
    }

    @Test("what is held stays over a restart, says who and why, and goes when it is released")
    func hold() throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        let id = try load(scheduler, ["later down.test x@down.test", "ok b.test y@b.test"])
        try scheduler.wait("one of both") { scheduler.lines("log/ok").count == 1 }
        try scheduler.wait("the other") { scheduler.log.contains("status=deferred") }
        let answer = try one(scheduler, "operate", "hold", "id=\(id)", "by=alice", "reason=a \"strange\" one")
        #expect(
            answer
                == #"{"operation":"hold","dry_run":false,"messages":1,"recipients":1,"in_hand":0,"unchanged":0}"#)
        #expect(try scheduler.ask("flush") == ["{\"flushed\":0}"])
        scheduler.stop()
        try scheduler.write("", to: "log/open")
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        try scheduler.wait("the queue") { try scheduler.ask("status").first?.contains("\"messages\":1") == true }
        let message = try #require(try scheduler.ask("message \(id)").first)
        #expect(message.contains(#""state":"held""#))
        #expect(message.contains(#""reason":"held by alice: a \"strange\" one""#))
        // Since when, also over the restart.
        let record = try #require(try scheduler.control(id).records.last { $0.wish == .hold })
        #expect(message.contains("\"held_since\":\(record.time),"))
        #expect(try scheduler.ask("status").first?.contains("\"oldest_hold\":\(record.time),") == true)
        #expect(try scheduler.ask("status").first?.contains("\"held_by_operator\":1") == true)
        #expect(try scheduler.ask("flush") == ["{\"flushed\":0}"])
        #expect(scheduler.exists(.transport, id))
        #expect(try one(scheduler, "operate", "release", "status=held", "by=bob").contains("\"messages\":1"))
        try scheduler.wait("delivery") { scheduler.isGone(id) }
        #expect(scheduler.lines("log/ok").count == 1)
        #expect(try scheduler.ask("status").first?.contains("\"oldest_hold\":null,") == true)
        #expect(
            scheduler.log.contains("notice operation verb=hold by=alice reason=\"a \\\"strange\\\" one\" messages=1"))
        #expect(scheduler.log.contains("verb=release by=bob"))
    }

    @Test(
        "removed while an agent has it: said so, and gone whatever the agent does",
        arguments: ["deferred", "deferall", "death", "restart"])
    func removeInHand(end: String) throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        let id = try load(scheduler, ["slow a.test x@a.test", "slow a.test y@a.test"])
        try scheduler.wait("the agent") { scheduler.lines("log/begun").count == 1 }
        let answer = try one(scheduler, "operate", "remove", "id=\(id)", "by=alice")
        #expect(answer.contains("\"recipients\":2,\"in_hand\":2"))
        #expect(scheduler.exists(.transport, id))
        switch end {
        case "death":
            system("kill -9 $(ps -eo pid,args | grep '\(scheduler.root)/[t]a/slow' | awk '{print $1}') 2>/dev/null")
        case "restart":
            try scheduler.wait("the record") { scheduler.read("po/transport/\(id)").contains("operator") }
            try scheduler.write("deferred", to: "log/go")
            scheduler.stop()
            try scheduler.startAndWait(Self.configuration)
        default: try scheduler.write(end, to: "log/go")
        }
        try scheduler.wait("its end") { scheduler.isGone(id) }
        try scheduler.wait("an empty queue") { try scheduler.ask("status").first?.contains("\"messages\":0") == true }
        #expect(try scheduler.postoffice.entries(.router).isEmpty)
    }

    @Test("a filter, a dry run, and what is left; nothing is told to anybody")
    func remove() throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        let junk = try (0..<5).map { try load(scheduler, ["later h\($0).test x@h\($0).test"], sender: "junk@bad.test") }
        let good = try load(scheduler, ["later good.test y@good.test"])
        try scheduler.wait("attempts") { scheduler.lines("log/tries").count == 6 }
        try scheduler.wait("their ends") { try scheduler.ask("status").first?.contains("\"active\":0") == true }
        let planned = try one(scheduler, "operate", "remove", "sender=junk@*", "dry-run")
        #expect(planned.contains("\"dry_run\":true,\"messages\":5,\"recipients\":5"))
        #expect(try scheduler.ask("select\tsender=junk@*").count == 5)
        #expect(try scheduler.ask("queue").count == 6)
        let done = try one(scheduler, "operate", "remove", "sender=junk@*", "host=h[0-3].test", "reason=junk")
        #expect(done.contains("\"messages\":4"))
        try scheduler.wait("removal") { junk[..<4].allSatisfy(scheduler.isGone) }
        #expect(scheduler.exists(.transport, good) && scheduler.exists(.transport, junk[4]))
        #expect(try one(scheduler, "operate", "remove", "all").contains("\"messages\":2"))
        try scheduler.wait("removal") { scheduler.isGone(good) && scheduler.isGone(junk[4]) }
        #expect(try scheduler.postoffice.entries(.router).isEmpty)
        #expect(scheduler.log.split(separator: "\n").count { $0.contains("status=removed") } == 6)
    }

    @Test("a bounce tells the sender the operator's words")
    func bounce() throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        let id = try load(scheduler, ["later a.test x@a.test"])
        try scheduler.wait("an attempt") { scheduler.log.contains("status=deferred") }
        try scheduler.wait("its end") { try scheduler.ask("status").first?.contains("\"active\":0") == true }
        _ = try one(scheduler, "operate", "bounce", "id=\(id)", "by=alice", "reason=please use the web form")
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let report = try #require(try scheduler.postoffice.entries(.router).first)
        let text = scheduler.read("po/router/\(report)")
        #expect(text.contains("Status: 5.7.0"))
        #expect(text.contains("please use the web form"))
        #expect(text.contains("Final-Recipient: rfc822; x@a.test") || text.contains("x@a.test"))
    }

    @Test("moved to another destination: results stay, what is undone is delivered there, also after a restart")
    func move() throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        let id = try load(
            scheduler, ["ok b.test done@b.test", "later down.test x@down.test", "later down.test z@down.test"])
        try scheduler.wait("one of three") { scheduler.lines("log/ok").count == 1 }
        try scheduler.wait("the others") { scheduler.log.contains("status=deferred") }
        try scheduler.wait("its end") { try scheduler.ask("status").first?.contains("\"active\":0") == true }
        #expect(
            try one(scheduler, "operate", "move", "recipient=x@*", "to=mixed/other.test", "by=alice")
                .contains("\"recipients\":1,\"in_hand\":0,\"unchanged\":0"))
        try scheduler.wait("delivery there") {
            scheduler.log.contains("to=x@down.test orig_to=x@down.test channel=mixed host=other.test")
        }
        scheduler.stop()
        let file = try scheduler.control(id)
        #expect(file.recipients.map(\.quad.channel) == ["ok", "mixed", "later"])
        #expect(file.records.filter { $0.notary.action == .delivered }.count == 2)
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        try scheduler.wait("the queue") { try scheduler.ask("status").first?.contains("\"messages\":1") == true }
        #expect(try one(scheduler, "operate", "move", "all", "to=ok/b.test").contains("\"recipients\":1"))
        try scheduler.wait("the rest") { scheduler.isGone(id) }
        let delivered = scheduler.log.split(separator: "\n").filter { $0.contains("status=delivered") }
        #expect(["to=done@", "to=x@", "to=z@"].map { who in delivered.count { $0.contains(who) } } == [1, 1, 1])
    }

    @Test("moved while an agent has it: when the agent has reported")
    func moveInHand() throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        let id = try load(scheduler, ["slow a.test x@a.test", "later b.test y@b.test"])
        try scheduler.wait("the agent") { scheduler.lines("log/begun").count == 1 }
        try scheduler.wait("the other") { scheduler.log.contains("status=deferred") }
        #expect(try one(scheduler, "operate", "move", "all", "to=ok/c.test").contains("\"recipients\":2,\"in_hand\":1"))
        #expect(try one(scheduler, "operate", "remove", "all").contains("\"unchanged\":2"))
        try scheduler.write("deferred", to: "log/go")
        try scheduler.wait("delivery") { scheduler.isGone(id) }
        #expect(scheduler.lines("log/ok").count == 2)
    }

    @Test("routed again: a message of its own for what is undone, the rest is not served twice")
    func reroute() throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        let id = try scheduler.queue(
            ["ok b.test done@b.test", "later down.test x@down.test", "later down.test y@down.test"],
            notify: [.success, .failure]
        ) { file in
            // y is one of two that an alias has become; the other one is done.
            for index in file.groups[0].recipients.indices where index != 1 {
                file.groups[0].recipients[index].envelopeRecipient = "team@here.test"
            }
            file.groups[0].recipients[1].envelopeRecipient = "boss@here.test"
            file.groups[0].recipients[1].originalRecipient = "rfc822;boss@here.test"
        }
        scheduler.notify([id])
        try scheduler.wait("one of three") { scheduler.lines("log/ok").count == 1 }
        try scheduler.wait("the others") { scheduler.log.contains("status=deferred") }
        try scheduler.wait("its end") { try scheduler.ask("status").first?.contains("\"active\":0") == true }
        _ = try one(scheduler, "operate", "reroute", "id=\(id)", "by=alice")
        try scheduler.wait("the old one") { scheduler.isGone(id) }
        // The report of the one that was delivered is there too.
        let texts = try scheduler.postoffice.entries(.router).map { scheduler.read("po/router/\($0)") }
        let text = try #require(texts.first { $0.contains("to boss@here.test\n") })
        #expect(text.hasSuffix("Subject: test\r\nMessage-Id: <1@example.test>\r\n\r\nbody\r\n"))
        #expect(text.contains("todsn NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;boss@here.test\nto boss@here.test\n"))
        #expect(text.contains("to y@down.test\n"))
        #expect(!text.contains("done@b.test") && !text.contains("team@here.test"))
    }

    @Test("a reroute that died is completed if the old message says so, and undone if not")
    func rerouteCrash() throws {
        let scheduler = try Self.world()
        let postoffice = scheduler.postoffice
        func stage(_ isRecorded: Bool) throws -> (old: SpoolID, new: SpoolID) {
            let old = try scheduler.queue(["later a.test x@a.test", "later a.test y@a.test"])
            let new = postoffice.newID()
            let file = try scheduler.control(old)
            try postoffice.stageReroute(
                new, from: old, envelope: Array("format crlf\nfrom s@x\nto x@a.test\nenv-end\n".utf8),
                contentStart: file.headerStart)
            guard isRecorded else { return (old, new) }
            let recipient = file.groups[0].recipients[0]
            let record = ResultRecord(
                offset: recipient.offset, headerOffset: -1, notaryOffset: recipient.notaryOffset, time: 1,
                notary: Notary(
                    finalRecipient: "x@a.test", action: .expanded, status: "2.0.0", diagnostic: "\(new)",
                    agent: ResultRecord.operatorAgent), message: "", isReported: true)
            try postoffice.append([(record, .delivered)], to: old, sync: true)
            return (old, new)
        }
        let undone = try stage(false)
        let done = try stage(true)
        #expect(try postoffice.entries(.router).isEmpty)
        #expect(try postoffice.stagedReroutes().count == 2)
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        #expect(try postoffice.stagedReroutes().isEmpty)
        #expect(try postoffice.entries(.router) == [done.new])
        #expect(
            scheduler.read("po/router/\(done.new)").hasSuffix(
                "env-end\nSubject: test\r\nMessage-Id: <1@example.test>\r\n\r\nbody\r\n"))
        try scheduler.wait("both") { try scheduler.ask("status").first?.contains("\"recipients\":3") == true }
        #expect(scheduler.exists(.transport, undone.old))
    }

    @Test("a suspension holds over a restart, ends by itself, and is written as it is")
    func suspend() throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        let answer = try one(
            scheduler, "suspend", "host=*.test", "sender=<>", "for=1h", "by=alice", "reason=they asked")
        #expect(answer.contains("\"suspension\":1,\"channel\":null,\"host\":\"*.test\",\"sender\":\"<>\""))
        #expect(!answer.contains("not_stored"))
        let plain = try scheduler.queue(["ok b.test y@b.test"])
        let null = try scheduler.queue(["ok b.test z@b.test"], sender: nil)
        scheduler.notify([plain, null])
        try scheduler.wait("the other one") { scheduler.isGone(plain) }
        let waiting = try #require(try scheduler.ask("message \(null)").first)
        #expect(waiting.contains(#""state":"suspended""#) && waiting.contains("suspended by alice (1): they asked"))
        scheduler.stop()
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        try scheduler.wait("the queue") { try scheduler.ask("status").first?.contains("\"messages\":1") == true }
        let listed = try one(scheduler, "suspensions")
        #expect(listed.contains("\"messages\":1,\"recipients\":1"), "\(listed)")
        #expect(try one(scheduler, "suspend", "host=*.test", "sender=<>", "for=1s").contains("\"suspension\":1"))
        try scheduler.wait("its end") { scheduler.isGone(null) }
        #expect(try scheduler.ask("suspensions").isEmpty)
        #expect(scheduler.log.contains("notice suspension-ended number=1 target=\"host=*.test sender=<>\""))
        try scheduler.wait("the file") { scheduler.read("po/.suspensions") == "last\t1\n" }
        #expect(try one(scheduler, "resume", "number=1").contains("\"error\""))
    }

    @Test(
        "what is refused says what would be valid",
        arguments: [
            ("operate\tremove", "nothing says which mail is meant"),
            ("operate\tremove\tdry-run", "nothing says which mail is meant"),
            ("operate\teat\tall", "valid operations are count, retry, hold"),
            ("operate\tremove\tcolour=red", "'colour' says nothing; valid are id, sender"),
            ("operate\tremove\tid=12x", "is no queue id"),
            ("operate\tremove\tstatus=asleep", "valid are waiting, deferred, held, active, suspended"),
            ("operate\tremove\tolder=soon", "valid are 90s, 30m, 12h, 7d"),
            ("operate\tremove\tlarger=10x", "valid are 500, 20k, 3M, 1G"),
            ("operate\tremove\tsmaller=99999999999999999999G", "is no size"),
            ("operate\tmove\tall\tto=nowhere", "valid is channel/host"),
            ("operate\tmove\tall\tto=a b/c", "valid is channel/host"),
            ("operate\tremove\tsender=" + String(repeating: "a", count: 256), "a pattern has 1 to 255 octets"),
            ("suspend\tfor=1h", "valid are --channel, --host, --sender, --recipient"),
            ("suspend\thost=x", "valid are --for TIME"),
            ("suspend\thost=x\tfor=0", "valid are times from 1s to 3650d"),
            ("suspend\tcolour=x\tfor=1h", "'colour' says nothing"),
            ("resume\tnumber=one", "is no number"),
            ("resume\tby=me", "valid are numbers of suspensions"),
            ("\t", "valid questions with fields"), ("=\t=\t==", "valid questions with fields"),
            ("nonsense", "valid questions are queue"),
        ])
    func refused(question: String, reason: String) throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        let answer = try one(scheduler, question)
        #expect(answer.hasPrefix("{\"error\":\"") && answer.contains(reason), "\(answer)")
    }

    @Test("a question without end, and many askers, do not stop the mail")
    func hostile() throws {
        let scheduler = try Self.world()
        try scheduler.startAndWait(Self.configuration)
        defer { scheduler.stop() }
        #expect(try scheduler.ask(String(repeating: "x", count: QueueSocket.maximumQuestion + 5000)).isEmpty)
        let many = "operate\tremove" + (0...QueueSelection.maximumPatterns).map { "\thost=\($0)" }.joined()
        #expect(try one(scheduler, many).contains("too many; valid are"))
        #expect(try one(scheduler, "operate\thold\tall\treason=\u{1b}[2J\u{0}").contains("\"messages\":0"))
        let id = try scheduler.queue(["ok b.test y@b.test"])
        scheduler.notify([id])
        try scheduler.wait("delivery") { scheduler.isGone(id) }
    }

    @Test("thousands of messages are held, released and removed while mail goes on")
    func many() throws {
        let scheduler = try Self.world()
        let ids = try (0..<1000).map { number in
            try scheduler.queue(["later h\(number % 50).test x\(number)@h.test"], sender: "bulk@x.test")
        }
        var options = SchedulerOptions()
        options.isFrozen = true
        try scheduler.startAndWait(Self.configuration, options: options)
        defer { scheduler.stop() }
        try scheduler.wait("the queue") { try scheduler.ask("status").first?.contains("\"messages\":1000") == true }
        func last(_ verb: String) throws -> String {
            try #require(try scheduler.ask("operate\t\(verb)\tsender=bulk@*").last)
        }
        #expect(try last("hold").contains("\"messages\":1000"))
        #expect(try scheduler.ask("status").first?.contains("\"held_by_operator\":1000") == true)
        #expect(try last("hold").contains("\"unchanged\":1000"))
        #expect(try last("release").contains("\"messages\":1000"))
        let start = SchedulerLoop.monotonicMilliseconds()
        #expect(try last("remove").contains("\"messages\":1000"))
        try scheduler.wait("removal") { ids.allSatisfy(scheduler.isGone) }
        #expect(SchedulerLoop.monotonicMilliseconds() - start < 20_000)
        #expect(try scheduler.ask("status").first?.contains("\"messages\":0,\"recipients\":0,\"threads\":0") == true)
    }
}
