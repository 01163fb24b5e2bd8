import AgentProtocol
import ChildProcesses
import Glibc
import Scheduling
import SpoolFormat
import Telemetry

/// What the core wants done.
extension SchedulerLoop {
    func submitJobs() {
        guard !jobs.isEmpty else { return }
        filesInFlight += jobs.count
        files.submit(jobs)
        jobs.removeAll(keepingCapacity: true)
    }

    func perform(_ action: SchedulerAction) {
        switch action {
        case .startAgent(let number, let channel, let host): startAgent(number, channel: channel, host: host)
        case .feed(let number, let id, let host, let messages):
            agents[number].map { agent in
                let limits = AgentJobLimits(messagesPerConnection: messages)
                agent.send(.deliver(file: id, host: host, limits: limits))
                jobTimes.fed(id, to: number, at: Self.monotonicMilliseconds())
                touch(agent)
            }
        case .closeAgent(let number):
            agents[number].map { agent in
                agent.closeInput()
                touch(agent)
            }
        case .killAgent(let number): agents[number]?.child.signal(SIGKILL)
        case .append(let id, let vertex, let record, let tag):
            if tag != nil {
                unsynced.insert(id)
                if nextSync == .max { nextSync = Self.monotonicMilliseconds() + Self.syncInterval }
            }
            submit(.append(id, vertex: vertex, record, tag))
        case .report(let id):
            unsynced.remove(id)
            submit(.report(id))
        case .finish(let id, let ending):
            removals.begin(id, forOperator: isOperating)
            core.isPaused = removals.holdUpDelivery
            submit(.finish(id, ending, isUnsynced: unsynced.remove(id) != nil))
        case .reread(let id): submit(.reread(id))
        case .move(let id, let offsets, let channel, let host, let note):
            log.info(
                "move",
                ["queue-id": "\(id)", "to": "\(channel)/\(host)", "by": note.operatorName, "reason": note.reason])
            submit(.move(id, offsets: offsets, channel: channel, host: host))
        case .reroute(let id, let offsets, let note):
            log.info("reroute", ["queue-id": "\(id)", "by": note.operatorName, "reason": note.reason])
            submit(.reroute(id, offsets: offsets))
        case .log(let event):
            write(event)
            statistics?.add(event)
        }
    }

    private func touch(_ agent: AgentProcess) {
        guard !agent.isPending else { return }
        agent.isPending = true
        pendingAgents.append(agent)
    }

    func submit(_ job: FileJob) {
        if stuck.holds(job.id) { hold(job) } else { jobs.append(job) }
    }

    func syncAll() {
        for id in unsynced { submit(.sync(id)) }
        unsynced.removeAll(keepingCapacity: true)
        nextSync = .max
    }
}
