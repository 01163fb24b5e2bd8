import Glibc

/// How much a Maildir may hold: `10000000S,1000C` (Maildir++).
struct MaildirQuota: Hashable, Sendable {
    /// Octets; `nil`: as many as there is room for.
    var octets: Int?
    /// Messages.
    var messages: Int?

    /// `nil` for what is no quota. `0S` and `0C` set no limit.
    init?(_ text: some StringProtocol) {
        var octets: Int?
        var messages: Int?
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let kind = part.last, let number = Int(part.dropLast()), number >= 0 else { return nil }
            switch kind {
            case "S": octets = number
            case "C": messages = number
            default: return nil
            }
        }
        self.octets = octets == 0 ? nil : octets
        self.messages = messages == 0 ? nil : messages
    }

    var text: String {
        [octets.map { "\($0)S" }, messages.map { "\($0)C" }].compactMap(\.self).joined(separator: ",")
    }

    /// Whether that is too much.
    func isExceeded(by use: MaildirSize.Use) -> Bool {
        octets.map { use.octets > $0 } ?? false || messages.map { use.messages > $0 } ?? false
    }
}

/// The file `maildirsize` of a Maildir++: the quota in its first line, then what came and went, a line each, of which the sum is what
/// is used. Shared with IMAP servers, which keep it in the same way.
struct MaildirSize {
    /// Of the Maildir, not of a folder in it.
    let maildir: String
    /// MAILDIRQUOTA; `nil`: what the file says, and without a file there is none.
    let quota: MaildirQuota?

    struct Use: Hashable {
        var octets = 0
        var messages = 0

        /// Sizes stand in files and names that their owner may write as he likes: no sum of them may end the agent.
        mutating func add(_ octets: Int, messages: Int = 1) {
            self.octets = Self.sum(self.octets, octets)
            self.messages = Self.sum(self.messages, messages)
        }

        private static func sum(_ left: Int, _ right: Int) -> Int {
            let (sum, isTooLarge) = left.addingReportingOverflow(right)
            return isTooLarge ? (right < 0 ? .min : .max) : sum
        }
    }

    /// Octets; a longer file is counted anew.
    private static let maximumSize = 5120
    /// Seconds after which a sum that refuses mail is not believed without counting.
    private static let maximumAge = 15 * 60
    private var path: String { "\(maildir)/maildirsize" }

    /// Throws if a message of so many octets has no room (4.2.2). `false`: there is no quota, and nothing to note.
    func admit(_ octets: Int, _ passage: Passage = Passage()) throws(DeliveryProblem) -> Bool {
        var (limit, use, canBeWrong) = try read(passage)
        guard let found = limit else {
            guard let quota else { return false }
            limit = quota
            use = try count(quota, passage)
            canBeWrong = false
            return try check(quota, use, octets, nil)
        }
        if let quota, quota != found {
            use = try count(quota, passage)
            return try check(quota, use, octets, nil)
        }
        return try check(found, use, octets, canBeWrong ? passage : nil)
    }

    /// `recount`: the use may be wrong, and is counted before the message is refused.
    private func check(
        _ limit: MaildirQuota, _ use: Use, _ octets: Int, _ recount: Passage?
    ) throws(DeliveryProblem) -> Bool {
        var wanted = use
        wanted.add(octets)
        guard limit.isExceeded(by: wanted) else { return true }
        if let recount { return try check(limit, try count(limit, recount), octets, nil) }
        throw .temporary(
            "4.2.2",
            "mailbox full: \(use.octets) octets in \(use.messages) messages of \(limit.text), \(octets) more came")
    }

    /// Adds a message that has arrived. A failure makes the sum wrong until it is counted anew, and nothing else.
    func note(_ octets: Int) {
        guard let file = try? OpenFile(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK) else { return }
        try? file.write("\(octets) 1\n")
    }

    /// Limit `nil`: no file, or none that can be understood.
    private func read(
        _ passage: Passage
    ) throws(DeliveryProblem) -> (limit: MaildirQuota?, use: Use, canBeWrong: Bool) {
        let file: OpenFile
        do throws(Errno) { file = try OpenFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) } catch {
            if error.code == ENOENT { return (nil, Use(), false) }
            throw .system("open", path, error.code)
        }
        let information = try file.information()
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw .temporary("4.2.1", "\(path) is not a regular file")
        }
        let octets = try file.octets(at: 0, count: Self.maximumSize + 1)
        let lines = octets.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
        guard let first = lines.first, let limit = MaildirQuota(first) else { return (nil, Use(), false) }
        var use = Use()
        for line in lines.dropFirst() {
            let words = line.split(separator: " ")
            guard words.count == 2, let size = Int(words[0]), let count = Int(words[1]) else {
                return (limit, try self.count(limit, passage), false)
            }
            use.add(size, messages: count)
        }
        if octets.count > Self.maximumSize || use.octets < 0 || use.messages < 0 {
            return (limit, try self.count(limit, passage), false)
        }
        return (limit, use, lines.count > 2 || information.st_mtim.tv_sec < time(nil) - Self.maximumAge)
    }

    // MARK: Counting

    /// Counts all messages in all folders, and writes the file anew unless the Maildir has changed meanwhile.
    private func count(_ limit: MaildirQuota, _ passage: Passage) throws(DeliveryProblem) -> Use {
        var directories = ["\(maildir)/new", "\(maildir)/cur"]
        Self.forEachEntry(maildir, passage) { name in
            guard name.hasPrefix("."), name != ".", name != ".." else { return }
            directories += ["\(maildir)/\(name)/new", "\(maildir)/\(name)/cur"]
        }
        let before = directories.map(Self.modified)
        var use = Use()
        for directory in directories {
            Self.forEachEntry(directory, passage) { name in
                guard !name.hasPrefix("."), let size = Self.size(of: name, in: directory) else { return }
                use.add(size)
            }
        }
        if before == directories.map(Self.modified) { write(limit, use) }
        return use
    }

    private struct Moment: Hashable {
        var seconds = 0
        var nanoseconds = 0
    }

    private static func modified(_ path: String) -> Moment {
        var information = stat()
        guard lstat(path, &information) == 0 else { return Moment() }
        return Moment(seconds: information.st_mtim.tv_sec, nanoseconds: information.st_mtim.tv_nsec)
    }

    /// What its name says (`,S=`), else what the file system says.
    static func size(of name: String, in directory: String) -> Int? {
        let base = name.prefix { $0 != ":" }
        for part in base.split(separator: ",").dropFirst() where part.hasPrefix("S=") {
            if let size = Int(part.dropFirst(2)), size >= 0 { return size }
        }
        var information = stat()
        guard lstat("\(directory)/\(name)", &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        return Int(information.st_size)
    }

    /// In one step, by way of `tmp/`.
    private func write(_ limit: MaildirQuota, _ use: Use) {
        let temporary = "\(maildir)/tmp/maildirsize.\(getpid()).\(pthread_self())"
        do {
            let file = try OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
            try file.write("\(limit.text)\n\(use.octets) \(use.messages)\n")
            if rename(temporary, path) != 0 { unlink(temporary) }
        } catch {
            unlink(temporary)
        }
    }

    private static func forEachEntry(_ path: String, _ passage: Passage, _ body: (String) -> Void) {
        guard let stream = opendir(path) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            passage.advance()
            body(withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
    }
}
