import AgentProtocol
import Configuration
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("What an operator does to the queue")
struct OperationTests {
    static func selection(_ change: (inout QueueSelection) -> Void = { _ in }) -> QueueSelection {
        var selection = QueueSelection()
        change(&selection)
        return selection
    }

    static let note = OperatorNote(operatorName: "alice", reason: "looks wrong", time: Bench.start)

    /// With one recipient in each state that a job can be in.
    enum Place: String, CaseIterable, Sendable {
        case ready, waiting, active, suspect, held
    }

    struct World {
        let bench: Bench
        let id: SpoolID
        let agent: Int
    }

    static func world(_ place: Place, hasFastDisk: Bool = true) -> World {
        let bench = Bench(ThreadRules(interval: 600, maximumThreadJobs: 1))
        bench.hasFastDisk = hasFastDisk
        func load() -> SpoolID {
            bench.load(
                [Bench.recipient("a.test", 100), Bench.recipient("a.test", 200)], deliverBy: nil)
        }
        switch place {
        case .ready:
            let id = load()
            bench.core.isFrozen = true
            bench.run()
            return World(bench: bench, id: id, agent: 1)
        case .waiting:
            let id = load()
            bench.run()
            bench.hungry(1)
            bench.report(1, id, .deferred, offset: 100, isHungry: false)
            bench.report(1, id, .deferred, offset: 200)
            if !hasFastDisk { confirm(bench) }
            return World(bench: bench, id: id, agent: 1)
        case .active:
            let id = load()
            bench.run()
            bench.hungry(1)
            return World(bench: bench, id: id, agent: 1)
        case .suspect:
            let id = load()
            bench.run()
            for agent in 1...2 {
                bench.hungry(agent)
                bench.die(agent)
            }
            return World(bench: bench, id: id, agent: 3)
        case .held:
            let id = bench.load(
                [Bench.recipient("a.test", 100), Bench.recipient("a.test", 200)], heldUntil: bench.core.now + 5000)
            bench.run()
            return World(bench: bench, id: id, agent: 1)
        }
    }

    static func confirm(_ bench: Bench) {
        for entry in bench.records { bench.core.recorded(entry.id, vertex: entry.vertex) }
        bench.records = []
        bench.run()
    }

    static func apply(
        _ verb: QueueOperation.Verb, _ world: World, _ selection: QueueSelection = QueueSelection(),
        isDryRun: Bool = false
    ) -> OperationTally {
        var tally = OperationTally()
        world.bench.core.apply(QueueOperation(verb, selection, note, isDryRun: isDryRun), to: world.id, &tally)
        world.bench.run()
        return tally
    }

    @Test("removed is gone, whatever had it; nobody is told", arguments: Place.allCases)
    func remove(place: Place) {
        let world = Self.world(place)
        let tally = Self.apply(.remove, world)
        #expect(tally.messages == 1 && tally.recipients == 2)
        #expect(tally.inHand == (place == .active ? 2 : 0))
        if place == .active {
            #expect(world.bench.core.knows(world.id))
            world.bench.report(1, world.id, .deferred, offset: 100, isHungry: false)
            world.bench.report(1, world.id, .deferredAll, offset: 200)
        }
        #expect(!world.bench.core.knows(world.id))
        #expect(world.bench.core.recipientCount == 0)
        #expect(world.bench.core.threadCount == 0)
        #expect(world.bench.core.heldCount == 0)
        #expect(world.bench.finishes.map(\.ending) == [.remove])
        #expect(world.bench.results.count { $0.outcome == .removed } == 2)
        #expect(world.bench.core.operators.verdicts.isEmpty)
    }

