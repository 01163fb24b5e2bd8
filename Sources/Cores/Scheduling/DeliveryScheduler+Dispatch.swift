import DequeModule
import SpoolFormat

extension DeliveryScheduler {
    func markDirty(_ pool: AgentPool) {
        guard !pool.isDirty else { return }
        pool.isDirty = true
        dirtyPools.append(pool)
    }

    /// Puts the thread into its pool's round if it can run.
    func makeRunnable(_ thread: DeliveryThread) {
        guard let pool = thread.pool else { return }
        if !thread.isQueued {
            if thread.canRun(at: now) { enqueue(thread, in: pool) }
        } else if let priority = thread.ready.first?.priority, priority > thread.queuedPriority,
            pool.runnable.raise(to: priority, where: { $0 === thread })
        {
            thread.queuedPriority = priority
        }
        if thread.isQueued { markDirty(pool) }
    }

    /// Its turn comes with the priority of what it would hand out first.
    private func enqueue(_ thread: DeliveryThread, in pool: AgentPool) {
        thread.isQueued = true
        thread.queuedPriority = thread.ready.first?.priority ?? 0
        pool.runnable.append(thread, priority: thread.queuedPriority, since: now)
    }

    /// Somewhere a job has ended: what waits for a limit may go on, the pool that got something least recently first.
    func unblockPools() {
        guard !blockedPools.isEmpty else { return }
        let pools = blockedPools.sorted { $0.servedAt < $1.servedAt }
        blockedPools.removeAll(keepingCapacity: true)
        for pool in pools {
            pool.isBlocked = false
            markDirty(pool)
        }
    }

    func dispatch() {
        guard !isStopped, !isFrozen, !isPaused else { return }
        while !dirtyPools.isEmpty {
            let pools = dirtyPools
            dirtyPools.removeAll(keepingCapacity: true)
            for pool in pools {
                pool.isDirty = false
                serve(pool)
            }
        }
    }

    private func serve(_ pool: AgentPool) {
        serveSuspects(pool)
        while let turn = pool.runnable.next({ judge($0, in: pool) }) {
            let thread = turn.element
            if isAtLimit(pool) {
                handAhead(pool)
                return block(pool)
            }
            guard let agent = agent(for: thread, in: pool) else {
                startAgent(pool, host: thread.key.host)
                break
            }
            pool.runnable.remove(turn)
            thread.isQueued = false
            if let vertex = nextReady(thread) { feed(vertex, to: agent, counted: true) }
            if thread.canRun(at: now) { enqueue(thread, in: pool) }
        }
        handAhead(pool)
    }

    private func isAtLimit(_ pool: AgentPool) -> Bool {
        total.active >= pool.rules.maximumJobs || pool.channel.active >= pool.rules.maximumChannelJobs
            || pool.ring.active >= pool.rules.maximumRingJobs
    }

    private func block(_ pool: AgentPool) {
        guard !pool.isBlocked else { return }
        pool.isBlocked = true
        blockedPools.append(pool)
    }

    private func judge(_ thread: DeliveryThread, in pool: AgentPool) -> TurnQueue<DeliveryThread>.Verdict {
        if thread.canRun(at: now), thread.pool === pool, thread.ready.next(judge) != nil { return .take }
        thread.isQueued = false
        if thread.ready.isEmpty { thread.isReleased = false }
        return .drop
    }

    /// What has left the queue meanwhile is dropped, what is just being recorded waits.
    private func judge(_ vertex: Vertex) -> TurnQueue<Vertex>.Verdict {
        guard vertex.state == .ready, !park(vertex) else { return .drop }
        return vertex.writes == 0 ? .take : .later
    }

    private func nextReady(_ thread: DeliveryThread) -> Vertex? { thread.ready.take(judge) }

    /// One that has a credit: the one that had the thread's last job if it can, for its open connection.
    private func agent(for thread: DeliveryThread, in pool: AgentPool) -> Agent? {
        if let last = agents[thread.lastAgent], last.pool === pool, isFree(last) { return last }
        return pool.agents.first(where: isFree)
    }

    private func isFree(_ agent: Agent) -> Bool { agent.credits > 0 && !agent.isRetiring && !agent.isReserved }

