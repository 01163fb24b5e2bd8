import Configuration
import Glibc
import Postoffice
import ProgramKit
import SpoolFormat
import Telemetry

/// The hourly check: what `zmailer check queue` does, with a line in the log for each finding, a report to the postmaster about what
/// was set aside, and the ageing of `public/` and `postman/`. Blocks: for a thread of its own.
public struct QueueKeeper: Sendable {
    private let postoffice: Postoffice
    private let keeping: HouseKeeping
    private let hostName: String
    private let log: EventLog

    public init(_ postoffice: Postoffice, _ keeping: HouseKeeping, hostName: String, log: EventLog) {
        self.postoffice = postoffice
        self.keeping = keeping
        self.hostName = hostName
        self.log = log
    }

    /// Takes the identity of the owner of POSTOFFICE for the calling thread, if it is root's. `nil`: it could not be done; the log says why.
    public func runOnOwnThread() -> SpoolCheck.Summary? {
        do throws(ProcessIdentity.Failure) {
            try ProcessIdentity.becomeOwnerOnThisThread(of: postoffice.root)
        } catch {
            log.error("queue-check", ["reason": error.description])
            return nil
        }
        return run()
    }

    /// Findings that are written to the log in one run; a damaged disk must not fill the next.
    static let maximumLines = 1000

    @discardableResult
    public func run(_ options: SpoolCheckOptions = SpoolCheckOptions()) -> SpoolCheck.Summary? {
        var options = options
        options.draftAge = keeping.publicAge
        var moved: [SpoolFinding] = []
        var count = 0
        do throws(PostofficeError) {
            let summary = try SpoolCheck(postoffice, options).run { finding in
                count += 1
                if count <= Self.maximumLines { write(finding) }
                if case .setAside = finding.outcome { moved.append(finding) }
            }
            let fields: KeyValuePairs<StaticString, String> = [
                "files": "\(summary.files)", "strays": "\(summary.findings)", "open": "\(summary.open)",
                "router": summary.router, "scheduler": summary.scheduler,
            ]
            if summary.findings > 0 || summary.isPartial {
                log.warning("queue-checked", fields)
            } else {
                log.notice("queue-checked", fields)
            }
            let report = try StrayReport.send(moved, to: postoffice, hostName: hostName, time: Int64(time(nil)))
            if let report {
                log.notice("report", ["queue-id": "\(report)", "to": "postmaster", "files": "\(moved.count)"])
            }
            try lookAfterPostman()
            return summary
        } catch {
            log.error("queue-check", ["reason": error.description])
            return nil
        }
    }

    private func write(_ finding: SpoolFinding) {
        switch finding.outcome {
        case .repaired, .planned: log.warning("stray", finding.logFields)
        case .setAside, .left, .failed: log.error("stray", finding.logFields)
        }
    }

    private func lookAfterPostman() throws(PostofficeError) {
        let folder = try PostmanFolder.look(postoffice, maximumAge: keeping.postmanAge, now: Int64(time(nil)))
        for name in folder.removed {
            log.notice("removed", ["file": "postman/\(name)", "reason": "older than POSTMANMAXAGE"])
        }
        guard folder.files > 0 else { return }
        log.notice(
            "postman",
            ["files": "\(folder.files)", "size": "\(folder.octets)", "oldest": SchedulerTime.text(folder.oldestAge)])
    }
}

extension SpoolFinding {
    /// The line `stray` of the log.
    public var logFields: KeyValuePairs<StaticString, String> {
        ["file": file, "problem": problem.rawValue, "detail": detail, "outcome": outcomeName, "action": action]
    }
}
