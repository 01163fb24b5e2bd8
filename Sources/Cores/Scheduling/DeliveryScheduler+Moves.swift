import SpoolFormat

extension OperatorState {
    enum Target: Hashable {
        case thread(ThreadKey)
        case router

        init?(_ wish: OperatorWish) {
            switch wish {
            case .move(let channel, let host): self = .thread(ThreadKey(channel: channel, host: host))
            case .reroute: self = .router
            case .hold, .release, .remove, .bounce: return nil
            }
        }

        var wish: OperatorWish {
            switch self {
            case .thread(let key): .move(channel: key.channel, host: key.host)
            case .router: .reroute
            }
        }
    }

    /// Recipients of a message on their way to another destination: nothing of it is handed out meanwhile.
    struct Move {
        var target: Target
        var offsets: [Int]
        var note: OperatorNote
        /// It is in the hands of the host.
        var isBegun = false
    }
}

extension DeliveryScheduler {
    /// Returns how many are left as they are: the message is being moved already, or they are there.
    func move(
        _ message: QueuedMessage, _ meant: [Place], to target: OperatorState.Target, _ note: OperatorNote
    ) -> Int {
        guard operators.moves[message.id] == nil else { return meant.count }
        let places = meant.filter { target != .thread(message.vertices[$0.vertex].thread.key) }
        guard !places.isEmpty else { return meant.count }
        let offsets = places.map { Int(message.vertices[$0.vertex].recipients[$0.index].offset) }
        operators.moves[message.id] = OperatorState.Move(target: target, offsets: offsets.sorted(), note: note)
        // It may take hours until the agent has reported, and a restart must not forget it.
        if message.vertices.contains(where: { $0.state == .active }) {
            for place in places { write(target.wish, note, message.vertices[place.vertex], place.index) }
        }
        for vertex in message.vertices { keepBack(vertex) }
        beginMove(message)
        return meant.count - places.count
    }

    /// What stands in the file: it was asked for while an agent had the message. Of several destinations one comes now, and the others
    /// when it is done.
    func restoreMove(_ loaded: LoadedMessage, _ message: QueuedMessage, _ places: [Int: Place]) {
        var move: OperatorState.Move?
        for recipient in loaded.recipients {
            guard let wish = recipient.move, let target = OperatorState.Target(wish.kind),
                move == nil || move?.target == target,
                let place = places[recipient.offset], target != .thread(message.vertices[place.vertex].thread.key)
            else { continue }
            move = move ?? OperatorState.Move(target: target, offsets: [], note: wish.note)
            move?.offsets.append(recipient.offset)
        }
        guard var move else { return }
        move.offsets.sort()
        operators.moves[message.id] = move
    }

    /// When no agent has anything of the message: its control file is written anew, with other places for its recipients.
    func beginMove(_ message: QueuedMessage) {
        guard !operators.moves.isEmpty, let move = operators.moves[message.id], !move.isBegun,
            message.vertices.allSatisfy({ $0.state != .active })
        else { return }
        guard !message.isFinishing, message.open > 0 else { return }
        operators.moves[message.id]?.isBegun = true
        // From here to its end nothing may be written by the offsets of before.
        cancelSenderTimes(message)
        switch move.target {
        case .thread(let key):
            actions.append(
                .move(id: message.id, offsets: move.offsets, channel: key.channel, host: key.host, note: move.note))
        case .router: actions.append(.reroute(id: message.id, offsets: move.offsets, note: move.note))
        }
    }

    /// The control file is another one: what stands in it counts.
    public func moved(_ loaded: LoadedMessage) {
        guard let old = messages[loaded.id], let move = operators.moves[loaded.id] else { return }
        if old.isFinishing { return }
        drop(old)
        var loaded = loaded
        var stayed: [LoadedRecipient] = []
        // Whatever stands there of it still: it was done, as far as it can be.
        for index in loaded.recipients.indices {
            guard let wish = loaded.recipients[index].move, OperatorState.Target(wish.kind) == move.target else {
                continue
            }
            stayed.append(loaded.recipients[index])
            loaded.recipients[index].move = nil
        }
        guard let message = enter(loaded) else { return }
        endMove(stayed, message)
        beginMove(message)
    }

    /// They stay where they are, and the next scheduler shall not try it again: a move to where they are is none.
    private func endMove(_ recipients: [LoadedRecipient], _ message: QueuedMessage) {
        guard !recipients.isEmpty else { return }
        let places = Self.openPlaces(message)
        for recipient in recipients {
            guard let wish = recipient.move, let place = places[recipient.offset] else { continue }
            let target = OperatorState.Target.thread(message.vertices[place.vertex].thread.key)
            guard OperatorState.Target(wish.kind) != target else { continue }
            write(target.wish, wish.note, message.vertices[place.vertex], place.index)
        }
    }
}