    @Test(
        "what an agent has may be delivered still; otherwise it goes, whatever the agent reports",
        arguments: [DeliveryResult.ok, .failed, .deferred, .deferredAll, .retry(afterSeconds: 100)], [false, true])
    func inHand(result: DeliveryResult, dies: Bool) {
        let world = Self.world(.active)
        let bench = world.bench
        _ = Self.apply(.remove, world)
        // It stands in the file meanwhile, and is no result.
        #expect(bench.records.map(\.record.wish) == [.remove, .remove])
        #expect(bench.records.allSatisfy { $0.tag == nil })
        bench.report(1, world.id, result, offset: 100, isHungry: false)
        if dies { bench.die(1) } else { bench.report(1, world.id, result, offset: 200) }
        #expect(!bench.core.knows(world.id))
        let outcomes = bench.results.filter { $0.outcome != .deferred }.map(\.outcome.rawValue).sorted()
        let expected: [String]
        switch result {
        case .ok: expected = dies ? ["delivered", "removed"] : ["delivered", "delivered"]
        case .failed: expected = dies ? ["failed", "removed"] : ["failed", "failed"]
        case .deferred, .deferredAll, .deferredBack, .retry: expected = ["removed", "removed"]
        }
        #expect(outcomes == expected)
        #expect(bench.core.operators.verdicts.isEmpty)
    }

