import MailModel
import SpoolFormat

extension DeliveryScheduler {
    /// A control file has been read. `false`: the message is known already.
    @discardableResult
    public func load(_ loaded: LoadedMessage) -> Bool {
        guard let message = enter(loaded) else { return false }
        beginMove(message)
        return true
    }

    /// ``load(_:)`` without the move that stands in it. `nil`: the message is known already.
    func enter(_ loaded: LoadedMessage) -> QueuedMessage? {
        guard messages[loaded.id] == nil else { return nil }
        let message = QueuedMessage(loaded, sender: strings.shared(loaded.sender), known: now)
        messages[loaded.id] = message
        // With one recipient there is nothing to look up.
        var byThread: [ObjectIdentifier: Vertex] = [:]
        let isSorted = zip(loaded.recipients, loaded.recipients.dropFirst()).allSatisfy { $0.offset <= $1.offset }
        let recipients = isSorted ? loaded.recipients : loaded.recipients.sorted { $0.offset < $1.offset }
        for recipient in recipients { add(recipient, to: message, &byThread) }
        counters.receivedMessages += 1
        counters.receivedRecipients += message.open
        setTimes(loaded, of: message)
        restoreOperations(loaded, message)
        for vertex in message.vertices { join(vertex) }
        if let times = message.times { fire(times) }
        if message.open == 0 {
            finish(message)
        } else if loaded.recipients.contains(where: \.hasUntoldDelay) {
            report(message)
        } else {
            awaitReport(message)
        }
        return message
    }

    private func add(
        _ loaded: LoadedRecipient, to message: QueuedMessage, _ byThread: inout [ObjectIdentifier: Vertex]
    ) {
        let thread = thread(for: ThreadKey(channel: loaded.channel, host: loaded.host), asking: message.id)
        let vertex: Vertex
        if let last = message.vertices.last, last.thread === thread {
            vertex = last
        } else if let known = byThread[ObjectIdentifier(thread)] {
            vertex = known
        } else {
            vertex = Vertex(message: message, thread: thread, number: message.vertices.count)
            // Only from the second one on is there anything to tell apart.
            if let first = message.vertices.first {
                byThread[ObjectIdentifier(first.thread)] = first
                byThread[ObjectIdentifier(thread)] = vertex
            }
            message.vertices.append(vertex)
        }
        let state: QueuedRecipient.State
        switch loaded.outcome {
        case .pending: state = .open
        case .delivered: state = .delivered
        case .failed: state = .failed
        }
        vertex.recipients.append(QueuedRecipient(loaded, state: state, thread: thread, strings: &strings))
        message.recipientCount += 1
        switch loaded.outcome {
        case .pending:
            message.open += 1
            openRecipients += 1
            vertex.open += 1
            vertex.attempts = max(vertex.attempts, loaded.attempts)
            vertex.nextAttempt = max(vertex.nextAttempt, loaded.lastAttempt)
        case .delivered: break
        case .failed: message.failures += 1
        }
        if loaded.isUnreported { message.unreported += 1 }
        if loaded.hasUntoldDelay { message.unreported += 1 }
    }

    /// Puts a loaded vertex where it belongs.
    private func join(_ vertex: Vertex) {
        guard vertex.open > 0 else { return dropIfEmpty(vertex.thread) }
        vertex.thread.vertices += 1
        vertex.retryIndex = vertex.attempts
        guard vertex.message.times?.isHeld ?? false else { return enter(vertex) }
        vertex.state = .held
        vertex.thread.held += 1
    }

    /// From now on it may be delivered.
    func enter(_ vertex: Vertex) {
        if park(vertex) { return }
        let thread = vertex.thread
        if vertex.attempts > 0, let rules = thread.rules {
            var index = max(0, vertex.attempts - 1)
            vertex.nextAttempt = rules.nextAttempt(after: vertex.nextAttempt, index: &index, random: &random)
            // What should have ended while nobody was here is tried once more, now.
            if vertex.nextAttempt > now, vertex.message.deliverableFrom + rules.expiry > now {
                vertex.state = .waiting
                return arm(vertex)
            }
        }
        if let rules = thread.rules, thread.wakeup > now, !rules.wakesOnRestartOnly {
            // New mail for a host that is down: one more look, but not more often than once an interval.
            let earliest = max(now, thread.lastAttempt + rules.interval)
            if earliest < thread.wakeup {
                thread.wakeup = earliest
                armWakeup(thread)
            }
        }
        placeReady(vertex)
    }

