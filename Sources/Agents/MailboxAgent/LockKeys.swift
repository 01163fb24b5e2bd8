/// `MBOXLOCKS` of zmailer.conf: which locks protect a mailbox, in order. `.` dotlock, `F` flock(2), `L` lockf(3).
struct LockKeys: Hashable, Sendable {
    enum Key: Character, Hashable, Sendable {
        case dotlock = "."
        case flock = "F"
        case lockf = "L"
    }

    let mailboxes: [Key]
    /// For `/file` targets.
    let files: [Key]

    static let standard = LockKeys(mailboxes: [.dotlock, .lockf], files: [.lockf])

    private init(mailboxes: [Key], files: [Key]) {
        self.mailboxes = mailboxes
        self.files = files
    }

    /// `keys[:keys]`; without a colon the same for both.
    init(_ text: String) throws(SettingsError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var keys: [[Key]] = []
        for part in parts {
            var list: [Key] = []
            for character in part {
                guard let key = Key(rawValue: character) else {
                    throw SettingsError(
                        "'\(text)': valid are the letters . (dotlock) F (flock) L (lockf), before a colon for mailboxes, "
                            + "behind it for files; for example .L:L")
                }
                list.append(key)
            }
            keys.append(list)
        }
        self.init(mailboxes: keys[0], files: keys.count > 1 ? keys[1] : keys[0])
    }
}
