import SpoolFormat

/// Whether a message has an owner and a next event, from the names that it has and what the daemons know (docs/spool.md §7). A
/// function of its arguments.
struct MessageJudge {
    let scheduler: DaemonKnowledge
    let router: DaemonKnowledge
    /// Seconds since 1970.
    let now: Int64

    /// Seconds after which a release from the freezer has died: it takes milliseconds, and the router completes what is left hourly.
    static let releaseAge: Int64 = 7200

    /// What puts a stray in order.
    enum Repair: Hashable, Sendable {
        /// The daemon is told of it, and does what it does at its start.
        case tellRouter
        case tellScheduler
        /// `queue/X` gets its name in `router/` again; a control file that is another's goes first.
        case requeue
        case requeueWithoutControl
        /// The rest of a message whose removal had begun.
        case completeRemoval
        case controlToPostman
        /// The further name of a message that the scheduler has.
        case removeDeferredName
        case completeRelease
        case setTags([ControlSummary.WrongTag])
        /// Nothing, and why.
        case none(String)
    }

    struct Verdict: Hashable, Sendable {
        let problem: SpoolFinding.Problem
        /// The directory of the name that is wrong.
        let directory: String
        let detail: String
        let repair: Repair
    }

    func judge(_ state: MessageState) -> Verdict? {
        if state.frozen != nil, state.router ?? state.queue ?? state.transport ?? state.deferred != nil {
            return Verdict(
                problem: .twoNames, directory: "freezer", detail: "it is frozen and also on its way",
                repair: .none("released it would be delivered twice; zmailer freezer drop takes it out"))
        }
        if let staged = state.staged, now - Int64(staged.changedSeconds) > Self.releaseAge {
            return Verdict(
                problem: .oldRelease, directory: "router", detail: "a release from the freezer was not completed",
                repair: .completeRelease)
        }
        if state.router != nil { return judgeUnrouted(state) }
        if state.queue != nil { return judgeQueued(state) }
        if state.transport != nil { return judgeControlAlone(state) }
        // In deferred/ and freezer/ it is looked at again by the router, which needs no memory for it.
        if state.deferred != nil || state.frozen != nil || state.staged != nil { return nil }
        if scheduler.judges, scheduler.known.contains(state.id) {
            return Verdict(
                problem: .vanished, directory: "transport",
                detail: "the scheduler has it, and there are no files of it",
                repair: .none("its next attempt finds out, and it is forgotten"))
        }
        return nil
    }

    /// The router looks through `router/` at its start and every 15 seconds.
    private func judgeUnrouted(_ state: MessageState) -> Verdict? {
        guard router.judges, !router.known.contains(state.id) else { return nil }
        return Verdict(
            problem: .unknownToRouter, directory: "router", detail: "the router does not know of it",
            repair: .tellRouter)
    }

    private func judgeQueued(_ state: MessageState) -> Verdict? {
        // The router is to route it again and has this name for it: queue/X is what a claim has left.
        let isDeferred = state.deferred != nil
        switch state.control {
        case .absent:
            guard !isDeferred else { return nil }
            return Verdict(
                problem: .noControl, directory: "queue", detail: "it has no control file and no name in router/",
                repair: .requeue)
        case .torn(let reason):
            guard !isDeferred else { return nil }
            return Verdict(
                problem: .tornControl, directory: "transport", detail: reason, repair: .requeue)
        case .unreadable(let reason):
            return Verdict(
                problem: .tornControl, directory: "transport", detail: reason,
                repair: .none("it cannot be read"))
        case .newer(let reason):
            return Verdict(
                problem: .newerControl, directory: "transport", detail: reason,
                repair: .none("it waits for a scheduler that knows this version"))
        case .whole(let control) where control.id != state.id:
            return Verdict(
                problem: .foreignControl, directory: "transport", detail: "it names message \(control.id)",
                repair: .requeueWithoutControl)
        case .whole, .unread: break
        }
        if let queue = state.queue, let deferred = state.deferred {
            return Verdict(
                problem: .twoNames, directory: "deferred", detail: "it is routed and has a name in deferred/",
                repair: queue.isSameFile(as: deferred)
                    ? .removeDeferredName
                    : .none("the two are different files; one would be delivered beside the other"))
        }
        return judgeRouted(state)
    }

    private func judgeRouted(_ state: MessageState) -> Verdict? {
        let isKnown = scheduler.known.contains(state.id)
        if isKnown, let reason = scheduler.unattended[state.id] {
            return Verdict(
                problem: .unattended, directory: "transport", detail: reason,
                repair: .none("the scheduler has it; a restart of the scheduler reads it anew"))
        }
        guard case .whole(let control) = state.control else { return nil }
        if let queue = state.queue, queue.size < control.messageSize {
            return Verdict(
                problem: .shortMessage, directory: "queue",
                detail: "it has \(queue.size) octets, \(control.messageSize) were routed",
                repair: .none("agents do not deliver a part of a message"))
        }
        // The scheduler writes record and tag one after the other; what it has is its own business.
        if !isKnown, !control.strangeOffsets.isEmpty {
            let offsets = control.strangeOffsets.prefix(3).map(String.init).joined(separator: ", ")
            return Verdict(
                problem: .strangeRecord, directory: "transport", detail: "no recipient stands at \(offsets)",
                repair: .none("the records count for nobody"))
        }
        if scheduler.judges, !isKnown {
            return Verdict(
                problem: .unknownToScheduler, directory: "transport", detail: "the scheduler does not know of it",
                repair: .tellScheduler)
        }
        if scheduler.isDown, !control.wrongTags.isEmpty {
            return Verdict(
                problem: .wrongTag, directory: "transport",
                detail: "recipients whose tag is not what their record says: \(control.wrongTags.count)",
                repair: .setTags(control.wrongTags))
        }
        return nil
    }

    /// What a removal leaves when it is interrupted, and what a person may have done (docs/spool.md §4).
    private func judgeControlAlone(_ state: MessageState) -> Verdict? {
        let verdict = { (detail: String, repair: Repair) in
            Verdict(problem: .noMessage, directory: "transport", detail: detail, repair: repair)
        }
        if state.deferred != nil { return nil }
        switch state.control {
        case .absent: return nil
        case .newer(let reason):
            return Verdict(
                problem: .newerControl, directory: "transport", detail: reason,
                repair: .none("it waits for a scheduler that knows this version"))
        case .unreadable(let reason):
            return Verdict(
                problem: .tornControl, directory: "transport", detail: reason,
                repair: .none("it cannot be read"))
        case .unread:
            // Known to the scheduler: an agent will find nothing to deliver and say so.
            return verdict("the message file is gone", .none("its next attempt finds out, and it is set aside"))
        case .torn, .whole: break
        }
        // A scheduler that runs has the last word: it alone knows what it is about to remove.
        if scheduler.judges { return verdict("the message file is gone", .tellScheduler) }
        guard scheduler.isDown else { return nil }
        switch state.control {
        case .torn(let reason): return verdict("the message file is gone, and \(reason)", .controlToPostman)
        case .whole(let control) where control.id != state.id:
            return verdict("the message file is gone, and it names message \(control.id)", .controlToPostman)
        case .whole(let control) where control.pending == 0:
            // What has not been told is told by the scheduler, at its start.
            return control.untold > 0 ? nil : verdict("its removal had begun", .completeRemoval)
        case .whole(let control) where control.recipients == 1:
            return verdict("its removal had begun", .completeRemoval)
        case .whole, .absent, .newer, .unreadable, .unread:
            return verdict("the message file is gone and not all recipients are done", .controlToPostman)
        }
    }
}
