import Configuration
import Glibc
import MailModel
import Postoffice
import SpoolFormat
import Testing

@testable import Scheduler

/// Agents of these tests: `ok` delivers, `bad` fails, `later` defers until `log/open` exists, `mixed` does each by the recipient's name.
enum Scripts {
    static let ok = """
            for o in $(offsets $id); do echo "$id $host $o" >> ../../log/ok; report $o ok delivered 2.1.5 fine; done
        """
    static let bad = """
            for o in $(offsets $id); do report $o error failed 5.1.1 "no such user"; done
        """
    static let later = """
            echo "$id" >> ../../log/tries
            for o in $(offsets $id); do
                if [ -e ../../log/open ]; then report $o ok relayed 2.0.0 fine
                else report $o deferall delayed 4.4.1 "connection refused"; fi
            done
        """
    static let mixed = """
            for o in $(offsets $id); do
                who=$(tail -c +$((o+1)) $id | head -1)
                case $who in
                *bad@*) report $o error failed 5.1.1 "no such user";;
                *later@*) if [ -e ../../log/open ]; then echo "$o" >> ../../log/late; report $o ok delivered 2.1.5 fine
                          else report $o deferred delayed 4.2.0 greylisted; fi;;
                *) report $o ok delivered 2.1.5 fine;;
                esac
            done
        """
    static let configuration = """
        */*  interval=1s maxthr=5 retries="1"
        ok/*
            command="ok -c $channel"
        bad/*
            command="bad -c $channel"
        later/*
            command="later -c $channel"
        mixed/*
            command="mixed -c $channel"
        """
}

func makeScheduler() throws -> TestScheduler {
    let scheduler = try TestScheduler()
    try scheduler.agent("ok", Scripts.ok)
    try scheduler.agent("bad", Scripts.bad)
    try scheduler.agent("later", Scripts.later)
    try scheduler.agent("mixed", Scripts.mixed)
    return scheduler
}

