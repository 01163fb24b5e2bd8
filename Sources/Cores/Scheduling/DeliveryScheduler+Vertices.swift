/// Where a vertex waits, and its end.
extension DeliveryScheduler {
    func placeReady(_ vertex: Vertex, first: Bool = false) {
        if park(vertex) { return }
        vertex.state = .ready
        let thread = vertex.thread
        let message = vertex.message
        if thread.rules?.isAgeOrdered ?? false {
            // What has left the queue stays in its place until its turn; its message may be gone.
            thread.ready.insert(vertex, priority: message.priority, since: message.deliverableFrom) {
                $0.state == .done || $0.message.id < message.id
            }
        } else if first {
            thread.ready.prepend(vertex, priority: message.priority, since: now)
        } else {
            thread.ready.append(vertex, priority: message.priority, since: now)
        }
        arm(vertex)
        makeRunnable(thread)
    }

    /// Sets the vertex's timer to its next event; without rules there is none.
    func arm(_ vertex: Vertex) {
        guard let rules = vertex.thread.rules else { return timers.cancel(vertex) }
        var last = vertex.message.deliverableFrom + rules.expiry
        if !vertex.hasBeenTried { last = max(last, vertex.keptUntil) + (vertex.isOverdue ? lateness(rules) : 0) }
        switch vertex.state {
        case .waiting: timers.arm(.vertex(vertex), at: min(vertex.nextAttempt, last, nextNotice(vertex)))
        case .ready, .suspect: timers.arm(.vertex(vertex), at: min(last, nextNotice(vertex)))
        case .held, .active, .done: timers.cancel(vertex)
        }
    }

    private func lateness(_ rules: ThreadRules) -> Int64 { rules.expiry2 > 0 ? rules.expiry2 : 86400 }

    func hasExpired(_ vertex: Vertex) -> Bool {
        guard let rules = vertex.thread.rules, !isKeptBack(vertex) else { return false }
        let expiry = vertex.message.deliverableFrom + rules.expiry
        return now >= (vertex.hasBeenTried ? expiry : max(expiry, vertex.keptUntil) + lateness(rules))
    }

    func fire(_ vertex: Vertex) {
        if park(vertex) { return }
        if hasExpired(vertex) { return expire(vertex) }
        if nextNotice(vertex) <= now { tellDelays(vertex.message) }
        switch vertex.state {
        case .waiting where vertex.nextAttempt <= now: placeReady(vertex)
        case .ready, .waiting, .suspect:
            if !vertex.isOverdue, let rules = vertex.thread.rules, now >= vertex.message.deliverableFrom + rules.expiry
            {
                vertex.isOverdue = true
                vertex.thread.overdue += 1
            }
            arm(vertex)
        case .held, .active, .done: break
        }
    }

    /// Marks one recipient as done.
    func close(_ vertex: Vertex, _ index: Int, as state: QueuedRecipient.State) {
        if vertex.recipients[index].state == .awaiting { vertex.awaiting -= 1 }
        vertex.recipients[index].state = state
        vertex.open -= 1
        vertex.message.open -= 1
        openRecipients -= 1
        counters.finishedRecipients += 1
        if state == .failed { vertex.message.failures += 1 }
    }

    func leaveIfDone(_ vertex: Vertex) {
        guard vertex.open == 0, vertex.state != .done, vertex.state != .active else { return }
        let thread = vertex.thread
        if vertex.state == .held { thread.held -= 1 }
        vertex.state = .done
        timers.cancel(vertex)
        if vertex.isOverdue { thread.overdue -= 1 }
        thread.vertices -= 1
        dropIfEmpty(thread)
    }
}
