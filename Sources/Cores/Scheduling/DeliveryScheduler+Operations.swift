import Configuration
import SpoolFormat

/// What an operator wants done with the mail that he means.
public struct QueueOperation: Hashable, Sendable {
    public enum Verb: Hashable, Sendable {
        /// Nothing: they are counted.
        case count
        /// Tried now, before others of their destination.
        case retry
        /// Messages wait until they are released, whatever happens; all recipients of a message that has one that is meant.
        case hold
        /// Ends ``hold``.
        case release
        /// Recipients are gone; nobody is told.
        case remove
        /// Recipients fail with 5.7.0; their senders are told.
        case bounce
        /// Recipients are delivered by another channel, to another host.
        case move(channel: String, host: String)
        /// Recipients are routed again.
        case reroute
    }

    public var verb: Verb
    public var selection: QueueSelection
    public var note: OperatorNote
    /// Counts what would be done.
    public var isDryRun: Bool

    public init(_ verb: Verb, _ selection: QueueSelection, _ note: OperatorNote, isDryRun: Bool = false) {
        self.verb = verb
        self.selection = selection
        self.note = note
        self.isDryRun = isDryRun
    }
}

/// What became of it so far.
public struct OperationTally: Hashable, Sendable {
    /// Messages that were looked at, and those with something that was meant.
    public var examined = 0
    public var messages = 0
    public var recipients = 0
    /// Of ``recipients``: agents have them, so that they may be delivered still.
    public var inHand = 0
    /// Meant, and left as they were: held already or not, or nowhere to go.
    public var unchanged = 0

    public init() {}
}

extension DeliveryScheduler {
    /// Does what is asked for to one message; one that has gone meanwhile is passed over.
    public func apply(_ operation: QueueOperation, to id: SpoolID, _ tally: inout OperationTally) {
        guard let message = messages[id], !message.isFinishing else { return }
        tally.examined += 1
        let selection = operation.selection
        guard selection.admits(message, at: now) else { return }
        let meant = self.meant(message, selection)
        guard !meant.isEmpty else { return }
        tally.messages += 1
        tally.recipients += meant.count
        tally.inHand += meant.count { message.vertices[$0.vertex].recipients[$0.index].state == .awaiting }
        switch operation.verb {
        case _ where operators.moves[id] != nil: fallthrough
        // What is held would go: its new message knows nothing of that.
        case .reroute where operators.holds[id] != nil: fallthrough
        case .hold where operators.holds[id] != nil, .release where operators.holds[id] == nil:
            tally.unchanged += meant.count
            return
        case .count, .retry, .hold, .release, .remove, .bounce, .move, .reroute: break
        }
        guard !operation.isDryRun else { return }
        perform(operation, on: message, meant, &tally)
    }

    /// A recipient by its place.
    struct Place {
        let vertex: Int
        let index: Int
    }

    private func perform(
        _ operation: QueueOperation, on message: QueuedMessage, _ meant: [Place], _ tally: inout OperationTally
    ) {
        let note = operation.note
        switch operation.verb {
        case .count: break
        case .retry: tally.unchanged += retry(message, meant)
        case .hold: hold(message, note)
        case .release: release(message, note)
        case .remove: end(message, meant, .remove(note))
        case .bounce: end(message, meant, .bounce(note))
        case .move(let channel, let host):
            tally.unchanged += move(message, meant, to: .thread(ThreadKey(channel: channel, host: host)), note)
        case .reroute: tally.unchanged += move(message, meant, to: .router, note)
        }
    }

    /// Those of its recipients that are not done and are meant.
    func meant(_ message: QueuedMessage, _ selection: QueueSelection) -> [Place] {
        var places: [Place] = []
        for vertex in message.vertices where vertex.open > 0 && selection.admits(vertex.thread.key) {
            let isKeptBack = !selection.statuses.isEmpty && self.isKeptBack(vertex)
            for index in vertex.recipients.indices where !vertex.recipients[index].isDone {
                guard selection.admits(vertex.recipients[index]),
                    selection.statuses.isEmpty || selection.admits(state(vertex, index, isKeptBack: isKeptBack))
                else { continue }
                places.append(Place(vertex: vertex.number, index: index))
            }
        }
        return places
    }

    // MARK: Now

    /// Returns how many cannot be tried now: they are held, suspended, or at work.
    private func retry(_ message: QueuedMessage, _ meant: [Place]) -> Int {
        var numbers: [Int] = []
        var counts: [Int: Int] = [:]
        for place in meant {
            if numbers.last != place.vertex { numbers.append(place.vertex) }
            counts[place.vertex, default: 0] += 1
        }
        var unchanged = 0
        for vertex in numbers.map({ message.vertices[$0] }) {
            switch vertex.state {
            case .waiting:
                open(vertex.thread)
                placeReady(vertex, first: true)
                letGo(vertex.thread)
            case .ready:
                open(vertex.thread)
                letGo(vertex.thread)
            case .suspect: break
            case .held, .active, .done: unchanged += counts[vertex.number] ?? 0
            }
        }
        return unchanged
    }

    // MARK: Holding

    /// Messages that an operator holds.
    public var operatorHeldCount: Int { operators.holds.count }
    /// When the first of them began. Looks at each of them.
    public var oldestHold: UnixTime? { operators.holds.values.lazy.map(\.time).min() }

