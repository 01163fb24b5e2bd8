import SpoolFormat

extension OperatorState {
    enum Target: Hashable {
        case thread(ThreadKey)
        case router
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
        var offsets: [Int] = []
        for place in meant {
            let vertex = message.vertices[place.vertex]
            if case .thread(let key) = target, vertex.thread.key == key { continue }
            offsets.append(Int(vertex.recipients[place.index].offset))
        }
        guard !offsets.isEmpty else { return meant.count }
        operators.moves[message.id] = OperatorState.Move(target: target, offsets: offsets.sorted(), note: note)
        for vertex in message.vertices { keepBack(vertex) }
        beginMove(message)
        return meant.count - offsets.count
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
        guard let message = messages[loaded.id], operators.moves[loaded.id] != nil else { return }
        if message.isFinishing { return }
        drop(message)
        load(loaded)
    }
}
