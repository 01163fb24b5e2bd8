import ChildProcesses
import Configuration
import Forms
import Glibc
import ProgramKit
import Scheduling
import Telemetry

/// Signals, new configurations, and the end.
extension SchedulerLoop {
    func takeSignals(_ signals: SignalSource) {
        while let signal = signals.next() {
            switch signal {
            case SIGTERM, SIGINT, SIGQUIT: shutDown(reason: "signal \(signal)")
            case SIGHUP: hangUp()
            case SIGUSR1: reload()
            case SIGUSR2: writeState()
            case SIGALRM: nextScan = 0
            default: log.debug("signal", ["number": "\(signal)"])
            }
        }
    }

    private func writeState() {
        log.notice(
            "state",
            [
                "messages": "\(core.messageCount)", "recipients": "\(core.recipientCount)",
                "threads": "\(core.threadCount)", "agents": "\(core.agentCount)", "active": "\(core.activeJobs)",
            ])
    }

    /// The files that it writes may have been renamed.
    func hangUp() {
        log.reopen()
        statistics?.reopen(log)
        reload()
    }

    func reload() {
        do throws(ConfigurationErrors) {
            active = try ActiveConfiguration.read(
                configurationPath, environment: environment, onlyThread: options.onlyThread)
            // Of zmailer.conf only what is said about reports: the rest holds from a start to the next.
            let current =
                if let file = environment["ZCONFIG"] { try Program.readEnvironment(file) } else { environment }
            ReportSettings.shared.set(active.configuration, current)
            for mistake in FormLibrary.mistakes(current) {
                log.error("form-mistake", ["reason": mistake.description])
            }
            core.configure(reportInterval: active.reportInterval, rules: active.rules)
            mailq?.configure(
                active.configuration.parameters.mailqSocket, active.accounts, at: Self.monotonicMilliseconds())
            log.notice("reloaded", ["file": configurationPath])
        } catch {
            for mistake in error.errors { log.error("reload-refused", ["reason": mistake.description]) }
        }
    }

    /// Feeds nothing more and ends when the agents have reported.
    func shutDown(reason: String) {
        guard !stops else { return }
        log.notice("stopping", ["reason": reason, "agents": "\(agents.count)"])
        core.stop()
        for running in operations.stop() { running.tell(.stopped) }
        shutdownDeadline = Self.monotonicMilliseconds() + Self.shutdownTime
        nextScan = .max
    }

    /// What they had in hand is tried again after the next start.
    func endAgents() {
        log.warning("agents-killed", ["agents": "\(agents.count)", "reason": "still at work after 20 s"])
        for agent in agents.values { agent.child.signal(SIGKILL) }
        // If even that does not end them, or files cannot be written, waiting longer helps nobody.
        shutdownDeadline = Self.monotonicMilliseconds() + 5000
        if isLastWarning {
            agents = [:]
            jobs = []
            filesInFlight = 0
        }
        isLastWarning = true
    }
}
