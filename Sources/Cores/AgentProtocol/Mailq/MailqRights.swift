/// What an account of scheduler.auth may ask for (scheduler.md §5).
public struct MailqRights: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `SHOW SNMP`.
    public static let snmp = MailqRights(rawValue: 1)
    /// `SHOW QUEUE SHORT`.
    public static let queue = MailqRights(rawValue: 2)
    /// `SHOW QUEUE THREADS`, `SHOW THREAD`.
    public static let threads = MailqRights(rawValue: 4)
    public static let etrn = MailqRights(rawValue: 8)
    public static let kill = MailqRights(rawValue: 16)
    /// Reports of smtpserver, which reads the same file; nothing of the scheduler's.
    public static let smtpReports = MailqRights(rawValue: 32)

    public static let all: MailqRights = [.snmp, .queue, .threads, .etrn, .kill, .smtpReports]

    /// The words of the file.
    static let words: [(word: String, rights: MailqRights)] = [
        ("NONE", []), ("SNMP", .snmp), ("QQ", .queue), ("TT", .threads), ("ETRN", .etrn), ("KILL", .kill),
        ("SMTPIP", .smtpReports), ("ALL", .all),
    ]
}
