import Postoffice
import Scheduling
import SpoolFormat
import Telemetry

/// What has become of work on files.
extension SchedulerLoop {
    func take(_ result: FileResult) {
        filesInFlight -= 1
        switch result {
        case .loaded(let message):
            if loading.ended(message.id) { core.load(message) } else { core.reload(message) }
        case .absent(let id):
            if !loading.ended(id) { core.forget(id) }
        case .rerouted(let id, let reason):
            forget(id)
            log.warning("routed-again", ["queue-id": "\(id)", "reason": reason])
        case .setAside(let id, let reason):
            forget(id)
            log.error("set-aside", ["queue-id": "\(id)", "reason": reason])
        case .cleared(let id):
            forget(id)
            log.notice("cleared", ["queue-id": "\(id)", "reason": "its removal had begun before the restart"])
        case .recorded(let id, let vertex): core.recorded(id, vertex: vertex)
        case .synced: break
        case .moved(let message, let remark):
            log.info("moved", ["queue-id": "\(message.id)", "text": remark])
            core.moved(message)
        case .suspensionsStored(let problem): suspensionsStored(problem)
        case .operationsSynced(let problem): operationsSynced(problem)
        case .reported(let id, let reports):
            note(reports, of: id)
            core.reported(id, count: reports.reduce(0) { $0 + $1.records })
        case .finished(let id, let reports):
            note(reports, of: id)
            core.finished(id)
            endRemoval(id)
        case .failed(let job, let reason): halt(job, reason)
        case .listing(let ids):
            filesInFlight += 1
            loading.listed(ids)
            scheduleScan()
        case .etrns(let requests):
            filesInFlight += 1
            take(requests)
        case .listingFailed(let reason):
            filesInFlight += 1
            log.error("scan-failed", ["reason": reason])
            scheduleScan()
        }
        if core.isFrozen, !options.isFrozen, !loading.isBusy, loading.hasListed { core.isFrozen = false }
    }

    private func forget(_ id: SpoolID) {
        if !loading.ended(id) { core.forget(id) }
    }

    private func note(_ reports: [SentReport], of id: SpoolID) {
        let reports = reports.filter { $0.recipients > 0 }
        for report in reports {
            metrics.reports.add()
            log.info(
                "report",
                [
                    "queue-id": "\(id)", "report-id": "\(report.id)", "to": report.to,
                    "recipients": "\(report.recipients)",
                ])
        }
    }

    private func halt(_ job: FileJob, _ reason: String) {
        // One line for all that fail together.
        if stuck.isEmpty {
            log.error("spool-trouble", ["queue-id": "\(job.id)", "reason": reason, "next-try": "in 5 s"])
        }
        operations.halted(job.id)
        hold(job)
        if nextRetry == .max { nextRetry = Self.monotonicMilliseconds() + Self.retryInterval }
    }

    /// What waits for its next try must not hold up everything else.
    func hold(_ job: FileJob) {
        if case .finish(let id, _, _) = job { endRemoval(id) }
        stuck.add(job)
    }

    func retryStuck() {
        for job in stuck.takeAll() {
            switch job {
            case .finish(let id, _, _): removals.begin(id, forOperator: false)
            // It has no result.
            case .resume: filesInFlight -= 1
            case .load, .reread, .append, .sync, .report, .move, .reroute: break
            }
            jobs.append(job)
        }
        nextRetry = .max
    }

    private func endRemoval(_ id: SpoolID) {
        removals.end(id)
        core.isPaused = removals.holdUpDelivery
    }
}
