import Glibc
import Postoffice
import SpoolFormat

/// Puts strays in order. Every repair may be done while a daemon does the same (docs/spool.md §4), and twice.
final class SpoolRepair {
    private let postoffice: Postoffice
    private let repairs: Bool
    private let routerNotice: NoticeSender
    private let schedulerNotice: NoticeSender

    init(_ postoffice: Postoffice, repairs: Bool) {
        self.postoffice = postoffice
        self.repairs = repairs
        routerNotice = NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router")
        schedulerNotice = NoticeSender(socketPath: "\(postoffice.root)/.scheduler.notify", directory: "transport")
    }

    /// Messages that the router is to be told of when all is done.
    private var requeued: [SpoolID] = []

    func end() {
        routerNotice.send(requeued)
        requeued = []
    }

    // MARK: Messages

    func apply(_ verdict: MessageJudge.Verdict, to id: SpoolID) -> SpoolFinding {
        let outcome: SpoolFinding.Outcome
        if case .none(let reason) = verdict.repair {
            outcome = .left(reason)
        } else if !repairs {
            outcome = .planned(Self.plan(verdict.repair, id))
        } else {
            do throws(PostofficeError) {
                outcome = try perform(verdict.repair, id)
            } catch {
                outcome =
                    error.kind == .notFound
                    ? .left("somebody else has dealt with it") : .failed(error.description)
            }
        }
        return SpoolFinding(
            file: "\(verdict.directory)/\(id)", problem: verdict.problem, detail: verdict.detail, outcome: outcome)
    }

    private static func plan(_ repair: MessageJudge.Repair, _ id: SpoolID) -> String {
        switch repair {
        case .tellRouter: "the router is told"
        case .tellScheduler: "the scheduler is told"
        case .requeue: "back to router/\(id)"
        case .requeueWithoutControl: "control file to postman/\(id):control, message back to router/\(id)"
        case .completeRemoval: "the rest is removed"
        case .controlToPostman: "to postman/\(id):control"
        case .removeDeferredName: "deferred/\(id) is removed; queue/\(id) is the same file"
        case .completeRelease: "the release is completed"
        case .setTags: "the tags are set"
        case .none(let reason): reason
        }
    }

    private func perform(_ repair: MessageJudge.Repair, _ id: SpoolID) throws(PostofficeError) -> SpoolFinding.Outcome {
        switch repair {
        case .tellRouter:
            routerNotice.send(id)
            return .repaired("the router was told")
        case .tellScheduler:
            schedulerNotice.send(id)
            return .repaired("the scheduler was told")
        case .requeue:
            try postoffice.requeue(id)
            requeued.append(id)
            return .repaired("back to router/\(id)")
        case .requeueWithoutControl:
            try postoffice.move(id, from: .transport, to: .postman, suffix: ":control")
            try postoffice.requeue(id)
            requeued.append(id)
            return .setAside("control file moved to postman/\(id):control, message back to router/\(id)")
        case .completeRemoval:
            try postoffice.remove(id)
            return .repaired("the rest was removed")
        case .controlToPostman:
            try postoffice.move(id, from: .transport, to: .postman, suffix: ":control")
            return .setAside("moved to postman/\(id):control")
        case .removeDeferredName:
            try postoffice.removeDeferredName(id)
            return .repaired("deferred/\(id) was removed; queue/\(id) is the same file")
        case .completeRelease: return try completeReleases(id)
        case .setTags(let tags):
            try postoffice.setTags(tags.map { ($0.record, $0.tag) }, of: id)
            return .repaired("the tags were set")
        case .none(let reason): return .left(reason)
        }
    }

    /// One run does all of them.
    private func completeReleases(_ id: SpoolID) throws(PostofficeError) -> SpoolFinding.Outcome {
        let lock = try FreezerLock(postoffice, milliseconds: 2000)
        defer { lock.end() }
        requeued += try postoffice.finishReleases()
        // One that stays has another file in its place.
        return access("\(postoffice.root)/router/\(id).released", F_OK) == 0
            ? .left("router/\(id) is another file") : .repaired("the release was completed or taken back")
    }

    // MARK: Files

    func apply(_ oddity: SpoolSurvey.Oddity) -> SpoolFinding {
        let outcome: SpoolFinding.Outcome
        do throws(PostofficeError) {
            outcome = try perform(oddity)
        } catch {
            outcome = .failed(error.description)
        }
        return SpoolFinding(
            file: "\(oddity.directory.rawValue)/\(oddity.name)", problem: oddity.problem, detail: oddity.detail,
            outcome: outcome)
    }

    private func perform(_ oddity: SpoolSurvey.Oddity) throws(PostofficeError) -> SpoolFinding.Outcome {
        let path = "\(postoffice.root)/\(oddity.directory.rawValue)/\(oddity.name)"
        switch oddity.problem {
        case .oldDraft, .orphanNote:
            guard repairs else { return .planned("it is removed") }
            let isGone = try postoffice.removeFile(
                oddity.name, in: oddity.directory, inode: oddity.mark.inode,
                before: Int64(oddity.mark.changedSeconds) + 1)
            return isGone ? .repaired("it was removed") : .left("it has changed meanwhile")
        case .strangeFile:
            guard repairs else { return .planned("to postman/") }
            return .setAside("moved to postman/\(try postoffice.moveToPostman(oddity.name, from: oddity.directory))")
        case .wrongMode:
            guard repairs else { return .planned("mode 640") }
            // Nobody but us can change names in this directory, and what has this one is a regular file.
            guard chmod(path, 0o640) == 0 else {
                throw PostofficeError(.system, path, String(cString: strerror(errno)))
            }
            return .repaired("mode 640")
        case .wrongOwner:
            return .left("only root can give it back: zmailer check queue as root, or chown")
        case .notAFile: return .left("no program makes it; a person has to look")
        case .noControl, .tornControl, .noMessage, .foreignControl, .newerControl, .shortMessage, .wrongTag,
            .strangeRecord, .unknownToScheduler, .unknownToRouter, .vanished, .unattended, .twoNames, .oldRelease:
            return .left("no repair is known")
        }
    }
}
