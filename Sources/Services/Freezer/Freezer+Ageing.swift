import Configuration
import Glibc
import Postoffice
import SpoolFormat
import Telemetry

extension Freezer {
    /// Does what is due in the freezer: completes releases, removes notes without a message, and takes out what is too old.
    /// One message a step, between which other programs may have the freezer; ends early when `isStopped`.
    /// - Parameter now: seconds since 1970.
    public func tidy(_ ageing: FreezerAgeing?, now: Int64, isStopped: () -> Bool = { false }) {
        var due: [SpoolID] = []
        do throws(Failure) {
            try finishReleases()
            try removeOrphanNotes(now: now)
            guard let ageing else { return }
            // Nothing is frozen before it has arrived.
            due = try messages().filter { $0.unixTime <= now - ageing.maximumAge }
            // In any order: should one of them be the death of this process, the others get their turn all the same.
            due.shuffle()
        } catch {
            log.error("freezer", ["reason": error.description])
            return
        }
        guard let ageing else { return }
        var trouble = 0
        for id in due where !isStopped() {
            do throws(Failure) {
                try age(id, ageing, now)
            } catch {
                if case .notFrozen = error { continue }
                // Each hour a line for each message would hide everything else.
                trouble += 1
                if trouble <= 10 {
                    log.error("freezer", ["queue-id": "\(id)", "by": actor, "reason": error.description])
                }
                if case .busy = error { return }
            }
        }
        if trouble > 10 { log.error("freezer", ["by": actor, "reason": "the same for \(trouble - 10) more"]) }
    }

    private func age(_ id: SpoolID, _ ageing: FreezerAgeing, _ now: Int64) throws(Failure) {
        let message = try message(id)
        guard message.frozen <= now - ageing.maximumAge, changed(id) <= now - ageing.maximumAge else { return }
        switch ageing.action {
        case .drop: try drop(id, sync: false)
        case .release: try release(id)
        case .bounce:
            do throws(Failure) {
                _ = try bounce(id)
            } catch {
                switch error {
                // Nobody is owed a report for it, and nobody has looked at it in time.
                case .noSender, .noMessage: try drop(id, sync: false)
                case .notFrozen, .busy, .spool: throw error
                }
            }
        }
    }

    /// When it got its name here: what an operator has moved here by hand is no older than that. Seconds since 1970.
    private func changed(_ id: SpoolID) -> Int64 {
        var info = stat()
        let hasNote = access(postoffice.notePath(id), F_OK) == 0
        guard !hasNote, lstat(postoffice.path(.freezer, id), &info) == 0 else { return 0 }
        return Int64(info.st_ctim.tv_sec)
    }

    private func removeOrphanNotes(now: Int64) throws(Failure) {
        do throws(PostofficeError) {
            for name in try postoffice.removeOrphanNotes(before: now - Postoffice.orphanNoteAge) {
                log.notice("removed", ["file": "freezer/\(name)", "reason": "its message is gone"])
            }
        } catch {
            throw .spool(error)
        }
    }
}
