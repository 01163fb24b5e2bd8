import Glibc
import Postoffice
import SpoolFormat

/// The names in the spool, and what is wrong with single files, whatever message they belong to.
struct SpoolSurvey {
    /// A file that is wrong by itself.
    struct Oddity: Hashable, Sendable {
        let directory: SpoolDirectory
        let name: String
        let problem: SpoolFinding.Problem
        let detail: String
        let mark: FileMark
    }

    /// By directory; without ``SpoolDirectory/public`` and `postman`, where names say nothing.
    private(set) var messages: [SpoolDirectory: Set<SpoolID>] = [:]
    /// Of `router/X.released`.
    private(set) var staged: Set<SpoolID> = []
    private(set) var oddities: [Oddity] = []
    /// Files that were looked at.
    private(set) var count = 0

    let postoffice: Postoffice
    private let limits: SpoolCheckOptions
    private let now: Int64
    private let owner: uid_t

    init(
        _ postoffice: Postoffice, _ limits: SpoolCheckOptions, owner: uid_t, now: Int64
    ) throws(PostofficeError) {
        self.postoffice = postoffice
        self.limits = limits
        self.owner = owner
        self.now = now
        // In the direction in which messages go: none is missed on its way.
        for directory in [SpoolDirectory.deferred, .freezer, .router, .queue, .transport, .public, .postman] {
            try look(directory)
        }
    }

    private mutating func look(_ directory: SpoolDirectory) throws(PostofficeError) {
        var names: [String] = []
        try postoffice.forEachEntry(directory) { name in
            names.append(name)
            return true
        }
        count += names.count
        for name in names {
            if let id = Self.message(name, in: directory) { messages[directory, default: []].insert(id) }
            if directory == .router, name.hasSuffix(".released"), let id = SpoolID(name.dropLast(9)) {
                staged.insert(id)
            }
            if let oddity = oddity(name, in: directory) { oddities.append(oddity) }
        }
    }

    private static func message(_ name: String, in directory: SpoolDirectory) -> SpoolID? {
        switch directory {
        case .public, .postman: nil
        case .router, .queue, .transport, .deferred, .freezer: SpoolID(name)
        }
    }

    /// Judges one file anew.
    func oddity(_ name: String, in directory: SpoolDirectory) -> Oddity? {
        let path = "\(postoffice.root)/\(directory.rawValue)/\(name)"
        guard let mark = FileMark(path) else { return nil }
        func odd(_ problem: SpoolFinding.Problem, _ detail: String) -> Oddity {
            Oddity(directory: directory, name: name, problem: problem, detail: detail, mark: mark)
        }
        let age = now - Int64(mark.changedSeconds)
        guard mark.isRegular else {
            // What people keep in postman/ is theirs.
            return directory == .postman ? nil : odd(.notAFile, "a directory, a link or a device")
        }
        switch directory {
        case .postman: return nil
        case .public: return age > limits.draftAge ? odd(.oldDraft, "unchanged for \(age / 3600) hours") : nil
        case .router, .queue, .transport, .deferred, .freezer: break
        }
        if SpoolID(name) == nil {
            switch Self.company(name, in: directory) {
            case .known: break
            case .note(let id):
                if age > limits.noteAge, FileMark(postoffice.path(.freezer, id)) == nil {
                    return odd(.orphanNote, "its message is gone")
                }
            case .strange: return age > limits.strangeAge ? odd(.strangeFile, "no name of a message") : nil
            }
        }
        if mark.owner != owner {
            return odd(.wrongOwner, "it belongs to uid \(mark.owner), POSTOFFICE to uid \(owner)")
        }
        let needed: mode_t = directory == .transport ? 0o600 : 0o400
        guard mark.mode & needed == needed, mark.mode & 0o7022 == 0 else {
            return odd(.wrongMode, "mode \(String(mark.mode, radix: 8))")
        }
        return nil
    }

    private enum Company {
        case known
        case note(SpoolID)
        case strange
    }

    /// Names that are no message's and stand beside messages.
    private static func company(_ name: String, in directory: SpoolDirectory) -> Company {
        switch directory {
        case .router where name.hasSuffix(".released") && SpoolID(name.dropLast(9)) != nil: .known
        // A reroute, or a move, that the scheduler completes or takes back when it starts (docs/spool.md §8).
        case .router where Postoffice.stagedReroute(name) != nil: .known
        case .transport where name.hasSuffix(".new") && SpoolID(name.dropLast(4)) != nil: .known
        // The scheduler takes them at each look (ZMailer's way to ask for ETRN).
        case .transport where name.hasSuffix("-etrn") && name.utf8.first.map { (48...57).contains($0) } ?? false: .known
        case .freezer where name.hasSuffix(".reason"): SpoolID(name.dropLast(7)).map { .note($0) } ?? .strange
        case .public, .router, .queue, .transport, .deferred, .freezer, .postman: .strange
        }
    }

    func has(_ id: SpoolID, in directory: SpoolDirectory) -> Bool { messages[directory]?.contains(id) ?? false }
}
