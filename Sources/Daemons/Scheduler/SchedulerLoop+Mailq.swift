import AgentProtocol
import ChildProcesses
import Configuration
import Glibc
import Scheduling
import Telemetry

extension SchedulerLoop {
    func mailqReports() -> MailqReports {
        MailqReports(
            scheduler: core, started: started, pid: { [unowned self] in agents[$0]?.child.pid },
            clauseName: { [unowned self] ring in
                let clauses = active.configuration.clauses
                return clauses.indices.contains(ring) ? clauses[ring].name : "*/*"
            },
            counters: { [unowned self] in mailq?.counters ?? MailqCounters() })
    }

    /// `nil`: too many wait already.
    func etrn(_ target: ETRNTarget, origin: String) -> LocalETRN.Answer? {
        let found = core.waiting(for: target)
        log.info(
            "etrn",
            [
                "domain": target.description, "from": origin, "threads": "\(found.threads)", "jobs": "\(found.jobs)",
            ])
        if found.jobs > 0, !etrns.add(target) {
            log.warning("etrn-refused", ["domain": target.description, "reason": "too many wait"])
            return nil
        }
        return LocalETRN.Answer(threads: found.threads, started: found.jobs)
    }

    /// Those whose time has come.
    func startETRNs(at now: Int64) {
        let targets = etrns.take(at: now)
        guard !targets.isEmpty else { return }
        core.start(targets)
        etrns.ended(started: now, at: Self.monotonicMilliseconds())
    }

    func take(_ requests: [ETRNFiles.Request]) {
        for request in requests {
            if let target = request.target {
                _ = etrn(target, origin: "\(request.name) for \(request.remark.isEmpty ? "-" : request.remark)")
            } else {
                log.warning("etrn-file", ["file": "transport/\(request.name)", "reason": request.remark])
            }
        }
    }
}
