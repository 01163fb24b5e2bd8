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

    // MARK: Log

    func write(_ event: SchedulerEvent) {
        switch event {
        case .result(let entry): write(entry)
        case .unmatched(let channel, let host, let id):
            log.error(
                "no-clause",
                [
                    "queue-id": "\(id)", "channel": channel, "host": host,
                    "reason": "no clause of \(configurationPath) has a command for it; the mail waits",
                ])
        case .strayReport(let agent, let report):
            log.warning("stray-report", ["agent": agents[agent]?.name ?? "#\(agent)", "text": report.line])
        case .poison(let id, let channel, let host, let next):
            log.error(
                "poison",
                [
                    "queue-id": "\(id)", "channel": channel, "host": host,
                    "reason": "agents have died over it three times", "next": "\(next)",
                ])
        case .backOff(let channel, let host, let until, let problem):
            log.info("back-off", ["channel": channel, "host": host, "until": "\(until)", "text": problem])
        case .hungAgent(let agent, let id, let seconds):
            log.error(
                "agent-hung",
                [
                    "queue-id": "\(id)", "agent": agents[agent]?.name ?? "#\(agent)",
                    "reason": "it has had the job for \(seconds) s and is ended",
                ])
        case .operated(let id, let verb, let note):
            log.info("operator", ["queue-id": "\(id)", "verb": verb, "by": note.operatorName, "reason": note.reason])
        case .suspensionEnded(let suspension):
            log.notice(
                "suspension-ended", ["number": "\(suspension.number)", "target": suspension.target])
        case .held(let id, let until): log.info("held", ["queue-id": "\(id)", "until": "\(until)"])
        case .released(let id, let late): log.info("released", ["queue-id": "\(id)", "late": "\(late)"])
        case .late(let id, let recipient, let text, let isTold):
            log.info(
                "late", ["queue-id": "\(id)", "to": recipient, "reported": isTold ? "yes" : "no", "text": text])
        case .resync(let agent, let id):
            log.warning(
                "resync",
                [
                    "queue-id": "\(id)", "agent": agents[agent]?.name ?? "#\(agent)",
                    "reason": "the agent found nothing to deliver; reading the control file again",
                ])
        }
    }

    /// The line that tools read: its keys and their order stay.
    private func write(_ entry: DeliveryLogEntry) {
        metrics.count(entry)
        log.info(
            "delivery",
            [
                "queue-id": "\(entry.id)", "to": entry.recipient, "orig_to": entry.original ?? entry.recipient,
                "channel": entry.channel, "host": entry.host, "relay": entry.relay.isEmpty ? "-" : entry.relay,
                "tls": entry.security.isEmpty ? "-" : entry.security, "delay": "\(entry.delay)", "dsn": entry.status,
                "status": entry.outcome.rawValue, "text": entry.text,
            ])
    }
}
