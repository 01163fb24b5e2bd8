import AgentProtocol
import ChildProcesses
import Configuration
import Glibc
import Postoffice
import Scheduling
import SpoolFormat
import Telemetry

extension SchedulerLoop {
    func startAgent(_ number: Int, channel: String, host: String) {
        guard let settings = active.settings(channel: channel, host: host),
            let command = settings.command?.resolved(channel: channel, host: host)
        else { return core.agentEnded(number) }
        var request = ChildRequest(
            path: ActiveConfiguration.programPath(command.program, environment), arguments: command.arguments,
            environment: childEnvironment(command))
        request.directory = "\(postoffice.root)/transport"
        request.identity = identity(settings)
        // An agent that outlived us would deliver what our successor gives to another one.
        request.parentDeathSignal = SIGKILL
        do throws(SpawnError) {
            let agent = try AgentProcess(
                number: number, name: "\(command.program):\(channel)#\(number)", request: request,
                niceness: settings.nice, poller: poller, host: self)
            agents[number] = agent
            log.debug("agent-started", ["agent": agent.name, "pid": "\(agent.child.pid)"])
        } catch {
            log.error("agent-not-started", ["clause": settings.clauseName, "reason": error.description])
            core.agentEnded(number)
        }
    }

    private func childEnvironment(_ command: SchedulerCommand) -> [String] {
        var values = ["PATH=\(getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin")"]
        if let zone = getenv("TZ") { values.append("TZ=\(String(cString: zone))") }
        values.append("ZCONFIG=\(environment["ZCONFIG"] ?? ZEnvironment.defaultPath)")
        return values + command.environment
    }

    /// Only root can choose: the clause's user, else the owner of the spool. Otherwise agents run as we do.
    private func identity(_ settings: SchedulerSettings) -> ChildRequest.Identity? {
        guard geteuid() == 0 else { return nil }
        let user = settings.user.flatMap(Identity.user) ?? (owner.uid, owner.gid)
        return ChildRequest.Identity(uid: user.uid, gid: settings.group.flatMap(Identity.group) ?? user.gid)
    }
}

extension SchedulerLoop: AgentHost {
    func fillBuffer(from descriptor: Int32) -> Int { read(descriptor, buffer, Self.bufferSize) }

    func filled(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: buffer, count: count) }

    func agent(_ number: Int, wrote message: AgentMessage) {
        switch message {
        case .remark(let text):
            if mayTell(number) { log.info("agent-remark", ["agent": name(number), "text": text]) }
        case .report(let report):
            if let spent = jobTimes.reported(report.file, by: number, at: Self.monotonicMilliseconds()) {
                metrics.attemptTime.observe(milliseconds: spent)
            }
        case .hungry, .resync: break
        }
        core.received(message, from: number)
    }

    func agent(_ number: Int, complained text: String) {
        if mayTell(number) { log.warning("agent-output", ["agent": name(number), "text": text]) }
    }

    private func mayTell(_ number: Int) -> Bool {
        guard let agent = agents[number] else { return true }
        guard agent.remarkLimit.admits(at: Self.monotonicMilliseconds()) else { return false }
        tellLostRemarks(agent)
        return true
    }

    private func tellLostRemarks(_ agent: AgentProcess) {
        let lost = agent.remarkLimit.takeLost()
        if lost > 0 { log.warning("agent-remarks-lost", ["agent": agent.name, "lines": "\(lost)"]) }
    }

    func agentEnded(_ number: Int, _ exit: ChildProcess.Exit) {
        agents[number].map(tellLostRemarks)
        if exit == .code(0) {
            log.debug("agent-ended", ["agent": name(number)])
        } else {
            metrics.agentDeaths.add()
            log.warning("agent-died", ["agent": name(number), "reason": exit.description])
        }
        agents[number] = nil
        jobTimes.ended(number)
        core.agentEnded(number)
    }

    private func name(_ number: Int) -> String { agents[number]?.name ?? "#\(number)" }
}
