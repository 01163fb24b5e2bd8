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
        } else if let priority = thread.ready.first?.priority, priority > thread.queuedPriority {
            // Its place among perhaps a hundred thousand is not looked for.
            pool.voidPlaces += 1
            place(thread, in: pool, priority: priority)
        }
        if thread.isQueued { markDirty(pool) }
    }

    /// Its turn comes with the priority of what it would hand out first.
    private func enqueue(_ thread: DeliveryThread, in pool: AgentPool) {
        thread.isQueued = true
        thread.queuedSince = now
        place(thread, in: pool, priority: thread.ready.first?.priority ?? 0)
    }

    private func place(_ thread: DeliveryThread, in pool: AgentPool, priority: Int) {
        thread.queuedPriority = priority
        thread.placeNumber &+= 1
        pool.runnable.append(
            DeliveryThread.Place(thread: thread, number: thread.placeNumber), priority: priority,
            since: thread.queuedSince)
        guard pool.voidPlaces > 1024 + pool.runnable.count / 2 else { return }
        pool.runnable.removeAll(where: \.isVoid)
        pool.voidPlaces = 0
    }

    /// Somewhere a job has ended: who waits for a limit may go on, the pool that got something least recently first. One of each
    /// limit: when it has been served the next one is asked, so that ten thousand that wait cost no more than one.
    func unblock(_ count: JobCount) {
        for pool in count.takeWaiters() { markDirty(pool) }
    }

    private func unblock(beside pool: AgentPool) {
        unblock(total)
        unblock(pool.channel)
        unblock(pool.ring)
    }

    /// Jobs and threads that a call takes out of their queues without handing them out: some milliseconds. Each suspension is
    /// compared with each job.
    static let dropsOfCall = 4096

    func dispatch() {
        isBehind = false
        guard !isStopped, !isFrozen, !isPaused else { return }
        dropsLeft = Self.dropsOfCall / (1 + suspensions.entries.count / 8)
        while !dirtyPools.isEmpty {
            var pools = dirtyPools[...]
            dirtyPools = []
            while let pool = pools.popFirst() {
                pool.isDirty = false
                serve(pool)
                unblock(beside: pool)
                guard isBehind else { continue }
                // The others come first next time.
                markDirty(pool)
                dirtyPools = pools + dirtyPools
                return
            }
        }
    }

    /// `true`: no more of it in this call.
    private func isAtEnd() -> Bool {
        if dropsLeft <= 0 { isBehind = true }
        return isBehind
    }

    private func serve(_ pool: AgentPool) {
        serveSuspects(pool)
        while let turn = pool.runnable.next({ judge($0, in: pool) }) {
            let thread = turn.element.thread
            if block(pool, forStart: false) { return handAhead(pool) }
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

    /// `true`: the pool is at a limit, and waits until there is room.
    private func block(_ pool: AgentPool, forStart: Bool) -> Bool {
        wait(pool, for: total, pool.rules.maximumJobs, forStart)
            || wait(pool, for: pool.channel, pool.rules.maximumChannelJobs, forStart)
            || wait(pool, for: pool.ring, pool.rules.maximumRingJobs, forStart)
    }

    private func wait(_ pool: AgentPool, for count: JobCount, _ limit: Int, _ forStart: Bool) -> Bool {
        if count.hasRoom(limit, forStart: forStart) { return false }
        count.append(pool, limit: limit, forStart: forStart)
        return true
    }

    private func judge(_ place: DeliveryThread.Place, in pool: AgentPool) -> TurnQueue<DeliveryThread.Place>.Verdict {
        if isAtEnd() { return .stop }
        let thread = place.thread
        guard !place.isVoid else {
            dropsLeft -= 1
            pool.voidPlaces -= 1
            return .drop
        }
        if thread.canRun(at: now), thread.pool === pool {
            if thread.ready.next(judge) != nil { return .take }
            if isBehind { return .stop }
        }
        dropsLeft -= 1
        thread.isQueued = false
        if thread.ready.isEmpty { thread.isReleased = false }
        return .drop
    }

    /// What has left the queue meanwhile is dropped, what is just being recorded waits.
    private func judge(_ vertex: Vertex) -> TurnQueue<Vertex>.Verdict {
        if isAtEnd() { return .stop }
        guard vertex.state == .ready, !park(vertex) else {
            dropsLeft -= 1
            return .drop
        }
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
        if block(pool, forStart: true) { return nil }
        makeRoom(for: pool)
        lastAgent += 1
        let agent = Agent(number: lastAgent, pool: pool)
        agents[lastAgent] = agent
        pool.agents.append(agent)
        pool.starting += 1
        for count in [total, pool.channel, pool.ring] { count.starting += 1 }
        counters.startedAgents += 1
        actions.append(.startAgent(agent: lastAgent, channel: pool.key.channel, host: pool.key.host ?? host))
        return agent
    }

    /// Agents with nothing to do go when there are as many processes as jobs are allowed: those of hosts that were served a moment ago
    /// would otherwise be kept for ``ThreadRules/idleLimit``, one for each host.
    private func makeRoom(for pool: AgentPool) {
        guard agents.count >= pool.rules.maximumJobs else { return }
        let idle = agents.values.filter {
            $0.jobs.isEmpty && !$0.isStarting && !$0.isRetiring && !$0.isReserved && $0.pool.waitingThreads == 0
        }
        if let oldest = idle.min(by: { ($0.lastCredit, $0.number) < ($1.lastCredit, $1.number) }) { retire(oldest) }
    }

    /// Further jobs of a thread to an agent that is busy with just this thread, when no other thread waits for its next credit.
    private func handAhead(_ pool: AgentPool) {
        guard pool.rules.overfeed > 0, pool.starting == 0, pool.waitingThreads <= 1 else {
            return
        }
        for agent in pool.agents
        where agent.credits <= 0 && agent.owed == 0 && !agent.isRetiring && !agent.isReserved {
            guard let thread = agent.jobs.first?.thread, pool.runnable.first?.element.thread ?? thread === thread,
                thread.pool === pool, thread.wakeup <= now, !thread.isProbing,
                !agent.jobs.contains(where: \.isHeldByThread),
                agent.jobs.allSatisfy({ $0.thread === thread })
            else { continue }
            while -agent.credits < pool.rules.overfeed, thread.rateOpens <= now, let vertex = nextReady(thread) {
                feed(vertex, to: agent, counted: false)
            }
        }
    }

    /// Jobs that agents have died with, each alone on an agent of its own.
    private func serveSuspects(_ pool: AgentPool) {
        pool.suspects.removeAll { $0.state != .suspect }
        while let index = pool.suspects.firstIndex(where: { $0.thread.hasRoom(at: now) }) {
            let vertex = pool.suspects[index]
            if park(vertex) {
                pool.suspects.remove(at: index)
                continue
            }
            if block(pool, forStart: false) { return }
            guard let agent = pool.agents.first(where: { $0.isReserved }) else {
                startAgent(pool, host: vertex.thread.key.host)?.isReserved = true
                return
            }
            guard agent.jobs.isEmpty, agent.credits > 0, vertex.writes == 0 else { return }
            pool.suspects.remove(at: index)
            feed(vertex, to: agent, counted: true)
        }
        guard pool.suspects.isEmpty else { return }
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
        thread.handedOut += 1
        thread.attempts += 1
        thread.lastAttempt = now
        thread.lastAgent = agent.number
        agent.credits -= 1
        agent.jobs.append(vertex)
        jobsHandedOut += 1
        agent.pool.servedAt = jobsHandedOut
        if counted { count(vertex) }
        noteHandOut(thread)
        actions.append(
            .feed(
                agent: agent.number, id: vertex.message.id, host: thread.key.host,
                messagesPerConnection: agent.pool.rules.messagesPerConnection))
        if thread.ready.isEmpty { thread.isReleased = false }
    }

    func count(_ vertex: Vertex) {
        guard !vertex.isCounted, let pool = vertex.agent?.pool else { return }
        vertex.isCounted = true
        vertex.thread.active += 1
        vertex.thread.host.active += 1
        pool.channel.active += 1
        total.active += 1
        // After a new configuration the thread may belong to another ring than its agent did.
        (vertex.thread.pool ?? pool).ring.active += 1
    }

    func uncount(_ vertex: Vertex) {
        guard vertex.isCounted, let pool = vertex.agent?.pool else { return }
        vertex.isCounted = false
        vertex.thread.active -= 1
        vertex.thread.host.active -= 1
        pool.channel.active -= 1
        total.active -= 1
        let ring = (vertex.thread.pool ?? pool).ring
        ring.active -= 1
        unblock(total)
        unblock(pool.channel)
        unblock(ring)
        // The other channels of the host come first: the thread itself is asked when its job has been put away.
        for member in vertex.thread.host.members where member.thread !== vertex.thread { makeRunnable(member.thread) }
        if let pool = vertex.thread.pool, !pool.suspects.isEmpty { markDirty(pool) }
    }
}