@Suite("The scheduler delivers through agents")
struct DeliveryTests {
    @Test("a message announced is delivered, logged and removed")
    func announced() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(
            ["ok example.test alice@example.test"], directories: [.router, .queue, .transport])
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(scheduler.lines("log/ok").count == 1)
        #expect(
            scheduler.log.contains(
                "info delivery queue-id=\(id) to=alice@example.test orig_to=alice@example.test channel=ok "
                    + "host=example.test relay=- tls=- delay=0 dsn=2.1.5 status=delivered text=fine"))
    }

    @Test("what was queued before the start is delivered, oldest first")
    func scanned() throws {
        let scheduler = try makeScheduler()
        let ids = try (0..<200).map { try scheduler.queue(["ok h alice\($0)@h"]) }
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.wait("an empty queue") { ids.allSatisfy(scheduler.isGone) }
        #expect(scheduler.lines("log/ok").count == 200)
    }

    @Test("a message whose notice was lost is found by a scan")
    func lostNotice() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["ok h a@h"])
        NoticeSender(socketPath: "\(scheduler.root)/po/.scheduler.notify", directory: "no-names").send([])
        try scheduler.sendDatagram("SCAN")
        try scheduler.wait("removal") { scheduler.isGone(id) }
    }

    @Test("results of several recipients are in the control file, and the deferred one is tried without the others")
    func several() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["mixed h a@h", "mixed h later@h", "mixed h b@h"])
        scheduler.notify([id])
        try scheduler.wait("three records") { (try? scheduler.control(id))?.records.count == 3 }
        let file = try scheduler.control(id)
        #expect(file.recipients.map(\.tag) == [.delivered, .pending, .delivered])
        #expect(Set(file.records.map(\.notary.action)) == [.delivered, .delayed])
        #expect(!file.records.contains { !$0.isReported })
        try scheduler.write("", to: "log/open")
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(scheduler.lines("log/late").count == 1)
        let delivered = scheduler.log.split(separator: "\n").filter { $0.contains("status=delivered") }
        #expect(delivered.count == 3)
    }

    @Test("a host that is down holds its mail; flush tries at once")
    func flush() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait(Scripts.configuration.replacing("interval=1s", with: "interval=1h"))
        defer { scheduler.stop() }
        let ids = try (0..<10).map { try scheduler.queue(["later h a\($0)@h"]) }
        scheduler.notify(ids)
        try scheduler.wait("a back-off") { scheduler.log.contains("info back-off channel=later host=h") }
        try scheduler.wait("the end of those under way") {
            try scheduler.ask("threads").first?.contains("\"active\":0") == true
        }
        let threads = try scheduler.ask("threads")
        #expect(threads.count == 1)
        #expect(threads[0].contains("\"channel\":\"later\",\"host\":\"h\",\"recipients\":10,\"messages\":10"))
        #expect(threads[0].contains("\"last\":\"connection refused\""))
        #expect(try scheduler.ask("queue").count == 10)
        #expect(try scheduler.ask("queue")[0].contains("\"state\":\"deferred\""))
        try scheduler.write("", to: "log/open")
        #expect(try scheduler.ask("flush ok/*") == ["{\"flushed\":0}"])
        #expect(try scheduler.ask("flush later/{g,h}") == ["{\"flushed\":10}"])
        try scheduler.wait("removal") { ids.allSatisfy(scheduler.isGone) }
    }

    @Test("attempts survive a restart")
    func restart() throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(["later h a@h"])
        try scheduler.startAndWait()
        try scheduler.wait("four attempts") { scheduler.lines("log/tries").count >= 4 }
        scheduler.stop()
        try scheduler.startAndWait(Scripts.configuration.replacing("interval=1s", with: "interval=1h"))
        defer { scheduler.stop() }
        try scheduler.wait("the message") { (try? scheduler.ask("queue").count) == 1 }
        #expect(try scheduler.ask("queue")[0].contains("\"attempts\":4,"))
        #expect(try scheduler.ask("queue")[0].contains("\"last\":\"connection refused\""))
        #expect(scheduler.exists(.transport, id))
    }

    @Test("a message to a channel without a clause waits and is reported")
    func noClause() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["uucp h a@h"])
        scheduler.notify([id])
        try scheduler.wait("the log line") {
            scheduler.log.contains("error no-clause queue-id=\(id) channel=uucp host=h")
        }
        #expect(scheduler.exists(.transport, id))
        #expect(try scheduler.ask("queue")[0].contains("\"next_attempt\":null,\"expires\":null"))
        // With a clause it goes on, without a restart.
        try scheduler.reload(Scripts.configuration + "\nuucp/*\n    command=\"ok -c uucp\"\n")
        try scheduler.wait("removal") { scheduler.isGone(id) }
    }

    @Test("a bad new configuration is refused and the old one stays")
    func badReload() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.reload("ok/*\n  command=ok\n  interval=soon\n  maxfoo=3\n")
        try scheduler.wait("the refusal") { scheduler.log.contains("maxfoo: is not a keyword") }
        #expect(
            scheduler.log.contains("error reload-refused reason=\"\(scheduler.root)/share/scheduler.conf:3: interval"))
        let id = try scheduler.queue(["ok h a@h"])
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
    }

    @Test("agents run in transport/, with the environment of their clause and nothing else")
    func environment() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent(
            "env", "    env | sort > ../../log/env; echo \"$PWD\" >> ../../log/env; echo oops >&2\n" + Scripts.ok)
        try scheduler.startAndWait(
            "env/*\n command=\"COLOUR=${HOSTNAME}-$host env -c $channel -h $host\" nice=5\n")
        defer { scheduler.stop() }
        let id = try scheduler.queue(["env h a@h"])
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let lines = scheduler.lines("log/env").map(String.init)
        #expect(lines.contains("COLOUR=mx.example.test-h"))
        #expect(lines.contains("ZCONFIG=\(scheduler.root)/zmailer.conf"))
        #expect(lines.last == "\(scheduler.root)/po/transport")
        #expect(!lines.contains { $0.hasPrefix("HOME=") })
        try scheduler.wait("what it said") { scheduler.log.contains("warning agent-output agent=env:env#1 text=oops") }
    }

    @Test("the queue socket refuses what it does not know")
    func questions() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        for question in ["", "queue now", "destroy", "flush {a"] {
            let answer = try scheduler.ask(question)
            #expect(answer.count == 1)
            #expect(answer.first?.hasPrefix("{\"error\":") == true, "\(question)")
        }
        #expect(try scheduler.ask("queue") == [])
        #expect(try scheduler.ask("threads") == [])
    }

    @Test("a frozen scheduler knows its queue and delivers nothing")
    func frozen() throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(["ok h a@h"])
        var options = SchedulerOptions()
        options.isFrozen = true
        try scheduler.startAndWait(options: options)
        defer { scheduler.stop() }
        try scheduler.wait("the message") { try scheduler.ask("queue").count == 1 }
        #expect(try scheduler.ask("status")[0].contains("\"agents\":0"))
        #expect(scheduler.exists(.transport, id))
    }

    @Test("a synchronous start delivers when all is known; -p delivers one thread only")
    func synchronousAndOnly() throws {
        let scheduler = try makeScheduler()
        let ids = try (0..<20).map { try scheduler.queue(["ok h\($0 % 2) a@h"]) }
        var options = SchedulerOptions()
        options.isSynchronous = true
        options.onlyThread = SchedulerPattern("ok/h1")
        try scheduler.startAndWait(options: options)
        defer { scheduler.stop() }
        try scheduler.wait("half of it gone") { ids.count(where: scheduler.isGone) == 10 }
        #expect(try scheduler.ask("queue").count == 10)
    }
}
