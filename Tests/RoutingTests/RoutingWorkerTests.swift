import Glibc
import PolicyEngine
import Postoffice
import SpoolFormat
import Testing

@testable import Router

@Suite("Router: one message, in every state that a crash can leave (docs/spool.md §4)")
struct RoutingWorkerTests {
    @Test("an accepted message is queued with its control file, and its first name settled in a batch")
    func accepted() throws {
        let instance = try RouterInstance()
        let id = try instance.accept(["team@example.test", "x@there.test"])
        #expect(instance.worker().process(id) == .done)
        #expect(instance.places(id) == ["queue", "router", "transport"])
        let users = try instance.control(id).groups.flatMap { $0.recipients.map(\.quad.user) }
        #expect(users == ["alice", "bob", "x@there.test"])
        var settlement = Settlement()
        settlement.add(id, now: 1000)
        #expect(!settlement.isDue(1249))
        #expect(settlement.isDue(1250))
        settlement.settle(instance.postoffice, instance.log, now: 1250)
        #expect(settlement.pending.isEmpty)
        #expect(instance.places(id) == ["queue", "transport"])
    }

    @Test("a message that is gone is no trouble")
    func gone() throws {
        let instance = try RouterInstance()
        #expect(instance.worker().process(instance.postoffice.newID()) == .gone)
    }

    @Test("crashed behind the claim: routed again")
    func claimed() throws {
        let instance = try RouterInstance()
        let id = try instance.accept()
        #expect(try instance.postoffice.claimForQueue(id) == .claimed)
        #expect(instance.places(id) == ["queue", "router"])
        #expect(instance.worker().process(id) == .done)
        #expect(try instance.control(id).groups.count == 1)
    }

    @Test("crashed behind the control file: announced again, its results untouched")
    func routed() throws {
        let instance = try RouterInstance()
        let id = try instance.accept()
        #expect(instance.worker().process(id) == .done)
        let recipient = try #require(try instance.control(id).groups.first?.recipients.first)
        let record = ResultRecord(
            offset: recipient.offset, headerOffset: -1, notaryOffset: recipient.notaryOffset, time: 1,
            notary: Notary(finalRecipient: "alice", action: .delivered, status: "2.0.0"), message: "ok")
        try instance.postoffice.append([(record, .delivered)], to: id, sync: false)
        #expect(instance.worker().process(id) == .done)
        let after = try instance.control(id)
        #expect(after.records.count == 1)
        #expect(after.groups.first?.recipients.first?.tag == .delivered)
    }

    @Test("a torn control file is written anew", arguments: [0, 1, 40, -1])
    func torn(length: Int) throws {
        let instance = try RouterInstance()
        let id = try instance.accept()
        #expect(instance.worker().process(id) == .done)
        let whole = try instance.postoffice.read(.transport, id, limit: 1 << 20)
        #expect(truncate(instance.postoffice.path(.transport, id), length < 0 ? whole.count + length : length) == 0)
        #expect(instance.worker().process(id) == .done)
        #expect(try instance.postoffice.read(.transport, id, limit: 1 << 20) == whole)
    }

    @Test(
        "a control file that outlived its message file keeps its results, and the message both its names",
        arguments: [false, true])
    func controlAlone(hasTrouble: Bool) throws {
        let instance = try RouterInstance()
        let id = try instance.accept()
        #expect(instance.worker().process(id) == .done)
        let recipient = try #require(try instance.control(id).groups.first?.recipients.first)
        let record = ResultRecord(
            offset: recipient.offset, headerOffset: -1, notaryOffset: recipient.notaryOffset, time: 1,
            notary: Notary(finalRecipient: "alice", action: .delivered, status: "2.0.0"), message: "ok")
        try instance.postoffice.append([(record, .delivered)], to: id, sync: true)
        unlink(instance.postoffice.path(.queue, id))
        if hasTrouble {
            instance.write("broken\n", to: "aliases")
            instance.tables.lookAgain()
        }
        #expect(instance.worker().process(id) == .done)
        #expect(try instance.control(id).records.count == 1)
        #expect(instance.places(id) == ["queue", "router", "transport"])
    }

    @Test("delivered before it was settled: nothing left to do")
    func delivered() throws {
        let instance = try RouterInstance()
        let id = try instance.accept()
        #expect(instance.worker().process(id) == .done)
        try instance.postoffice.remove(id)
        #expect(instance.worker().process(id) == .gone)
        #expect(instance.places(id).isEmpty)
    }

    @Test("settled, then power lost before the control file was on disk: an orphan that is routed again")
    func orphan() throws {
        let instance = try RouterInstance()
        let id = try instance.accept()
        #expect(instance.worker().process(id) == .done)
        try instance.postoffice.settle([id])
        unlink(instance.postoffice.path(.transport, id))
        #expect(instance.places(id) == ["queue"])
        #expect(try Recovery.orphans(instance.postoffice) == [id])
        try instance.postoffice.requeue(id)
        #expect(try Recovery.orphans(instance.postoffice).isEmpty)
        #expect(instance.worker().process(id) == .done)
        #expect(try instance.control(id).groups.count == 1)
    }