    @Test("one recipient of several goes, and the others stay", arguments: Place.allCases)
    func one(place: Place) throws {
        let world = Self.world(place)
        let only = Self.selection { $0.recipients = [GlobPattern("U200@*")] }
        #expect(Self.apply(.remove, world, only).recipients == 1)
        if place == .active {
            world.bench.report(1, world.id, .deferred, offset: 100, isHungry: false)
            world.bench.report(1, world.id, .deferred, offset: 200)
        }
        let description = try #require(world.bench.core.describe(world.id))
        #expect(description.recipients.map(\.state.rawValue).last == "removed")
        #expect(world.bench.core.recipientCount == 1)
        let record = try #require(world.bench.records.last { $0.record.offset == 200 })
        #expect(record.tag == .failed && record.record.isReported && record.record.notary.action == .failed)
        // What is read again says the same.
        #expect(Self.apply(.remove, world).recipients == 1)
        if place != .active || !world.bench.core.knows(world.id) { #expect(world.bench.core.recipientCount == 0) }
    }

    @Test("bounced fails with 5.7.0 and the operator's words, and the sender is told", arguments: Place.allCases)
    func bounce(place: Place) throws {
        let world = Self.world(place)
        _ = Self.apply(.bounce, world)
        if place == .active {
            world.bench.report(1, world.id, .deferred, offset: 100, isHungry: false)
            world.bench.report(1, world.id, .deferred, offset: 200)
        }
        #expect(!world.bench.core.knows(world.id))
        #expect(world.bench.finishes.map(\.ending) == [.reportAndRemove])
        let records = world.bench.records.map(\.record).filter { $0.notary.action == .failed }
        #expect(records.map(\.notary.status) == ["5.7.0", "5.7.0"])
        #expect(records.allSatisfy { $0.message == "looks wrong" && !$0.isReported })
    }

    @Test("held waits until it is released, also over a restart and beyond its expiry", arguments: Place.allCases)
    func hold(place: Place) throws {
        let world = Self.world(place)
        let bench = world.bench
        #expect(Self.apply(.hold, world).messages == 1)
        #expect(Self.apply(.hold, world).unchanged == 2)
        // Its new message would know nothing of the hold.
        #expect(Self.apply(.reroute, world).unchanged == 2)
        bench.core.isFrozen = false
        if place == .active {
            bench.report(1, world.id, .deferred, offset: 100, isHungry: false)
            bench.report(1, world.id, .deferred, offset: 200)
        }
        let fed = bench.fed.count
        bench.pass(5 * 86400)
        for started in bench.started { bench.hungry(started.agent) }
        #expect(bench.fed.count == fed)
        #expect(bench.core.knows(world.id))
        #expect(bench.core.operatorHeldCount == 1)
        let recipients = try #require(bench.core.describe(world.id)?.recipients)
        #expect(recipients.allSatisfy { $0.state == .held && $0.reason == "held by alice: looks wrong" })
        #expect(recipients.allSatisfy { $0.nextAttempt == nil })

        #expect(Self.apply(.release, world).messages == 1)
        for started in bench.started { bench.hungry(started.agent) }
        #expect(bench.fed.count == fed + 1)
        #expect(bench.core.operatorHeldCount == 0)
        #expect(bench.records.map(\.record.wish).compactMap { $0 } == [.hold, .release])
    }

    @Test("a hold and its release are read again from the file; what was to go is gone")
    func restart() throws {
        let bench = Bench()
        func file(_ wishes: [(OperatorWish, Int)]) throws -> LoadedMessage {
            try Self.file(wishes, number: UInt64(wishes.count))
        }
        let held = try file([(.hold, 0), (.release, 1), (.hold, 0)])
        #expect(held.hold == OperatorNote(operatorName: "bob", reason: "why", time: Bench.start))
        // They are no attempts.
        #expect(held.recipients.map(\.attempts) == [0, 0])
        bench.core.load(held)
        bench.run()
        #expect(bench.started.isEmpty)
        #expect(bench.core.describe(held.id)?.recipients.first?.state == .held)
        let released = try file([(.hold, 0), (.release, 0)])
        #expect(released.hold == nil)
        bench.core.load(released)
        bench.run()
        #expect(bench.started.count == 1)

        let removed = try file([(.remove, 0)])
        bench.core.load(removed)
        bench.run()
        #expect(bench.core.describe(removed.id)?.recipients.map(\.state) == [.removed, .waiting])
        let returned = try file([(.bounce, 0), (.remove, 1), (.hold, 0), (.release, 0)])
        bench.core.load(returned)
        bench.run()
        #expect(!bench.core.knows(returned.id))
        #expect(bench.finishes.last?.ending == .reportAndRemove)
    }

    /// A message with two recipients and what operators have asked for, as a restart reads it.
    static func file(_ wishes: [(OperatorWish, Int)], done: [Int] = [], number: UInt64 = 1) throws -> LoadedMessage {
        var control = ControlFile(
            id: SpoolID(rawValue: UInt64(Bench.start) * 1000 << 22 | (number + 500)), headerStart: 1, bodyOffset: 2,
            messageSize: 3, logID: "",
            groups: [
                ControlGroup(
                    sender: Quad(channel: "smtp", host: "-", user: "s@x", privilege: 0), errorsTo: "s@x",
                    recipients: ["a@b", "c@b"].map {
                        ControlRecipient(quad: Quad(channel: "smtp", host: "b", user: $0, privilege: 0))
                    })
            ])
        var octets = control.encodeHead()
        func add(_ notary: Notary, _ index: Int) {
            let offset = control.groups[0].recipients[index].offset
            octets += ResultRecord(
                offset: offset, headerOffset: -1, notaryOffset: -1, time: Bench.start, notary: notary, message: "why",
                isReported: true
            ).encoded()
        }
        for (wish, index) in wishes { add(ResultRecord.notary(of: wish, name: "bob"), index) }
        for index in done { add(Notary(finalRecipient: "a@b", action: .delivered, status: "2.0.0"), index) }
        return LoadedMessage(try ControlFile.parse(octets))
    }

    static let moves: [QueueOperation.Verb] = [.move(channel: "local", host: "z/1"), .reroute]

    @Test("a move of what an agent has stands in the file until it is done; a restart carries it out", arguments: moves)
    func moveInHand(verb: QueueOperation.Verb) throws {
        let world = Self.world(.active)
        let bench = world.bench
        #expect(Self.apply(verb, world).inHand == 2)
        #expect(bench.moves.isEmpty)
        let wish: OperatorWish = verb == .reroute ? .reroute : .move(channel: "local", host: "z/1")
        #expect(bench.records.map(\.record.wish) == [wish, wish])
        #expect(OperatorWish(wish.text) == wish)
        bench.report(1, world.id, .ok, offset: 100, isHungry: false)
        bench.report(1, world.id, .deferred, offset: 200)
        #expect(bench.moves.map(\.offsets) == [[100, 200]])

        // The same, with a restart before the agent's end, and one recipient that it has delivered.
        let after = Bench()
        let loaded = try Self.file([(wish, 0), (wish, 1)], done: [0])
        #expect(loaded.recipients.map(\.attempts) == [0, 0])
        after.core.load(loaded)
        after.run()
        #expect(after.started.isEmpty)
        #expect(after.moves.map(\.offsets) == [[loaded.recipients[1].offset]])
        #expect(after.moves.first?.host == (verb == .reroute ? "" : "z/1"))
        // What is left where it was, because it cannot be routed, is tried there.
        after.core.moved(loaded)
        after.run()
        #expect(after.moves.count == 1 && after.started.count == 1)
    }

    @Test("a move that leaves its recipient where it is has an end in the file: it is not tried after a restart")
    func moveThatStays() throws {
        let bench = Bench()
        let asked = try Self.file([(.reroute, 0)])
        bench.core.load(asked)
        bench.run()
        #expect(bench.moves.count == 1)
        bench.core.moved(asked)
        bench.run()
        let end = OperatorWish.move(channel: "smtp", host: "b")
        #expect(bench.records.map(\.record.wish) == [end])
        #expect(bench.records.map(\.record.offset) == [asked.recipients[0].offset])
        #expect(bench.started.count == 1)

        let after = Bench()
        let later = OperatorWish.move(channel: "local", host: "z")
        let loaded = try Self.file([(.reroute, 0), (end, 0), (later, 1)])
        after.core.load(loaded)
        after.run()
        #expect(after.moves.map(\.host) == ["z"])
        #expect(after.moves.map(\.offsets) == [[loaded.recipients[1].offset]])
    }

    @Test("of several destinations that stand in the file none is forgotten: one comes after the other")
    func severalMoves() throws {
        let bench = Bench()
        let loaded = try Self.file([(.reroute, 0), (.move(channel: "local", host: "z"), 1)])
        bench.core.load(loaded)
        bench.run()
        #expect(bench.moves.map(\.offsets) == [[loaded.recipients[0].offset]])
        bench.core.moved(loaded)
        // The end of the first has the offsets of before the second.
        let actions = bench.core.takeActions()
        let order = actions.compactMap { action in
            switch action {
            case .append(_, _, let record, _): "end \(record.offset)"
            case .move(_, let offsets, _, let host, _): "move \(offsets) \(host)"
            default: nil as String?
            }
        }
        #expect(order == ["end \(loaded.recipients[0].offset)", "move [\(loaded.recipients[1].offset)] z"])
        #expect(bench.started.isEmpty)
    }

    @Test("what was asked for of a message with as many hosts as recipients is found without a search for each")
    func manyHosts() {
        let count = 20_000
        let bench = Bench()
        let note = OperatorNote(operatorName: "bob", reason: "", time: Bench.start)
        let move = LoadedRecipient.Wish(kind: .move(channel: "local", host: "z"), note: note)
        let remove = LoadedRecipient.Wish(kind: .remove, note: note)
        let recipients = (0..<count).map { number in
            var recipient = Bench.recipient("h\(number).test", 100 + 50 * number)
            if number % 2 == 0 { recipient.end = remove }
            recipient.move = move
            return recipient
        }
        let time = ContinuousClock().measure { bench.load(recipients) }
        // A search for each takes minutes.
        #expect(time < .seconds(20))
        bench.run()
        #expect(bench.moves.map(\.offsets.count) == [count / 2])
        #expect(bench.results.count == count / 2)
    }

    @Test("an end that was asked for comes before a move; a move to where the mail is already is none")
    func moveAndEnd() throws {
        let bench = Bench()
        let move = OperatorWish.move(channel: "local", host: "z")
        bench.core.load(try Self.file([(.remove, 0), (move, 0), (move, 1)], number: 1))
        bench.core.load(try Self.file([(.move(channel: "smtp", host: "b"), 0)], number: 2))
        bench.core.load(try Self.file([(.remove, 0), (.bounce, 1), (.reroute, 1)], number: 3))
        bench.run()
        let second = try Self.file([]).recipients[1].offset
        #expect(bench.moves.map(\.offsets) == [[second]])
        #expect(bench.started.count == 1)
        #expect(bench.finishes.map(\.ending) == [.reportAndRemove])
    }

    @Test("with records on their way nothing is handed out, and what is done to the message is done in order")
    func writes() {
        for verb in [QueueOperation.Verb.hold, .remove, .bounce] {
            let world = Self.world(.waiting, hasFastDisk: false)
            _ = Self.apply(verb, world)
            if verb == .hold {
                _ = Self.apply(.release, world)
                _ = Self.apply(.retry, world)
                #expect(world.bench.fed.count == 1)
                Self.confirm(world.bench)
                #expect(world.bench.fed.count == 2)
            } else {
                #expect(world.bench.finishes.count == 1)
                #expect(Self.apply(.remove, world).messages == 0)
            }
        }
    }

    @Test("retry tries what waits, before others of its destination, and not what is held")
    func retry() {
        let world = Self.world(.waiting)
        #expect(
            Self.apply(.retry, world)
                == {
                    var tally = OperationTally(); tally.examined = 1; tally.messages = 1; tally.recipients = 2;
                    return tally
                }())
        #expect(world.bench.fed.count == 2)
        let held = Self.world(.held)
        #expect(Self.apply(.retry, held).unchanged == 2)
        #expect(held.bench.fed.isEmpty)
    }

