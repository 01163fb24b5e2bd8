import AgentProtocol
import DequeModule

extension DeliveryScheduler {
    /// The threads that an ETRN names and that have a clause, and their jobs that no agent has: what ``start(_:)`` lets go. Looks at
    /// threads alone, so that a stranger may ask.
    public func waiting(for target: ETRNTarget) -> (threads: Int, jobs: Int) {
        var found = (threads: 0, jobs: 0)
        for thread in threads.values where isMeant(thread, by: target) {
            let jobs = thread.vertices - thread.held - thread.handedOut
            if jobs > 0 {
                found.threads += 1
                found.jobs += jobs
            }
        }
        return found
    }

    /// Tries now what waits in the threads that these name, those of `queueonly` clauses too (scheduler.md §2.4). May look at
    /// every message: once for all of them.
    public func start(_ targets: some Collection<ETRNTarget>) {
        let matched = inOrder(threads.values.filter { thread in targets.contains { isMeant(thread, by: $0) } })
        if matched.contains(where: hasWaiting) {
            _ = release(matched)
        } else {
            for thread in matched {
                open(thread)
                letGo(thread)
            }
        }
    }

    private func isMeant(_ thread: DeliveryThread, by target: ETRNTarget) -> Bool {
        thread.rules != nil && target.matches(channel: thread.key.channel, host: thread.key.host)
    }

    /// Whether a job of it waits for its own next attempt: only its message knows it.
    private func hasWaiting(_ thread: DeliveryThread) -> Bool {
        let ready = thread.ready.elements.count { $0.state == .ready }
        let suspect = thread.pool?.suspects.count { $0.state == .suspect && $0.thread === thread } ?? 0
        return thread.vertices - thread.held > ready + suspect + thread.handedOut
    }

    /// In one order, so that the same events lead to the same run.
    func inOrder(_ threads: some Sequence<DeliveryThread>) -> [DeliveryThread] {
        threads.sorted { ($0.key.channel, $0.key.host) < ($1.key.channel, $1.key.host) }
    }

    /// Ends all waiting in these threads, which are in their order. Returns the number of their recipients that no agent has.
    func release(_ matched: [DeliveryThread]) -> Int {
        guard !matched.isEmpty else { return 0 }
        var released = 0
        let keys = Set(matched.map(\.key))
        for thread in matched { open(thread) }
        // In the order of their arrival, whatever the order of the table.
        let affected = messages.values.filter { $0.vertices.contains { keys.contains($0.thread.key) } }
        for message in affected.sorted(by: { $0.id < $1.id }) {
            for vertex in message.vertices where keys.contains(vertex.thread.key) {
                switch vertex.state {
                case .waiting: placeReady(vertex)
                case .ready, .suspect: break
                // Of those that are held their senders have set the time.
                case .held, .active, .done: continue
                }
                released += vertex.open
            }
        }
        for thread in matched { letGo(thread) }
        return released
    }

    func open(_ thread: DeliveryThread) {
        thread.wakeup = 0
        thread.isReleased = true
        armWakeup(thread)
    }

    func letGo(_ thread: DeliveryThread) {
        // A queue-only thread with nothing to do waits for the next ETRN, not for the next message.
        if thread.ready.isEmpty { thread.isReleased = false }
        makeRunnable(thread)
    }
}