    @Test("routed and claimed messages are no orphans")
    func noOrphans() throws {
        let instance = try RouterInstance()
        let routed = try instance.accept()
        #expect(instance.worker().process(routed) == .done)
        let claimed = try instance.accept()
        #expect(try instance.postoffice.claimForQueue(claimed) == .claimed)
        #expect(try Recovery.orphans(instance.postoffice).isEmpty)
    }

    @Test(
        "a table that cannot be used holds the message in deferred/, whatever an earlier attempt left",
        arguments: [false, true])
    func deferred(wasClaimed: Bool) throws {
        let instance = try RouterInstance(aliases: "broken\n")
        let id = try instance.accept()
        if wasClaimed { #expect(try instance.postoffice.claimForQueue(id) == .claimed) }
        guard case .deferred(let reason) = instance.worker().process(id) else {
            Issue.record("not deferred")
            return
        }
        #expect(reason.contains("aliases:1"))
        #expect(instance.places(id) == ["deferred"])
        instance.write("team: alice\n", to: "aliases")
        instance.tables.lookAgain()
        try instance.postoffice.move(id, from: .deferred, to: .router)
        #expect(instance.worker().process(id) == .done)
        #expect(instance.places(id) == ["queue", "router", "transport"])
    }

    @Test("after five days what cannot be routed goes back to its sender", arguments: [(4, false), (6, true)])
    func patience(days: Int64, isRouted: Bool) throws {
        let instance = try RouterInstance(aliases: "broken\n")
        let id = try instance.accept()
        let outcome = instance.worker(now: id.unixTime + days * 86_400).process(id)
        #expect((outcome == .done) == isRouted)
        if isRouted {
            #expect(try instance.control(id).groups.first?.recipients.first?.quad.channel == "error")
        } else {
            #expect(instance.places(id) == ["deferred"])
        }
    }

    @Test("a file without envelope goes to postman/", arguments: ["", "garbage\n", "from a@b.test\nenv-end\n\nx\n"])
    func badEnvelope(text: String) throws {
        let instance = try RouterInstance()
        let id = instance.postoffice.newID()
        if text.isEmpty {
            close(open(instance.postoffice.path(.router, id), O_WRONLY | O_CREAT, 0o600))
        } else {
            try instance.postoffice.submit(id, [Array(text.utf8)])
        }
        guard case .failed = instance.worker().process(id) else {
            Issue.record("not refused")
            return
        }
        #expect(instance.names(.postman) == ["\(id):badenvelope"])
        #expect(instance.places(id) == ["postman"])
        #expect(instance.logText.contains("error rejected queue-id=\(id)"))
    }

    @Test("a header larger than the first read is read to its end")
    func largeHeader() throws {
        let instance = try RouterInstance()
        let header = (0..<3000).map { "X-Field-\($0): \(String(repeating: "x", count: 60))\r\n" }.joined()
        let id = try instance.accept(header: header + "Message-Id: <late@b>\r\n")
        #expect(instance.worker().process(id) == .done)
        #expect(try instance.control(id).logID == "<late@b>")
    }

    @Test("a message whose recipients lead nowhere goes to the channel error")
    func unroutable() throws {
        let instance = try RouterInstance()
        let id = try instance.accept(["ghost@example.test"])
        #expect(instance.worker().process(id) == .done)
        #expect(try instance.control(id).groups.first?.recipients.first?.quad.channel == "error")
    }

    @Test("a spool that cannot be written leaves the message where it is")
    func spoolTrouble() throws {
        let instance = try RouterInstance()
        let id = try instance.accept()
        let transport = "\(instance.postoffice.root)/transport"
        #expect(rename(transport, "\(transport).away") == 0)
        guard case .failed = instance.worker().process(id) else {
            Issue.record("not failed")
            return
        }
        #expect(rename("\(transport).away", transport) == 0)
        #expect(instance.places(id) == ["queue", "router"])
        #expect(instance.worker().process(id) == .done)
    }

    @Test("the log line of a routed message")
    func logLine() throws {
        let instance = try RouterInstance()
        let id = try instance.accept(["team@example.test"])
        #expect(instance.worker(now: id.unixTime + 2).process(id) == .done)
        #expect(instance.logText.contains("info routed queue-id=\(id) from=s@from.test size="))
        #expect(instance.logText.contains("nrcpts=2 msgid=<a@b> delay=2\n"))
    }

    @Test("old leftovers of public/ are removed, young ones and folders stay")
    func leftovers() throws {
        let instance = try RouterInstance()
        let folder = "\(instance.postoffice.root)/public"
        for name in ["old", "young"] { close(open("\(folder)/\(name)", O_WRONLY | O_CREAT, 0o600)) }
        let times = [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 1000, tv_usec: 0)]
        #expect(utimes("\(folder)/old", times) == 0)
        #expect(try Recovery.removeLeftovers(instance.postoffice, olderThan: 2000) == ["old"])
        #expect(instance.names(.public) == ["young"])
    }
}
