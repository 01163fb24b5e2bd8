import AgentKit
import Glibc
import SpoolFormat

/// Delivery into a Maildir: a whole, durable file appears in `new/`, or nothing does.
///
/// The name of the file is made of the message's and the recipient's identity. Where it is there already, an earlier attempt was
/// cut off between its success and the report: the message is delivered and not delivered again.
struct Maildir {
    let path: String
    /// A directory that must exist; without it (a home that is not mounted) nothing is made.
    let base: String?
    /// Of the Maildir that `path` is, or is a folder of.
    var size: MaildirSize?
    /// Whose that Maildir must be, or root's, where others may make directories beside it; `nil`: anybody's.
    var owner: uid_t?
    var passage = Passage()

    enum Outcome: Hashable {
        case delivered
        /// By an earlier attempt.
        case wasThere
    }

    /// `time.Q<spool id>R<offset>.host`; behind it comes the size of the file, `,S=<octets>` (Maildir++).
    static func name(of id: SpoolID, offset: Int, host: String) -> String {
        // maildir(5): what would be a separator is written in octal.
        let host = host.replacing("/", with: "\\057").replacing(":", with: "\\072")
        return "\(id.unixTime).Q\(id)R\(offset).\(host)"
    }

    /// `looksInCurrent`: also look whether a reader has moved an earlier copy to `cur/`, which costs a pass over that directory.
    func deliver(_ copy: LocalCopy, name: String, looksInCurrent: Bool) throws(DeliveryProblem) -> Outcome {
        if looksInCurrent, currentHolds(name) { return .wasThere }
        let temporary = try openTemporary(name)
        passage.advance()
        let octets: Int
        let isCounted: Bool
        do throws(DeliveryProblem) {
            // From here on it is too late to be too late: where all that is slow must be done again, it is never done. The name
            // makes the next attempt know it.
            try passage.check()
            try checkOwner()
            var writer = SteadyWriter(temporary.file, passage)
            try copy.writeAll(to: &writer)
            // Before it has its name: a name in new/ means that the whole content is durable.
            try writer.finish()
            octets = Int(try temporary.file.information().st_size)
            isCounted = try size?.admit(octets, passage) ?? false
        } catch {
            temporary.remove()
            throw error
        }
        let outcome = try link(temporary, to: "\(path)/new/\(name),S=\(octets)")
        temporary.remove()
        passage.advance()
        if isCounted, outcome == .delivered { size?.note(octets) }
        try OpenFile.synchronize(directory: "\(path)/new")
        return outcome
    }

    /// Behind the making of what was missing: nobody else can have made it since.
    private func checkOwner() throws(DeliveryProblem) {
        let maildir = size?.maildir ?? path
        var information = stat()
        guard let owner, lstat(maildir, &information) == 0 else { return }
        try PathSafety.requireOwner(owner, of: maildir, information)
    }

    /// An unnamed file where the file system has them, else one in `tmp/`.
    private struct Temporary {
        let file: OpenFile
        let isNamed: Bool

        /// 0 or `errno`.
        func link(to target: String) -> Int32 {
            let source = isNamed ? file.path : "/proc/self/fd/\(file.descriptor)"
            return linkat(AT_FDCWD, source, AT_FDCWD, target, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno
        }

        func remove() { if isNamed { unlink(file.path) } }
    }

    private func link(_ temporary: Temporary, to target: String) throws(DeliveryProblem) -> Outcome {
        var code = temporary.link(to: target)
        if code == ENOENT {
            // Whoever made this Maildir did not come to the end of it.
            try make()
            code = temporary.link(to: target)
        }
        switch code {
        case 0: return .delivered
        case EEXIST: return .wasThere
        default:
            temporary.remove()
            throw .system("link", target, code)
        }
    }

    /// `__O_TMPFILE | O_DIRECTORY`, which the importer does not take over.
    private static let unnamedFile = 0o20_000_000 | O_DIRECTORY

    private func openTemporary(_ name: String) throws(DeliveryProblem) -> Temporary {
        var hasMade = false
        while true {
            do throws(Errno) {
                return Temporary(file: try OpenFile("\(path)/tmp", Self.unnamedFile | O_WRONLY), isNamed: false)
            } catch {
                switch error.code {
                case ENOENT where !hasMade:
                    try make()
                    hasMade = true
                // File systems without unnamed files, old kernels.
                case EOPNOTSUPP, EISDIR, EINVAL: return try openNamed(name)
                default: throw .system("open", "\(path)/tmp", error.code)
                }
            }
        }
    }

    private func openNamed(_ name: String) throws(DeliveryProblem) -> Temporary {
        let target = "\(path)/tmp/\(name)"
        for _ in 0..<2 {
            do throws(Errno) {
                return Temporary(file: try OpenFile(target, O_WRONLY | O_CREAT | O_EXCL), isNamed: true)
            } catch {
                guard error.code == EEXIST else { throw .system("open", target, error.code) }
                // Left by an attempt that was cut off: the scheduler gives a recipient to one agent at a time.
                unlink(target)
            }
        }
        throw .temporary("4.3.0", "open \(target): somebody else makes this file")
    }

    /// Makes the three directories and what is missing above them, for the owner alone.
    private func make() throws(DeliveryProblem) {
        if let base, access(base, F_OK) != 0 { throw .system("home directory", base, errno) }
        try Self.makeDirectory(path)
        // tmp last: where it is, the others are.
        for name in ["cur", "new", "tmp"] { try Self.makeDirectory("\(path)/\(name)") }
    }

    private static func makeDirectory(_ path: String) throws(DeliveryProblem) {
        if mkdir(path, 0o700) != 0 {
            switch errno {
            case EEXIST: return
            case ENOENT:
                guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                    throw .system("mkdir", path, ENOENT)
                }
                try makeDirectory(String(path[..<slash]))
                guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .system("mkdir", path, errno) }
            default: throw .system("mkdir", path, errno)
            }
        }
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        try OpenFile.synchronize(directory: String(path[..<slash]))
    }

    /// Whether a name in `cur/` is `name`, with or without flags. A directory that cannot be read holds nothing.
    private func currentHolds(_ name: String) -> Bool {
        guard let directory = opendir("\(path)/cur") else { return false }
        defer { closedir(directory) }
        let wanted = Array(name.utf8)
        while let entry = readdir(directory) {
            passage.advance()
            let isSame = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                bytes.starts(with: wanted) && [0, UInt8(ascii: ":"), UInt8(ascii: ",")].contains(bytes[wanted.count])
            }
            if isSame { return true }
        }
        return false
    }
}
