import Glibc
import SpoolFormat

/// How messages stand in one file.
enum MailboxFormat: Hashable, Sendable {
    /// Each with a `From ` line in front and an empty line behind it; such lines in messages are quoted.
    case mbox
    /// The same, each between lines of four 0x01 (`-M`).
    case mmdf
}

/// Appending to a mailbox file: the user's own, or a `/file` target.
struct MailboxFile {
    let path: String
    let locks: [LockKeys.Key]
    var format = MailboxFormat.mbox
    /// Whether a missing file is made.
    var creates = true
    /// Whether the time of the last reading stays what it was (`-a` turns it off): readers take it for the user's.
    var keepsAccessTime = true
    /// Whose it must be, or root's, where others than its owner may make files in its directory; `nil`: anybody's.
    var owner: uid_t?
    var patience = MailboxLock.standardPatience
    var system = SystemStart.current
    var passage = Passage()

    enum Outcome: Hashable {
        /// The message begins at this octet of the file.
        case delivered(at: Int)
        /// By an earlier attempt that was cut off before it could say so.
        case wasThere
    }

    /// Everything or nothing is in the file afterwards, and durable: a failure truncates it to what it was, and what is left of a
    /// delivery that was killed is taken away first. `separator` is the `From ` line, `identity` that of message and recipient.
    func append(
        _ copy: LocalCopy, separator: String, identity: String
    ) throws(DeliveryProblem) -> Outcome {
        // A reader may replace the file while we wait for the lock; then the new one is meant.
        for _ in 0..<5 {
            let file = try openMailbox()
            let lock = MailboxLock(path, file, locks, patience: patience)
            passage.advance()
            try lock.take()
            defer { lock.release() }
            passage.advance()
            let before = try file.information()
            var now = stat()
            guard lstat(path, &now) == 0, now.st_ino == before.st_ino, now.st_dev == before.st_dev else { continue }
            var size = Int(before.st_size)
            var journal = AppendJournal.read(from: file)
            if journal.done.contains(identity) { return .wasThere }
            switch try journal.finding(in: file, before, now: system, passage) {
            case .nothing: break
            case .part(let start):
                guard ftruncate(file.descriptor, off_t(start)) == 0 else { throw .system("truncate", path, errno) }
                size = start
            case .whole:
                // Who wrote it may not have come to that.
                try file.synchronize()
                if let open = journal.open { journal.finish(open.identity) }
                if journal.done.first == identity {
                    guard journal.write(to: file) else { throw noteProblem }
                    return .wasThere
                }
            }
            journal.open = nil
            try passage.check()
            let outcome = try append(copy, separator, identity, to: file, at: size, journal)
            if keepsAccessTime {
                // Only a hint to mail readers: its failure changes nothing for the message.
                let times = [before.st_atim, timespec(tv_sec: 0, tv_nsec: Self.omitted)]
                futimens(file.descriptor, times)
            }
            return outcome
        }
        throw .temporary("4.2.0", "\(path) is replaced again and again")
    }

    private func append(
        _ copy: LocalCopy, _ separator: String, _ identity: String, to file: OpenFile, at size: Int,
        _ before: AppendJournal
    ) throws(DeliveryProblem) -> Outcome {
        var frame = Frame(format: format, separator: separator)
        let gap = try frame.gap(file, size)
        let lead = gap + frame.lead
        // Once to know its size and checksum, so that a part can be told from the whole.
        var head: [UInt8] = []
        var count = 0
        var checksum = Checksum()
        try frame.write(copy, lead) { (piece: UnsafeRawBufferPointer) throws(DeliveryProblem) in
            count += piece.count
            checksum.update(piece)
            passage.advance()
            if head.count < AppendJournal.maximumHead {
                head += piece.prefix(AppendJournal.maximumHead - head.count)
            }
        }
        copy.rewind()
        var journal = before
        journal.open = AppendJournal.Append(
            identity: identity, start: size, count: count, checksum: checksum, head: head, time: time(nil),
            system: system.id)
        guard journal.write(to: file) else { throw noteProblem }
        do throws(DeliveryProblem) {
            var writer = SteadyWriter(file, passage)
            try frame.write(copy, lead) { (piece: UnsafeRawBufferPointer) throws(DeliveryProblem) in
                try passage.check()
                try writer.write(piece)
            }
            try writer.finish()
            // What nobody waits for may stay where the next attempt knows it by its note. Elsewhere it would be one copy more.
            if passage.isClosed, AppendJournal.read(from: file).open != journal.open { try passage.check() }
            journal.finish(identity)
            // Not synchronized: see AppendJournal. But who reports with the old note there, risks what its reader changes.
            guard journal.write(to: file) else { throw noteProblem }
        } catch {
            if ftruncate(file.descriptor, off_t(size)) != 0 {
                let code = errno
                throw .system("truncate (a part of a message was left)", path, code)
            }
            // A note of an append at work says nothing of a file that ends where it began: that it is gone is not needed.
            _ = before.write(to: file)
            throw error
        }
        return .delivered(at: size + gap.utf8.count)
    }