    private func hold(_ message: QueuedMessage, _ note: OperatorNote) {
        operators.holds[message.id] = note
        write(.hold, note, message)
        for vertex in message.vertices { keepBack(vertex) }
        actions.append(.log(.operated(id: message.id, verb: "hold", note: note)))
    }

    private func release(_ message: QueuedMessage, _ note: OperatorNote) {
        operators.holds[message.id] = nil
        write(.release, note, message)
        for vertex in message.vertices { letGoAgain(vertex) }
        actions.append(.log(.operated(id: message.id, verb: "release", note: note)))
    }

    /// With the first recipient that is not done.
    private func write(_ wish: OperatorWish, _ note: OperatorNote, _ message: QueuedMessage) {
        guard let vertex = message.vertices.first(where: { $0.open > 0 }),
            let index = vertex.recipients.firstIndex(where: { !$0.isDone })
        else { return }
        write(wish, note, vertex, index)
    }

    func write(_ wish: OperatorWish, _ note: OperatorNote, _ vertex: Vertex, _ index: Int) {
        record(
            vertex, index, ResultRecord.notary(of: wish, name: note.operatorName), note.reason, tag: nil,
            isReported: true)
    }

    // MARK: The end

    private func end(_ message: QueuedMessage, _ meant: [Place], _ verdict: OperatorState.Verdict) {
        for place in meant {
            let vertex = message.vertices[place.vertex]
            if vertex.recipients[place.index].state == .awaiting {
                promise(verdict, vertex, place.index)
            } else {
                carryOut(verdict, vertex, place.index)
            }
        }
        for vertex in message.vertices { leaveIfDone(vertex) }
        if message.open == 0 { finish(message) }
    }

    /// An agent has it: if it does not deliver, the verdict stands. The record keeps it over a restart.
    private func promise(_ verdict: OperatorState.Verdict, _ vertex: Vertex, _ index: Int) {
        let key = OperatorState.JobKey(id: vertex.message.id, vertex: vertex.number)
        operators.verdicts[key, default: [:]][Int(vertex.recipients[index].offset)] = verdict
        switch verdict {
        case .remove(let note): write(.remove, note, vertex, index)
        case .bounce(let note): write(.bounce, note, vertex, index)
        }
    }

    func carryOut(_ verdict: OperatorState.Verdict, _ vertex: Vertex, _ index: Int) {
        let address = vertex.recipients[index].address
        switch verdict {
        case .remove(let note):
            let text = "removed by \(note.text)"
            settle(
                vertex, index,
                Notary(finalRecipient: address, action: .failed, status: "5.7.0", agent: ResultRecord.operatorAgent),
                text: text, .removed, as: .removed, hasNews: false)
        case .bounce(let note):
            let text = note.reason.isEmpty ? "returned by the operator" : note.reason
            settle(
                vertex, index,
                Notary(
                    finalRecipient: address, action: .failed, status: "5.7.0", diagnostic: "x-local; 550 (\(text))",
                    agent: ResultRecord.operatorAgent), text: text, .failed, as: .failed, hasNews: true)
            actions.append(.log(.operated(id: vertex.message.id, verb: "bounce", note: note)))
        }
    }

    /// Its agent has no more to say: what it has left of what was to go goes.
    func carryOutPromises(_ vertex: Vertex) {
        guard !operators.verdicts.isEmpty,
            let verdicts = operators.verdicts.removeValue(
                forKey: OperatorState.JobKey(id: vertex.message.id, vertex: vertex.number))
        else { return }
        for (offset, verdict) in verdicts.sorted(by: { $0.key < $1.key }) {
            guard let index = vertex.index(of: offset), vertex.recipients[index].state == .open else { continue }
            carryOut(verdict, vertex, index)
        }
        if vertex.message.open == 0 { finish(vertex.message) }
    }

    /// The message is gone, or will be read again.
    func forgetOperations(_ message: QueuedMessage) {
        if !operators.holds.isEmpty { operators.holds[message.id] = nil }
        if !operators.moves.isEmpty { operators.moves[message.id] = nil }
        guard !operators.verdicts.isEmpty else { return }
        for vertex in message.vertices {
            operators.verdicts[OperatorState.JobKey(id: message.id, vertex: vertex.number)] = nil
        }
    }

    /// The recipients that are not done, by their offsets.
    static func openPlaces(_ message: QueuedMessage) -> [Int: Place] {
        var places: [Int: Place] = [:]
        for vertex in message.vertices {
            for index in vertex.recipients.indices where vertex.recipients[index].state == .open {
                places[Int(vertex.recipients[index].offset)] = Place(vertex: vertex.number, index: index)
            }
        }
        return places
    }

    /// What stands in the file.
    func restoreOperations(_ loaded: LoadedMessage, _ message: QueuedMessage) {
        if let hold = loaded.hold, message.open > 0 { operators.holds[message.id] = hold }
        guard loaded.recipients.contains(where: { $0.end != nil || $0.move != nil }) else { return }
        var places = Self.openPlaces(message)
        for recipient in loaded.recipients {
            guard let wish = recipient.end, let place = places.removeValue(forKey: recipient.offset) else { continue }
            let vertex = message.vertices[place.vertex]
            switch wish.kind {
            case .remove: carryOut(.remove(wish.note), vertex, place.index)
            case .bounce: carryOut(.bounce(wish.note), vertex, place.index)
            case .hold, .release, .move, .reroute: continue
            }
        }
        restoreMove(loaded, message, places)
    }
}