    /// A process more, unless one is on its way: its credits are not known yet.
    @discardableResult
    private func startAgent(_ pool: AgentPool, host: String) -> Agent? {
        guard pool.starting == 0 else { return nil }
        if pool.notBefore > now {
            timers.arm(.pool(pool), at: pool.notBefore)
            return nil
        }
        lastAgent += 1
        let agent = Agent(number: lastAgent, pool: pool)
        agents[lastAgent] = agent
        pool.agents.append(agent)
        pool.starting += 1
        counters.startedAgents += 1
        actions.append(.startAgent(agent: lastAgent, channel: pool.key.channel, host: pool.key.host ?? host))
        return agent
    }

    /// Further jobs of a thread to an agent that is busy with just this thread, when no other thread waits for its next credit.
    private func handAhead(_ pool: AgentPool) {
        guard pool.rules.overfeed > 0, pool.starting == 0, pool.runnable.isEmpty || pool.runnable.count == 1 else {
            return
        }
        for agent in pool.agents where agent.credits <= 0 && !agent.isRetiring && !agent.isReserved {
            guard let thread = agent.jobs.first?.thread, pool.runnable.first?.element ?? thread === thread,
                thread.pool === pool, thread.wakeup <= now, !thread.isProbing,
                agent.jobs.allSatisfy({ $0.thread === thread })
            else { continue }
            while -agent.credits < pool.rules.overfeed, let vertex = nextReady(thread) {
                feed(vertex, to: agent, counted: false)
            }
        }
    }

    /// Jobs that agents have died with, each alone on an agent of its own.
    private func serveSuspects(_ pool: AgentPool) {
        while let vertex = pool.suspects.first {
            guard vertex.state == .suspect else {
                pool.suspects.removeFirst()
                continue
            }
            if isAtLimit(pool) { return block(pool) }
            guard let agent = pool.agents.first(where: { $0.isReserved }) else {
                startAgent(pool, host: vertex.thread.key.host)?.isReserved = true
                return
            }
            guard agent.jobs.isEmpty, agent.credits > 0, vertex.writes == 0 else { return }
            pool.suspects.removeFirst()
            feed(vertex, to: agent, counted: true)
        }
        for agent in pool.agents where agent.isReserved && agent.jobs.isEmpty { agent.isReserved = false }
    }

    private func feed(_ vertex: Vertex, to agent: Agent, counted: Bool) {
        let thread = vertex.thread
        timers.cancel(vertex)
        if agent.jobs.isEmpty { timers.arm(.agent(agent), at: now + Self.longestJob) }
        vertex.state = .active
        vertex.agent = agent
        vertex.attempts += 1
        vertex.hasAttemptHere = true
        vertex.lastAttempt = now
        vertex.isHeldByThread = false
        for index in vertex.recipients.indices where vertex.recipients[index].state == .open {
            vertex.recipients[index].state = .awaiting
            vertex.awaiting += 1
        }
        thread.attempts += 1
        thread.lastAttempt = now
        thread.lastAgent = agent.number
        agent.credits -= 1
        agent.jobs.append(vertex)
        jobsHandedOut += 1
        agent.pool.servedAt = jobsHandedOut
        if counted { count(vertex) }
        actions.append(.feed(agent: agent.number, id: vertex.message.id, host: thread.key.host))
        if thread.ready.isEmpty { thread.isReleased = false }
    }

    func count(_ vertex: Vertex) {
        guard !vertex.isCounted, let pool = vertex.agent?.pool else { return }
        vertex.isCounted = true
        vertex.thread.active += 1
        pool.channel.active += 1
        total.active += 1
        // After a new configuration the thread may belong to another ring than its agent did.
        (vertex.thread.pool ?? pool).ring.active += 1
    }

    func uncount(_ vertex: Vertex) {
        guard vertex.isCounted, let pool = vertex.agent?.pool else { return }
        vertex.isCounted = false
        vertex.thread.active -= 1
        pool.channel.active -= 1
        total.active -= 1
        (vertex.thread.pool ?? pool).ring.active -= 1
        unblockPools()
    }
}
