import Glibc

/// Appending to an mbox file: the user's mailbox, or a `/file` target.
struct MailboxFile {
    let path: String
    let locks: [LockKeys.Key]
    /// Whether a missing file is made.
    var creates = true
    /// Whether the time of the last reading stays what it was (`-a` turns it off): readers take it for the user's.
    var keepsAccessTime = true
    var patience = MailboxLock.standardPatience

    /// Everything or nothing is in the file afterwards, and durable: a failure truncates it to what it was. `separator` is the
    /// `From ` line.
    func append(_ copy: LocalCopy, separator: String) throws(DeliveryProblem) {
        // A reader may replace the file while we wait for the lock; then the new one is meant.
        for _ in 0..<5 {
            let file = try openMailbox()
            let lock = MailboxLock(path, file, locks, patience: patience)
            try lock.take()
            let before = try file.information()
            var now = stat()
            guard lstat(path, &now) == 0, now.st_ino == before.st_ino, now.st_dev == before.st_dev else { continue }
            do throws(DeliveryProblem) {
                try write(copy, separator, to: file, size: Int(before.st_size))
                try file.synchronize()
            } catch {
                if ftruncate(file.descriptor, before.st_size) != 0 {
                    let code = errno
                    throw .system("truncate (a part of a message was left)", path, code)
                }
                throw error
            }
            if keepsAccessTime {
                // Only a hint to mail readers: its failure changes nothing for the message.
                let times = [before.st_atim, timespec(tv_sec: 0, tv_nsec: Self.omitted)]
                futimens(file.descriptor, times)
            }
            return
        }
        throw .temporary("4.2.0", "\(path) is replaced again and again")
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
        guard let slash = path.lastIndex(of: "/") else { return }
        let directory = open(
            slash == path.startIndex ? "/" : String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    private func write(
        _ copy: LocalCopy, _ separator: String, to file: OpenFile, size: Int
    ) throws(DeliveryProblem) {
        try file.write(try gap(file, size) + separator)
        var quoting = FromQuoting()
        var ending = TextEnding()
        while let piece = try copy.piece() {
            try quoting.forEachPart(of: piece) { (part: UnsafeRawBufferPointer) throws(DeliveryProblem) in
                try file.write(part)
            }
            ending.note(piece)
        }
        try file.write(ending.padding)
    }

    /// The newlines that are missing between what is there and the next message.
    private func gap(_ file: OpenFile, _ size: Int) throws(DeliveryProblem) -> String {
        guard size > 0 else { return "" }
        var tail: [UInt8] = [0, 0]
        let count = pread(file.descriptor, &tail, min(size, 2), off_t(max(0, size - 2)))
        guard count >= 0 else { throw .system("read", path, errno) }
        var ending = TextEnding()
        tail[..<count].withUnsafeBytes { ending.note($0) }
        return ending.padding
    }
}

/// Puts `>` in front of lines that begin with `From `, which would begin a new message.
struct FromQuoting {
    private var isLineStart = true
    private static let word = Array("From ".utf8)
    private static let quote = Array(">".utf8)

    /// Calls `body` with the parts of `piece`, quotes in between. A piece ends with a line, or is a part of a line too long to
    /// be one piece.
    mutating func forEachPart(
        of piece: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        guard let last = piece.last else { return }
        if isLineStart, piece.starts(with: Self.word) { try writeQuote(body) }
        var rest = piece
        while let found = Octets.lineEnd(before: Self.word, in: rest) {
            try body(UnsafeRawBufferPointer(rebasing: rest[...found]))
            try writeQuote(body)
            rest = UnsafeRawBufferPointer(rebasing: rest[(found + 1)...])
        }
        try body(rest)
        isLineStart = last == 0x0a
    }

    private func writeQuote(
        _ body: (UnsafeRawBufferPointer) throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        var problem: DeliveryProblem?
        Self.quote.withUnsafeBytes { quote in
            do throws(DeliveryProblem) { try body(quote) } catch { problem = error }
        }
        if let problem { throw problem }
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

    var padding: String { String(repeating: "\n", count: 2 - newlines) }
}
