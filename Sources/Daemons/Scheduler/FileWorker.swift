import Glibc
import Postoffice
import Scheduling
import SpoolFormat

/// What one thread of ``FileWorkers`` does with its jobs.
final class FileWorker {
    let postoffice: Postoffice
    let routerNotice: NoticeSender
    private let reports: ReportWriter
    private let storesErrorOnError: @Sendable () -> Bool
    /// Messages of which a job has failed: what comes behind it comes back too, so that the order is kept.
    private var halted: Set<SpoolID> = []

    /// Octets of a control file: a hundred thousand recipients and their results.
    static let maximumControlFile = 256 << 20

    init(
        postoffice: Postoffice, routerNotice: NoticeSender, reports: ReportWriter,
        storesErrorOnError: @escaping @Sendable () -> Bool
    ) {
        self.postoffice = postoffice
        self.routerNotice = routerNotice
        self.reports = reports
        self.storesErrorOnError = storesErrorOnError
    }

    func perform(_ jobs: ArraySlice<FileJob>) -> [FileResult] {
        var results: [FileResult] = []
        results.reserveCapacity(jobs.count)
        var rest = jobs
        while let job = rest.first {
            rest = rest.dropFirst()
            if case .resume(let id) = job {
                halted.remove(id)
                continue
            }
            if halted.contains(job.id) {
                results.append(.failed(job, reason: "waits for what failed before"))
                continue
            }
            if case .append(let id, _, _, _) = job {
                // What follows for the same file goes into one write.
                var group = [job]
                while let next = rest.first, case .append(id, _, _, _) = next {
                    group.append(next)
                    rest = rest.dropFirst()
                }
                results += append(group, to: id)
                continue
            }
            do throws(PostofficeError) {
                results.append(try perform(job))
            } catch {
                halted.insert(job.id)
                results.append(.failed(job, reason: error.description))
            }
        }
        return results
    }

    private func append(_ jobs: [FileJob], to id: SpoolID) -> [FileResult] {
        var records: [(record: ResultRecord, tag: ControlRecipient.Tag?)] = []
        var done: [FileResult] = []
        for job in jobs {
            guard case .append(_, let vertex, let record, let tag) = job else { continue }
            records.append((record, tag))
            done.append(.recorded(id, vertex: vertex))
        }
        do throws(PostofficeError) {
            try postoffice.append(records, to: id, sync: false)
            return done
        } catch {
            // A file that has gone away takes no record, and needs none.
            if error.kind == .notFound { return done }
            halted.insert(id)
            return jobs.map { .failed($0, reason: error.description) }
        }
    }

    private func perform(_ job: FileJob) throws(PostofficeError) -> FileResult {
        switch job {
        case .load(let id, _): return try load(id, mayBeOnItsWayOut: true)
        case .reread(let id): return try load(id, mayBeOnItsWayOut: false)
        case .append, .resume: return .synced
        case .sync(let id):
            do throws(PostofficeError) {
                try postoffice.syncControl(id)
            } catch  where error.kind == .notFound {
                return .synced
            }
            return .synced
        case .move(let id, let offsets, let channel, let host):
            return try move(id, offsets, channel: channel, host: host)
        case .reroute(let id, let offsets): return try routeAgain(id, offsets)
        case .report(let id):
            return .reported(id, reports: try reports.send(id))
        case .finish(let id, let ending, let isUnsynced):
            var sent: [SentReport] = []
            switch ending {
            case .remove: if isUnsynced { try sync(id) }
            case .reportAndRemove: sent = try reports.send(id)
            case .doubleFault: sent = try doubleFault(id)
            }
            try postoffice.remove(id)
            return .finished(id, reports: sent)
        }
    }

    private func sync(_ id: SpoolID) throws(PostofficeError) {
        do throws(PostofficeError) {
            try postoffice.syncControl(id)
        } catch  where error.kind == .notFound {}
    }

    /// A report that could not be delivered: somebody is told, or it is kept, or only the log knows.
    private func doubleFault(_ id: SpoolID) throws(PostofficeError) -> [SentReport] {
        switch try reports.doubleFault(id) {
        case .sent(let report): return [report]
        case .nobody: if storesErrorOnError() { try keep(id) }
        case .undeliverable: try keep(id)
        }
        return []
    }

    /// A copy of the message file for the postmaster.
    private func keep(_ id: SpoolID) throws(PostofficeError) {
        do throws(PostofficeError) {
            try postoffice.copyToPostman(id, suffix: ":error-on-error")
        } catch  where error.kind == .notFound {}
    }

    // MARK: Loading (docs/spool.md §4)

    func load(_ id: SpoolID, mayBeOnItsWayOut: Bool) throws(PostofficeError) -> FileResult {
        let octets: [UInt8]
        do throws(PostofficeError) {
            octets = try postoffice.read(.transport, id, limit: Self.maximumControlFile)
        } catch  where error.kind == .notFound {
            return exists(.queue, id) && !exists(.router, id)
                ? try reroute(id, reason: "there is no control file") : .absent(id)
        }
        let file: ControlFile
        do throws(ControlFileError) {
            file = try ControlFile.parse(octets)
        } catch {
            switch error {
            case .torn, .syntax: return try reroute(id, reason: error.description)
            case .unsupported: return .setAside(id, reason: "left alone: \(error)")
            }
        }
        guard file.id == id else {
            return try setAside(id, reason: "the control file names message \(file.id)", suffix: ":control")
        }
        let message = LoadedMessage(file)
        guard exists(.queue, id) else { return try withoutMessageFile(message, mayBeOnItsWayOut) }
        return .loaded(message)
    }

    private func exists(_ directory: SpoolDirectory, _ id: SpoolID) -> Bool {
        access(postoffice.path(directory, id), F_OK) == 0
    }

    /// The message file is the truth: it makes a new control file.
    private func reroute(_ id: SpoolID, reason: String) throws(PostofficeError) -> FileResult {
        if exists(.router, id) { return .absent(id) }
        guard exists(.queue, id) else {
            return try setAside(id, reason: "\(reason), and there is no message file", suffix: ":control")
        }
        try postoffice.requeue(id)
        routerNotice.send(id)
        return .rerouted(id, reason: reason)
    }

    /// Removal goes from `router/` over `queue/` to `transport/`, so what a crash has left here was on its way out: always if every
    /// result is in the file, and with one recipient, whose success needs no record. Otherwise the message is lost: the postmaster
    /// gets what is left, and its sender no report that would blame somebody else.
    private func withoutMessageFile(
        _ message: LoadedMessage, _ mayBeOnItsWayOut: Bool
    ) throws(PostofficeError) -> FileResult {
        if exists(.router, message.id) { return .absent(message.id) }
        let isDone = message.recipients.allSatisfy { $0.outcome != .pending }
        // What nobody has been told is told before the end, without the message's text.
        if isDone, message.recipients.contains(where: \.isUnreported) { return .loaded(message) }
        guard isDone || mayBeOnItsWayOut && message.recipients.count == 1 else {
            return try setAside(
                message.id, reason: "the message file is missing and not all recipients are done", suffix: ":control")
        }
        try postoffice.remove(message.id)
        return .cleared(message.id)
    }

    private func setAside(_ id: SpoolID, reason: String, suffix: String) throws(PostofficeError) -> FileResult {
        try postoffice.move(id, from: .transport, to: .postman, suffix: suffix)
        return .setAside(id, reason: "moved to postman/\(id)\(suffix): \(reason)")
    }
}
