import Postoffice
import Scheduling
import Telemetry

/// What is suspended, in memory and in `.suspensions`.
extension SchedulerLoop {
    var suspensionsPath: String { "\(postoffice.root)/.suspensions" }

    func restoreSuspensions() {
        do throws(SuspensionFile.Failure) {
            guard let (suspensions, unreadable) = try SuspensionFile.read(suspensionsPath) else { return }
            if unreadable > 0 {
                log.error("suspensions-unreadable", ["file": suspensionsPath, "lines": "\(unreadable)"])
            }
            core.restore(suspensions)
            log.notice("suspensions", ["count": "\(suspensions.entries.count)"])
        } catch {
            log.error("suspensions-unreadable", ["file": suspensionsPath, "reason": error.description])
        }
    }

    /// Off the loop, one at a time; who asked for a change hears when it is written.
    func storeSuspensions() {
        guard !isStoringSuspensions, let suspensions = core.takeSuspensions() else { return }
        isStoringSuspensions = true
        storedFor = waitingForSuspensions
        waitingForSuspensions = []
        filesInFlight += 1
        let path = suspensionsPath
        let owner = owner
        files.runAside {
            do throws(SuspensionFile.Failure) {
                try SuspensionFile.write(suspensions, to: path, owner: owner)
                return [.suspensionsStored(nil)]
            } catch {
                return [.suspensionsStored(error.description)]
            }
        }
    }

    func suspensionsStored(_ problem: String?) {
        isStoringSuspensions = false
        if let problem { log.error("suspensions-not-stored", ["reason": problem]) }
        let waiting = storedFor
        storedFor = []
        for deliver in waiting { deliver(problem) }
    }

    func suspend(_ suspension: Suspension, _ deliver: @escaping QueueSocket.Delivery) {
        guard let number = core.suspend(suspension) else {
            let text = "there are \(Suspensions.maximum) suspensions; end one with zmailer queue resume"
            return deliver("{\"error\":\"\(text)\"}\n", true)
        }
        log.notice(
            "suspended",
            [
                "number": "\(number)", "target": suspension.target, "until": suspension.until.map(String.init) ?? "-",
                "by": suspension.operatorName, "reason": suspension.reason,
            ])
        var stored = suspension
        stored.number = number
        waitingForSuspensions.append { problem in
            deliver(QueueJSON.line(stored, counts: nil, problem: problem), true)
        }
    }

    func resume(
        by note: OperatorNote, where isMeant: (Suspension) -> Bool, _ deliver: @escaping QueueSocket.Delivery
    ) {
        let ended = core.resume(where: isMeant)
        guard !ended.isEmpty else {
            return deliver("{\"error\":\"there is no such suspension; zmailer queue suspensions shows them\"}\n", true)
        }
        for suspension in ended {
            log.notice(
                "resumed",
                [
                    "number": "\(suspension.number)", "target": suspension.target, "by": note.operatorName,
                    "reason": note.reason,
                ])
        }
        waitingForSuspensions.append { problem in
            deliver(ended.map { QueueJSON.line($0, counts: nil, problem: problem) }.joined(), true)
        }
    }
}
