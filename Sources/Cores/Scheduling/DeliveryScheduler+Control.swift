extension DeliveryScheduler {
    /// Tries now what waits in the threads that match. Returns the number of their recipients.
    public func flush(_ matches: (_ channel: String, _ host: String) -> Bool) -> Int {
        release(inOrder(threads.values.filter { matches($0.key.channel, $0.key.host) }))
    }

    /// New rules hold from the next attempt on. Running agents finish what they have and end.
    public func configure(reportInterval: Int64, rules: @escaping RulesLookup) {
        self.rules = rules
        self.reportInterval = reportInterval
        for agent in agents.values.sorted(by: { $0.number < $1.number }) { retire(agent) }
        let suspects = pools.values.flatMap(\.suspects).sorted {
            ($0.message.id, $0.number) < ($1.message.id, $1.number)
        }
        for pool in pools.values {
            pool.runnable.removeAll()
            pool.voidPlaces = 0
            pool.suspects.removeAll()
            timers.cancel(pool)
        }
        total.removeWaiters()
        for channel in channels.values { channel.removeWaiters() }
        pools = [:]
        rings = [:]
        dirtyPools = []
        let threads = inOrder(threads.values)
        for thread in threads {
            let had = thread.rules != nil
            assignPool(thread)
            thread.isQueued = false
            setRate(thread)
            // What a lower limit does not reach any more is nothing to have learned.
            if thread.window >= thread.rules?.maximumThreadJobs ?? 0 { thread.window = .max }
            thread.pool?.ring.active += thread.active
            if thread.rules == nil, had, let vertex = thread.ready.elements.first(where: { $0.state == .ready }) {
                let key = thread.key
                actions.append(.log(.unmatched(channel: key.channel, host: key.host, id: vertex.message.id)))
            }
        }
        for vertex in suspects where vertex.state == .suspect {
            if let pool = vertex.thread.pool { pool.suspects.append(vertex) } else { placeReady(vertex) }
        }
        for message in messages.values.sorted(by: { $0.id < $1.id }) {
            for vertex in message.vertices where vertex.state != .done { arm(vertex) }
        }
        for thread in threads { makeRunnable(thread) }
    }
}