    /// The control file has been read again after a ``SchedulerAction/reread(_:)``: what is done there is done. One that names other
    /// recipients takes the place of what was known; while an agent is at work on the message it changes nothing.
    public func reload(_ loaded: LoadedMessage) {
        guard let message = messages[loaded.id] else {
            load(loaded)
            return
        }
        guard !message.isFinishing else { return }
        let byOffset = Dictionary(loaded.recipients.map { ($0.offset, $0) }, uniquingKeysWith: { first, _ in first })
        let isSame =
            loaded.recipients.count == message.recipientCount
            && message.vertices.allSatisfy { vertex in
                vertex.recipients.allSatisfy { recipient in
                    guard let other = byOffset[Int(recipient.offset)] else { return false }
                    return other.channel == vertex.thread.key.channel && other.host == vertex.thread.key.host
                        && other.address == recipient.address
                }
            }
        guard isSame else {
            guard message.vertices.allSatisfy({ $0.state != .active && $0.writes == 0 }) else { return }
            drop(message)
            load(loaded)
            return
        }
        for vertex in message.vertices where vertex.state != .active && vertex.writes == 0 {
            for index in vertex.recipients.indices where !vertex.recipients[index].isDone {
                guard let found = byOffset[Int(vertex.recipients[index].offset)] else { continue }
                switch found.outcome {
                case .pending: continue
                case .delivered: close(vertex, index, as: .delivered)
                case .failed: close(vertex, index, as: .failed)
                }
                if found.isUnreported { message.unreported += 1 }
            }
            leaveIfDone(vertex)
        }
        if message.open == 0 { finish(message) }
    }

    /// The message is gone: somebody has removed its files.
    public func forget(_ id: SpoolID) {
        guard let message = messages[id], !message.isFinishing,
            message.vertices.allSatisfy({ $0.state != .active && $0.writes == 0 })
        else { return }
        drop(message)
    }

    func drop(_ message: QueuedMessage) {
        for vertex in message.vertices {
            for index in vertex.recipients.indices where !vertex.recipients[index].isDone {
                close(vertex, index, as: .delivered)
            }
            leaveIfDone(vertex)
        }
        timers.cancel(message)
        cancelSenderTimes(message)
        forgetOperations(message)
        messages[message.id] = nil
    }

    // MARK: Records, reports, the end

    /// A record of this vertex is in the file.
    public func recorded(_ id: SpoolID, vertex number: Int) {
        guard let message = messages[id], number < message.vertices.count else { return }
        let vertex = message.vertices[number]
        vertex.writes -= 1
        if vertex.writes == 0, vertex.state == .ready { makeRunnable(vertex.thread) }
    }

    /// A report has been submitted and marked.
    public func reported(_ id: SpoolID, count: Int) {
        guard let message = messages[id] else { return }
        message.isReporting = false
        message.unreported = max(0, message.unreported - count)
        awaitReport(message)
    }

    /// The files are gone.
    public func finished(_ id: SpoolID) {
        guard let message = messages[id], message.isFinishing else { return }
        timers.cancel(message)
        forgetOperations(message)
        messages[id] = nil
        counters.finishedMessages += 1
    }

    func finish(_ message: QueuedMessage) {
        guard !message.isFinishing else { return }
        message.isFinishing = true
        timers.cancel(message)
        cancelSenderTimes(message)
        let ending: SchedulerAction.Ending =
            message.unreported > 0
            ? .reportAndRemove : message.isErrorMessage && message.failures > 0 ? .doubleFault : .remove
        actions.append(.finish(id: message.id, ending: ending))
    }

    func awaitReport(_ message: QueuedMessage) {
        guard message.unreported > 0, message.open > 0, !message.isReporting, message.due == .max else { return }
        timers.arm(.message(message), at: now + reportInterval)
    }

    func report(_ message: QueuedMessage) {
        guard !message.isFinishing, message.unreported > 0 else { return }
        message.isReporting = true
        actions.append(.report(message.id))
    }
}