    private var noteProblem: DeliveryProblem {
        .temporary("4.3.0", "\(path): its extended attribute user.zmailer.append can neither be changed nor removed")
    }

    /// `UTIME_OMIT`.
    private static let omitted = (1 << 30) - 2

    private func openMailbox() throws(DeliveryProblem) -> OpenFile {
        // O_NONBLOCK: a FIFO must not hold us. O_NOFOLLOW and the checks below: only the file that the name says.
        let flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK
        let file: OpenFile
        do throws(Errno) { file = try OpenFile(path, flags) } catch {
            switch error.code {
            case ENOENT where creates: return try create(flags)
            case ENOENT: throw .refused("5.2.1", "\(path) does not exist")
            case ELOOP: throw .refused("5.2.0", "\(path) is a symbolic link")
            case EISDIR, ENXIO: throw .refused("5.2.0", "\(path) is not a regular file")
            default: throw .system("open", path, error.code)
            }
        }
        let information = try file.information()
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw .refused("5.2.0", "\(path) is not a regular file")
        }
        if let owner { try PathSafety.requireOwner(owner, of: path, information) }
        guard information.st_nlink == 1 else { throw .refused("5.2.0", "\(path) has more than one name") }
        return file
    }

    private func create(_ flags: Int32) throws(DeliveryProblem) -> OpenFile {
        do throws(Errno) {
            let file = try OpenFile(path, flags | O_CREAT | O_EXCL)
            synchronizeDirectory()
            return file
        } catch {
            // Somebody else has made it meanwhile; it is looked at like any other.
            if error.code == EEXIST { return try openMailbox() }
            throw .system("create", path, error.code)
        }
    }

    /// A directory that may be written but not read (mode 1733) cannot be synchronized; the mail is delivered all the same.
    private func synchronizeDirectory() {
        let descriptor = open(PathSafety.directory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}

/// A message with what stands around it in a mailbox file.
private struct Frame {
    let format: MailboxFormat
    let separator: String

    static let mmdf = "\u{1}\u{1}\u{1}\u{1}\n"

    /// In front of the message.
    var lead: String { format == .mmdf ? Self.mmdf + separator : separator }

    /// The newlines that are missing between what is there and the next message.
    func gap(_ file: OpenFile, _ size: Int) throws(DeliveryProblem) -> String {
        guard size > 0 else { return "" }
        let tail = try file.octets(at: max(0, size - 2), count: min(size, 2))
        var ending = TextEnding()
        tail.withUnsafeBytes { ending.note($0) }
        return ending.padding(format)
    }

    /// All of it, in pieces.
    mutating func write(
        _ copy: LocalCopy, _ lead: String, _ body: (UnsafeRawBufferPointer) throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        try Self.give(lead, body)
        var quoting = LineQuoting(format)
        var ending = TextEnding()
        while let piece = try copy.piece() {
            try quoting.forEachPart(of: piece, body)
            ending.note(piece)
        }
        try Self.give(ending.padding(format) + (format == .mmdf ? Self.mmdf : ""), body)
    }

    static func give(
        _ text: String, _ body: (UnsafeRawBufferPointer) throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        var text = text
        var problem: DeliveryProblem?
        text.withUTF8 { octets in
            do throws(DeliveryProblem) { try body(UnsafeRawBufferPointer(octets)) } catch { problem = error }
        }
        if let problem { throw problem }
    }
}

/// Puts `>` in front of lines that would begin or end a message: `From `, and four 0x01 in MMDF.
struct LineQuoting {
    private var isLineStart = true
    private let words: [[UInt8]]

    init(_ format: MailboxFormat) {
        words = (format == .mmdf ? ["From ", "\u{1}\u{1}\u{1}\u{1}"] : ["From "]).map { Array($0.utf8) }
    }

    /// Calls `body` with the parts of `piece`, quotes in between. A piece ends with a line, or is a part of a line too long to
    /// be one piece.
    mutating func forEachPart(
        of piece: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        guard let last = piece.last else { return }
        if isLineStart, words.contains(where: { piece.starts(with: $0) }) { try Frame.give(">", body) }
        var rest = piece
        while let found = Octets.lineEnd(before: words, in: rest) {
            try body(UnsafeRawBufferPointer(rebasing: rest[...found]))
            try Frame.give(">", body)
            rest = UnsafeRawBufferPointer(rebasing: rest[(found + 1)...])
        }
        try body(rest)
        isLineStart = last == 0x0a
    }
}

/// Whether a text ends in the empty line that separates messages.
struct TextEnding {
    private var newlines = 0

    mutating func note(_ octets: UnsafeRawBufferPointer) {
        guard let last = octets.last else { return }
        if last != 0x0a {
            newlines = 0
        } else if octets.count >= 2 {
            newlines = octets[octets.count - 2] == 0x0a ? 2 : 1
        } else {
            newlines = min(2, newlines + 1)
        }
    }

    /// What is missing: an empty line in mbox, the end of the line in MMDF.
    func padding(_ format: MailboxFormat) -> String {
        String(repeating: "\n", count: max(0, (format == .mmdf ? 1 : 2) - newlines))
    }
}
