/// A file of the spool that is not as docs/spool.md has it, and what became of it.
public struct SpoolFinding: Hashable, Sendable {
    /// What is wrong. The raw value is what `--json` and the log say.
    public enum Problem: String, Hashable, Sendable, CaseIterable {
        /// `queue/X` without a name in `router/` and without a control file.
        case noControl = "no-control-file"
        /// The head of `transport/X` has no right sum.
        case tornControl = "torn-control-file"
        /// `transport/X` without a message file.
        case noMessage = "no-message-file"
        /// `transport/X` names another message.
        case foreignControl = "control-file-of-another"
        /// `transport/X` is of a version that this program does not know.
        case newerControl = "newer-version"
        /// `queue/X` is shorter than the file that was routed.
        case shortMessage = "short-message-file"
        /// The tag of a recipient says something else than its record.
        case wrongTag = "tag-and-record-differ"
        /// A record of a recipient that the message does not have.
        case strangeRecord = "record-of-no-recipient"
        /// The scheduler runs and does not know it.
        case unknownToScheduler = "unknown-to-scheduler"
        /// The router runs and does not know it.
        case unknownToRouter = "unknown-to-router"
        /// The scheduler knows it, and there is no control file.
        case vanished = "vanished"
        /// A recipient for whom the scheduler has nothing planned, or no end.
        case unattended = "unattended"
        /// Names of one message that it cannot have at the same time.
        case twoNames = "two-names"
        /// A release from the freezer that has not been completed.
        case oldRelease = "unfinished-release"
        /// `freezer/X.reason` without a message.
        case orphanNote = "note-without-message"
        /// A file that no program makes.
        case strangeFile = "strange-file"
        /// A directory, a link, a device.
        case notAFile = "not-a-file"
        /// The file belongs to another user than POSTOFFICE.
        case wrongOwner = "wrong-owner"
        /// Others may write, or the owner may not read.
        case wrongMode = "wrong-mode"
        /// In `public/` for longer than anybody works on a message.
        case oldDraft = "old-draft"
    }

    public enum Outcome: Hashable, Sendable {
        /// With `--dry-run`: what would be done.
        case planned(String)
        case repaired(String)
        /// Moved to `postman/`: a person has to look.
        case setAside(String)
        /// Nothing is done about it, and why.
        case left(String)
        /// It should have been put in order, but could not.
        case failed(String)
    }

    /// Within POSTOFFICE.
    public let file: String
    public let problem: Problem
    /// What was found, for people; no text of strangers.
    public let detail: String
    public let outcome: Outcome

    public init(file: String, problem: Problem, detail: String, outcome: Outcome) {
        self.file = file
        self.problem = problem
        self.detail = detail
        self.outcome = outcome
    }

    /// Nothing more is to be done by anybody.
    public var isSettled: Bool {
        switch outcome {
        case .repaired: true
        case .planned, .setAside, .left, .failed: false
        }
    }

    /// A word for programs.
    public var outcomeName: String {
        switch outcome {
        case .planned: "planned"
        case .repaired: "repaired"
        case .setAside: "set-aside"
        case .left: "left"
        case .failed: "failed"
        }
    }

    public var action: String {
        switch outcome {
        case .planned(let text), .repaired(let text), .setAside(let text), .left(let text), .failed(let text): text
        }
    }
}
