import Glibc
import MailModel
import ProgramKit
import Routing

/// A user's `.forward`, read under his identity. What is wrong with it defers his mail and says why: it is neither lost nor does it
/// go where he does not want it.
struct ForwardFile: Hashable {
    /// That was read: `/home/alice/.forward+list`.
    let path: String
    /// Includes are followed.
    let targets: [AliasTarget]

    /// `:include:` files of one `.forward`, and how deep they may name each other.
    static let maximumIncludes = 10
    static let maximumDepth = 3

    /// Homes of those who have none (Debian policy §9.2.3); nothing is looked for there.
    private static let noHomes: Set<String> = ["", "/", "/nonexistent", "/dev/null", "/var/empty"]

    /// `nil`: the user has none. `.forward+detail` goes before `.forward`.
    static func read(
        home: String, detail: String?, uid: uid_t, _ passage: Passage = Passage()
    ) throws(DeliveryProblem) -> ForwardFile? {
        guard !noHomes.contains(home) else { return nil }
        var information = stat()
        guard stat(home, &information) == 0 else { throw trouble("home directory \(home)", errno) }
        guard information.st_mode & S_IFMT == S_IFDIR else {
            throw .temporary("4.2.1", "home directory \(home) is not a directory")
        }
        var names = [".forward"]
        if let detail, Accounts.isName("x\(detail)") { names.insert(".forward+\(detail)", at: 0) }
        for name in names {
            var reader = Reader(uid: uid, passage: passage)
            let path = "\(home)/\(name)"
            guard try reader.read(path, depth: 0) else { continue }
            return ForwardFile(path: path, targets: reader.targets)
        }
        return nil
    }

    private static func trouble(_ what: String, _ code: Int32) -> DeliveryProblem {
        .temporary("4.2.1", "\(what): \(String(cString: strerror(code)))")
    }

    /// One `.forward` with what it includes.
    private struct Reader {
        let uid: uid_t
        let passage: Passage
        var targets: [AliasTarget] = []
        private var includes = 0

        init(uid: uid_t, passage: Passage) {
            self.uid = uid
            self.passage = passage
        }

        /// `false`: there is no such file.
        mutating func read(_ path: String, depth: Int) throws(DeliveryProblem) -> Bool {
            guard let octets = try contents(path) else { return false }
            let text: ForwardText
            do throws(ForwardText.Problem) { text = try ForwardText(octets) } catch {
                throw .temporary("4.3.5", "\(path) line \(error.line): \(error.reason)")
            }
            for target in text.targets {
                if case .include(let included) = target {
                    try include(included, depth + 1)
                } else if !targets.contains(target) {
                    guard targets.count < ForwardText.maximumTargets else {
                        throw .temporary("4.3.5", "\(path): more than \(ForwardText.maximumTargets) targets")
                    }
                    targets.append(target)
                }
            }
            return true
        }

        private mutating func include(_ path: String, _ depth: Int) throws(DeliveryProblem) {
            includes += 1
            guard includes <= ForwardFile.maximumIncludes, depth <= ForwardFile.maximumDepth else {
                throw .temporary("4.3.5", "\(path): too many :include: files, or too deep (a loop?)")
            }
            guard try read(path, depth: depth) else {
                throw .temporary("4.3.5", "\(path): no such file (named by :include:)")
            }
        }

        private func contents(_ path: String) throws(DeliveryProblem) -> [UInt8]? {
            passage.advance()
            defer { passage.advance() }
            guard let resolved = PathSafety.resolved(path) else {
                let code = errno
                var information = stat()
                // A link to nothing is a mistake, not the wish to have no .forward.
                if code == ENOENT, lstat(path, &information) != 0 { return nil }
                throw ForwardFile.trouble(path, code)
            }
            let file: OpenFile
            // O_NONBLOCK: a FIFO must not hold us.
            do throws(Errno) { file = try OpenFile(resolved, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) } catch {
                if error.code == ENOENT { return nil }
                throw ForwardFile.trouble(path, error.code)
            }
            let information = try file.information()
            let problem =
                PathSafety.problem(information, uid: uid)
                ?? PathSafety.directoryProblem(above: resolved, uid: uid).map { "cannot be trusted: \($0)" }
            if let problem { throw .temporary("4.2.1", "\(path) \(problem)") }
            guard information.st_size <= ForwardText.maximumSize else {
                throw .temporary("4.3.5", "\(path) is larger than \(ForwardText.maximumSize) octets")
            }
            return try file.contents(limit: ForwardText.maximumSize)
        }
    }
}
