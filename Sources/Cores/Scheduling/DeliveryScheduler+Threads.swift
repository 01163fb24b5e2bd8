import SpoolFormat

/// Threads and pools come with the first mail for them and go with the last.
extension DeliveryScheduler {
    func thread(for key: ThreadKey, asking id: SpoolID) -> DeliveryThread {
        if let known = threads[key] { return known }
        let host = hosts[key.host] ?? HostJobs()
        if host.members.isEmpty { hosts[key.host] = host }
        let thread = DeliveryThread(key: key, host: host)
        host.members.append(HostJobs.Member(thread: thread))
        threads[key] = thread
        assignPool(thread)
        if let resting = restingRates.removeValue(forKey: key) {
            thread.handOuts = resting.window
            setRate(thread)
        }
        if thread.rules == nil { actions.append(.log(.unmatched(channel: key.channel, host: key.host, id: id))) }
        return thread
    }

    func assignPool(_ thread: DeliveryThread) {
        thread.pool = nil
        guard let rules = rules(thread.key.channel, thread.key.host) else { return }
        let key = AgentPool.Key(
            rules: rules, channel: thread.key.channel, host: rules.isAgentPerHost ? thread.key.host : nil)
        if let pool = pools[key] {
            thread.pool = pool
            pool.threads += 1
            return
        }
        let ring = rings[rules.ring] ?? JobCount()
        rings[rules.ring] = ring
        let channel = channels[thread.key.channel] ?? JobCount()
        channels[thread.key.channel] = channel
        let pool = AgentPool(key: key, ring: ring, channel: channel)
        pool.threads = 1
        pools[key] = pool
        thread.pool = pool
    }

    /// A thread without mail is forgotten, and with it that its host was down.
    func dropIfEmpty(_ thread: DeliveryThread) {
        guard thread.vertices == 0 else { return }
        thread.ready.removeAll()
        timers.cancel(thread)
        guard threads[thread.key] === thread else { return }
        threads[thread.key] = nil
        thread.host.members.removeAll { $0.thread === thread }
        if thread.host.members.isEmpty { hosts[thread.key.host] = nil }
        rest(thread)
        guard let pool = thread.pool else { return }
        pool.threads -= 1
        dropIfEmpty(pool)
    }

    /// Of a pool that serves one host nothing is kept when its mail and its agents are gone.
    func dropIfEmpty(_ pool: AgentPool) {
        guard pool.key.host != nil, pool.threads == 0, pool.agents.isEmpty, pools[pool.key] === pool else { return }
        timers.cancel(pool)
        pools[pool.key] = nil
    }
}