    @Test("a dry run changes nothing", arguments: Place.allCases)
    func dryRun(place: Place) {
        for verb in [QueueOperation.Verb.hold, .remove, .bounce, .retry, .move(channel: "x", host: "y"), .reroute] {
            let world = Self.world(place)
            let before = world.bench.core.describe(world.id)
            #expect(Self.apply(verb, world, isDryRun: true).recipients == 2)
            #expect(world.bench.core.describe(world.id) == before)
            #expect(world.bench.core.operators.verdicts.isEmpty && world.bench.core.operators.moves.isEmpty)
        }
    }

    @Test("what is meant is what all kinds of words say")
    func meaning() {
        let bench = Bench()
        let old = bench.load([Bench.recipient("a.test", 100), Bench.recipient("b.test", 200)], age: 7200, sender: "")
        let new = bench.load([Bench.recipient("a.test", 100)], sender: "Boss@Example.test")
        bench.core.isFrozen = true
        func meant(_ change: (inout QueueSelection) -> Void) -> [Int] {
            [old, new].map { id in
                var tally = OperationTally()
                bench.core.apply(QueueOperation(.count, Self.selection(change), Self.note), to: id, &tally)
                return tally.recipients
            }
        }
        #expect(meant { _ in } == [2, 1])
        #expect(meant { $0.senders = [GlobPattern("<>")] } == [2, 0])
        #expect(meant { $0.senders = [GlobPattern("boss@*")] } == [0, 1])
        #expect(meant { $0.senders = [GlobPattern("boss@*"), GlobPattern("<>")] } == [2, 1])
        #expect(meant { $0.hosts = [GlobPattern("b.*")] } == [1, 0])
        #expect(meant { $0.channels = [GlobPattern("local")] } == [0, 0])
        #expect(meant { $0.recipients = [GlobPattern("u[12]00@A.TEST")] } == [1, 1])
        #expect(meant { $0.olderThan = 3600 } == [2, 0])
        #expect(meant { $0.youngerThan = 3600 } == [0, 1])
        #expect(meant { $0.largerThan = 1001 } == [0, 0])
        #expect(meant { $0.smallerThan = 1000 } == [2, 1])
        #expect(meant { $0.ids = [new] } == [0, 1])
        #expect(meant { $0.statuses = [.waiting] } == [2, 1])
        #expect(meant { $0.statuses = [.active, .held] } == [0, 0])
    }
}
