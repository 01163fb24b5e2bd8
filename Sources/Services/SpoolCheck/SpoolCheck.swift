import ChildProcesses
import Glibc
import Postoffice
import SpoolFormat

/// Bounds of a check; the defaults are those of `zmailer check queue`.
public struct SpoolCheckOptions: Sendable {
    /// Strays are put in order; otherwise it is said what would be done.
    public var repairs = true
    /// Milliseconds between the two looks. What changes meanwhile is somebody's work and no stray.
    public var pause: UInt32 = 2000
    /// Seconds that a file in `public/` may stay unchanged.
    public var draftAge: Int64 = 86_400
    /// Seconds after which a note in `freezer/` without a message is left over.
    public var noteAge: Int64 = Postoffice.orphanNoteAge
    /// Seconds that a file of a strange name stays where it is: somebody may be copying it there.
    public var strangeAge: Int64 = 3600

    public init() {}
}

/// Looks for mail that has no owner, no next event or no end, and puts it in order (docs/spool.md §7; invariant 4 of the design).
///
/// Safe beside running daemons: it asks them what they have, judges twice, and acts only on what neither they nor anybody else has
/// touched in between; and what it does is what they do themselves at their start, which may be done twice. Blocks for seconds:
/// run it in a process or on a thread of its own, as the owner of POSTOFFICE.
public struct SpoolCheck {
    /// What was looked at.
    public struct Summary: Hashable, Sendable {
        /// Files in the directories of the spool.
        public var files = 0
        /// Messages to be routed, routed, waiting in `deferred/`, frozen.
        public var unrouted = 0
        public var queued = 0
        public var deferred = 0
        public var frozen = 0
        public var findings = 0
        /// Findings that a person must look at, or that a run without `--dry-run` would put in order.
        public var open = 0
        /// `router` and `scheduler`: `down`, `up`, `loading`, or why it does not answer.
        public var router = ""
        public var scheduler = ""
        /// A daemon runs and does not say what it has: nothing was said about the messages that only it can know.
        public var isPartial = false
    }

    private let postoffice: Postoffice
    private let options: SpoolCheckOptions
    /// Seconds since 1970.
    private let clock: @Sendable () -> Int64

    public init(
        _ postoffice: Postoffice, _ options: SpoolCheckOptions = SpoolCheckOptions(),
        clock: @escaping @Sendable () -> Int64 = { Int64(time(nil)) }
    ) {
        self.postoffice = postoffice
        self.options = options
        self.clock = clock
    }

    /// - Parameter tell: called for each finding as it is dealt with.
    public func run(_ tell: (SpoolFinding) -> Void) throws(PostofficeError) -> Summary {
        let owner = try self.owner()
        let survey = try SpoolSurvey(postoffice, options, owner: owner, now: clock())
        var judge = askedJudge()
        var summary = Summary(survey)
        let suspects = firstLook(survey, judge)
        var oddities = survey.oddities
        if !suspects.isEmpty || !oddities.isEmpty {
            usleep(options.pause * 1000)
            judge = askedJudge()
            oddities = oddities.filter { survey.oddity($0.name, in: $0.directory) == $0 }
        }
        summary.router = Self.text(judge.router.state)
        summary.scheduler = Self.text(judge.scheduler.state)
        summary.isPartial = [judge.router.state, judge.scheduler.state].contains {
            if case .silent = $0 { true } else { false }
        }
        let repair = SpoolRepair(postoffice, repairs: options.repairs)
        func note(_ finding: SpoolFinding) {
            summary.findings += 1
            if !finding.isSettled { summary.open += 1 }
            tell(finding)
        }
        for oddity in oddities { note(repair.apply(oddity)) }
        for (first, verdict) in suspects {
            let second = look(first.id, judge)
            guard second == first, judge.judge(second) == verdict else { continue }
            note(repair.apply(verdict, to: first.id))
        }
        repair.end()
        return summary
    }

    private func owner() throws(PostofficeError) -> uid_t {
        var info = stat()
        guard stat(postoffice.root, &info) == 0 else {
            throw PostofficeError(.system, postoffice.root, String(cString: strerror(errno)))
        }
        return info.st_uid
    }

    private func askedJudge() -> MessageJudge {
        let root = postoffice.root
        let scheduler = DaemonKnowledge(pidFile: "\(root)/.pid.scheduler", socket: "\(root)/.scheduler.mailq")
        let router = DaemonKnowledge(pidFile: "\(root)/.pid.router", socket: "\(root)/.router.queue")
        return MessageJudge(scheduler: scheduler, router: router, now: clock())
    }

    private func look(_ id: SpoolID, _ judge: MessageJudge) -> MessageState {
        MessageState(id, postoffice, readsControl: !judge.scheduler.known.contains(id))
    }

    /// What looks wrong; oldest first.
    private func firstLook(_ survey: SpoolSurvey, _ judge: MessageJudge) -> [(MessageState, MessageJudge.Verdict)] {
        var ids = survey.messages.values.reduce(into: survey.staged) { $0.formUnion($1) }
        if judge.scheduler.judges { ids.formUnion(judge.scheduler.known) }
        return ids.sorted().compactMap { id in
            if isInOrder(id, survey, judge) { return nil }
            let state = look(id, judge)
            return judge.judge(state).map { (state, $0) }
        }
    }

    /// Most messages of a large queue: nothing more than their names needs to be read.
    private func isInOrder(_ id: SpoolID, _ survey: SpoolSurvey, _ judge: MessageJudge) -> Bool {
        if judge.scheduler.known.contains(id), judge.scheduler.unattended[id] == nil, survey.has(id, in: .queue),
            survey.has(id, in: .transport)
        {
            return !survey.has(id, in: .router) && !survey.has(id, in: .deferred) && !survey.has(id, in: .freezer)
        }
        return false
    }

    private static func text(_ state: DaemonKnowledge.State) -> String {
        switch state {
        case .down: "down"
        case .answered: "up"
        case .loading: "loading"
        case .silent(let reason): "does not answer: \(reason)"
        }
    }
}

extension SpoolCheck.Summary {
    init(_ survey: SpoolSurvey) {
        files = survey.count
        unrouted = survey.messages[.router]?.count ?? 0
        queued = survey.messages[.queue]?.count ?? 0
        deferred = survey.messages[.deferred]?.count ?? 0
        frozen = survey.messages[.freezer]?.count ?? 0
    }
}
