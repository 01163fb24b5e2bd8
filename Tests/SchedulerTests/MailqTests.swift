import AgentProtocol
import Configuration
import Digests
import Glibc
import MailModel
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("The scheduler answers mailq over the network")
struct MailqTests {
    @Test("ETRN starts what waits for it, and says so; another one finds nothing to start")
    func etrn() throws {
        let scheduler = try makeScheduler()
        let port = try scheduler.startWithMailq()
        defer { scheduler.stop() }
        let ids = [try scheduler.queue(["etrn a.test x@a.test"]), try scheduler.queue(["etrn a.test y@a.test"])]
        let other = try scheduler.queue(["etrn b.test x@b.test"])
        scheduler.notify(ids + [other])
        try scheduler.wait("the queue") { try scheduler.ask("queue").count == 3 }
        let peer = try MailqPeer(port: port)
        #expect(try peer.logIn("node", "secret") == "+OK")
        #expect(try peer.ask("ETRN A.Test 192.0.2.7@mx.example") == "+OK; an ETRN started something.")
        try scheduler.wait("delivery") { ids.allSatisfy(scheduler.isGone) }
        #expect(!scheduler.isGone(other))
        #expect(try peer.ask("ETRN a.test") == "+OK; an ETRN didn't start anything.")
        #expect(try peer.ask("SHOW SNMP")?.hasPrefix("-MAILQ2 Unknown command, or refused by access control;") == true)
        #expect(try peer.ask("quit") == "+Bye bye")
        #expect(try peer.line() == nil)
        #expect(
            scheduler.log.contains(
                "info etrn domain=a.test from=\"node@[127.0.0.1] for 192.0.2.7@mx.example\" threads=1 jobs=2"))
    }

    @Test("a wrong password and an unknown user get the same answer, late, and the third one ends it")
    func refused() throws {
        let scheduler = try makeScheduler()
        let port = try scheduler.startWithMailq()
        defer { scheduler.stop() }
        let peer = try MailqPeer(port: port)
        let refusal = "-BAD USER OR AUTHENTICATOR OR CONTACT ADDRESS"
        #expect(try peer.line() == "version zmailer 2.0")
        let challenge = try #require(try peer.line())
        let start = SchedulerLoop.monotonicMilliseconds()
        #expect(try peer.authenticate("node", "wrong", challenge) == refusal)
        #expect(SchedulerLoop.monotonicMilliseconds() - start >= MailqService.delay)
        // From its own address it would be right.
        #expect(try peer.authenticate("far", "away", challenge) == refusal)
        // What is sent meanwhile is read afterwards, and not at all after the third.
        peer.send("AUTH nobody 00\nSHOW SNMP\n")
        #expect(try peer.line() == refusal)
        #expect(try peer.line() == nil)
        #expect(scheduler.log.split(separator: "\n").count { $0.contains("warning mailq-refused user=") } == 3)
        #expect(!scheduler.log.contains("secret"))
        let right = try MailqPeer(port: port)
        #expect(try right.logIn("node", "secret") == "+OK")
    }

    @Test("challenges differ, and what was overheard is worth nothing")
    func replay() throws {
        let scheduler = try makeScheduler()
        let port = try scheduler.startWithMailq()
        defer { scheduler.stop() }
        let peers = [try MailqPeer(port: port), try MailqPeer(port: port)]
        let challenges = try peers.map { peer in
            _ = try peer.line()
            return try #require(try peer.line())
        }
        #expect(challenges[0] != challenges[1])
        #expect(challenges.allSatisfy { $0.hasPrefix("220 MAILQ-V2-CHALLENGE: ") })
        #expect(try peers[1].authenticate("node", "secret", challenges[0])?.hasPrefix("-BAD") == true)
        #expect(try peers[1].authenticate("node", "secret", challenges[1]) == "+OK")
    }

    @Test("an address from which nobody may log in gets no challenge")
    func noAccess() throws {
        let scheduler = try makeScheduler()
        let port = try MailqPeer.freePort()
        let file = try scheduler.writeAccounts("far:away:ALL:[192.0.2.1]\n")
        try scheduler.startAndWait(TestScheduler.mailqConfiguration("TCP:\(port)@127.0.0.1", authFile: file))
        defer { scheduler.stop() }
        try scheduler.wait("the mailq port") { scheduler.log.contains("mailq-listening") }
        let peer = try MailqPeer(port: port)
        #expect(try peer.line() == "version zmailer 2.0")
        #expect(try peer.line() == "550 NO ACCESS FOR YOU")
        #expect(try peer.line() == nil)
    }

    @Test("lists have ZMailer's form, also when several are asked for at once")
    func lists() throws {
        let scheduler = try makeScheduler()
        let port = try scheduler.startWithMailq()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["later down.test x@down.test", "later down.test y@down.test"])
        scheduler.notify([id, try scheduler.queue(["etrn a.test x@a.test"])])
        try scheduler.wait("an attempt") { scheduler.log.contains("status=deferred") }
        try scheduler.wait("the end of the job") {
            try scheduler.ask("status").first?.contains("\"active\":0") == true
        }
        let peer = try MailqPeer(port: port)
        #expect(try peer.logIn("watch", "seen") == "+OK")

        let short = try peer.list("SHOW QUEUE SHORT")
        #expect(short.count == 6, "\(short)")
        #expect(short[0] == "etrn/*/0")
        #expect(short[1] == "\tThreads:    1 Msgs:     1 Procs:   0 Idle:   0 Plim: 10000 Flim:   0 Tlim: 5")
        #expect(short[2] == "later/*/0")
        #expect(short[3] == "\tThreads:    1 Msgs:     1 Procs:   1 Idle:   1 Plim:   7 Flim:   3 Tlim: 5")
        #expect(short[4].hasPrefix("Kids: 1  Idle:  1  Msgs:   2  Thrds:   2  Rcpnts:    3  Uptime: "))
        #expect(short[5] == "Msgs in 2 out 0 stored 2 Rcpnts in 3 out 0 stored 3")

        let threads = try peer.list("SHOW QUEUE THREADS")
        #expect(threads.count == 8)
        #expect(threads[1].hasPrefix("    etrn/a.test/0\t\tN=1   R=1   A=0  pend=queueonly QA="), "\(threads)")
        #expect(threads[4].hasPrefix("    later/down.test/0\t\tN=1   R=2   A=1  W="), "\(threads)")

        let fields = try peer.list("SHOW QUEUE THREADS2")
        #expect(
            fields.map { $0.split(separator: "\t").prefix(5).joined(separator: " ") } == [
                "etrn a.test N=1 R=1 A=0", "later down.test N=1 R=2 A=1",
            ])

        let thread = try peer.list("SHOW THREAD later down.test")
        #expect(thread.count == 3)
        #expect(thread[0].hasPrefix("#later/down.test/0  N=1   R=2   A=1  W="))
        let first = thread[1].split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        let offsets = try scheduler.control(id).groups[0].recipients.map(\.offset)
        #expect(first.count == 10)
        #expect(Array(first[0...3]) == ["\(id)", "0", "<sender@example.test>", "\(offsets[0])"])
        #expect(try #require(Int64(first[4])) > SchedulerLoop.milliseconds() / 1000)
        #expect(try #require(Int64(first[5])) > SchedulerLoop.milliseconds() / 1000)
        #expect(first[7] == "1")
        #expect(first[8].hasPrefix("retry in "))
        #expect(first[9] == "connection refused")
        #expect(thread[2].hasPrefix("\(id)\t1\t<sender@example.test>\t\(offsets[1])\t"))
        #expect(try peer.list("SHOW THREAD later other.test") == [])

        // Three at once: answered one after the other.
        peer.send("SHOW SNMP\nSHOW COUNTERS\nETRN a.test\n")
        #expect(try peer.line() == "+OK until LF.LF")
        #expect(try peer.line()?.contains(" sec") == true)
        #expect(try peer.line()?.hasPrefix("Msgs in 2 ") == true)
        #expect(try peer.line() == ".")
        #expect(try peer.line() == "+OK until LF.LF")
        var counters: [String] = []
        while let line = try peer.line(), line != "." { counters.append(line) }
        #expect(counters.contains("SC.StoredRecipients-G                    3"), "\(counters)")
        #expect(counters.contains("SC.MQ2Parallel-G                         1"))
        #expect(try peer.line() == "-No ETRN allowed for you.")
    }

    @Test("a list of any length goes out as it is read")
    func longList() throws {
        let scheduler = try makeScheduler()
        let port = try scheduler.startWithMailq()
        defer { scheduler.stop() }
        let recipients = (0..<5000).map { "etrn host\($0).with.a.rather.long.name.test x@h" }
        scheduler.notify([try scheduler.queue(recipients)])
        try scheduler.wait("the queue") {
            try scheduler.ask("status").first?.contains("\"threads\":5000") == true
        }
        let peer = try MailqPeer(port: port)
        #expect(try peer.logIn("watch", "seen") == "+OK")
        peer.send("SHOW QUEUE THREADS2\n")
        // While it is not read, others are served.
        for _ in 0..<3 { #expect(try scheduler.ask("status").count == 1) }
        #expect(try peer.line() == "+OK until LF.LF")
        var count = 0
        while let line = try peer.line(), line != "." { count += 1 }
        #expect(count == 5000)
        #expect(try peer.ask("QUIT") == "+Bye bye")
    }

    @Test("connections of one address are few, and a long line ends one")
    func bounds() throws {
        let scheduler = try makeScheduler()
        let port = try scheduler.startWithMailq()
        defer { scheduler.stop() }
        var peers: [MailqPeer] = []
        for _ in 0..<MailqService.maximumOfAddress {
            peers.append(try MailqPeer(port: port))
            #expect(try peers.last?.line() == "version zmailer 2.0")
        }
        #expect(try MailqPeer(port: port).line() == nil)
        _ = try peers[0].line()
        #expect(try peers[0].ask(String(repeating: "x", count: 5000)) == "-BAD; LINE TOO LONG")
        #expect(try peers[0].line() == nil)
        try scheduler.wait("a free place") { try MailqPeer(port: port).line() == "version zmailer 2.0" }
    }

    @Test("a connection that does not log in ends, whatever it sends; one that has may wait longer")
    func deadlines() {
        let connection = MailqConnection(-1, client: nil, nonce: "n", now: 1000)
        let login = 1000 + MailqConnection.loginTime
        #expect(connection.deadline == login)
        connection.isActive(at: 5000)
        #expect(connection.deadline == login)
        _ = connection.session.authenticated(rights: .etrn)
        connection.isActive(at: 5000)
        #expect(connection.deadline == 5000 + MailqConnection.quietTime)
        connection.isActive(at: 590_000)
        #expect(connection.deadline == 1000 + MailqConnection.longestTime)
    }

    @Test("reload opens, moves and closes the socket; over a Unix socket the asker's side of the protocol works")
    func reloads() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        #expect(!scheduler.log.contains("mailq-listening"))
        let file = try scheduler.writeAccounts()
        let path = "\(scheduler.root)/mailq"
        try scheduler.reload(TestScheduler.mailqConfiguration("UNIX:\(path)", authFile: file))
        try scheduler.wait("the socket") { scheduler.log.contains("mailq-listening socket=UNIX:\(path)") }
        scheduler.notify([try scheduler.queue(["etrn a.test x@a.test"])])
        try scheduler.wait("the queue") { try scheduler.ask("queue").count == 1 }

        func ask(_ user: String, _ password: String) throws -> MailqClientSession.Action? {
            let peer = try MailqPeer(path: path)
            var session = MailqClientSession(
                user: user, password: password, target: .host("a.test"), remark: "t", digest: Digest.md5)
            while let line = try peer.line() {
                for action in session.received(Array("\(line)\n".utf8)) {
                    switch action {
                    case .send(let octets): peer.send(String(decoding: octets, as: UTF8.self))
                    case .finished: return action
                    case .line: continue
                    }
                }
            }
            return session.ended()
        }
        let text = "+OK; an ETRN started something."
        #expect(try ask("socket", "local") == .finished(.success(.init(text: text, didStart: true))))
        // A line with addresses is not for Unix sockets.
        let refusal = "-BAD USER OR AUTHENTICATOR OR CONTACT ADDRESS"
        #expect(try ask("root", "all") == .finished(.failure(.notAuthenticated(refusal))))

        let port = try MailqPeer.freePort()
        try scheduler.reload(TestScheduler.mailqConfiguration("\(port)@127.0.0.1", authFile: file))
        try scheduler.wait("the port") { scheduler.log.contains("mailq-listening socket=TCP:\(port)@[127.0.0.1]") }
        #expect(access(path, F_OK) != 0)
        #expect(try MailqPeer(port: port).line() == "version zmailer 2.0")
        try scheduler.reload(Scripts.configuration)
        try scheduler.wait("the end of the socket") { (try? MailqPeer(port: port)) == nil }
    }

    @Test("a port that is taken is tried again, and mail goes on meanwhile")
    func taken() throws {
        let scheduler = try makeScheduler()
        let port = try MailqPeer.freePort()
        let holder = try MailqListener(.tcp(port: port, address: .v4(0x7f00_0001)))
        try scheduler.startAndWait(
            TestScheduler.mailqConfiguration("TCP:\(port)@127.0.0.1", authFile: scheduler.writeAccounts()))
        defer { scheduler.stop() }
        try scheduler.wait("the complaint") { scheduler.log.contains("error mailq-not-listening") }
        let id = try scheduler.queue(["ok a.test x@a.test"])
        scheduler.notify([id])
        try scheduler.wait("delivery") { scheduler.isGone(id) }
        withExtendedLifetime(holder) {}
    }

    @Test(
        "an account file that others can read, or that is wrong or missing, is a mistake of the configuration",
        arguments: [
            (0o644, "u:p:ETRN:\n", "has mode 644 and holds passwords; chmod 600 it"),
            (0o640, "u:p:ETRN:\n", "has mode 640"), (0o600, "\nu:p:XX:\n", "scheduler.auth:2: 'XX' is not a right"),
            (0, nil, "scheduler.auth: No such file or directory"),
        ] as [(mode_t, String?, String)])
    func accountFile(mode: mode_t, text: String?, expected: String) throws {
        let scheduler = try makeScheduler()
        let path = "\(scheduler.root)/share/scheduler.auth"
        if let text { _ = try scheduler.writeAccounts(text) }
        chmod(path, mode)
        func read(_ parameters: String) throws(ConfigurationErrors) {
            let file = "\(scheduler.root)/share/scheduler.conf"
            do { try scheduler.write("\(parameters)\n*/* command=ok\n", to: "share/scheduler.conf") } catch {
                throw ConfigurationErrors([])
            }
            _ = try ActiveConfiguration.read(file, environment: scheduler.environment, onlyThread: nil)
        }
        do throws(ConfigurationErrors) {
            try read("PARAMauthfile=\(path)\nPARAMmailqsock=TCP:174")
            Issue.record("taken")
        } catch {
            #expect(error.description.contains(expected), "\(error)")
        }
        // Where nothing is opened it is somebody else's file.
        #expect(throws: Never.self) { try read("PARAMauthfile=\(path)") }
    }
}
