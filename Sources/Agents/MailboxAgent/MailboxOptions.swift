import AgentKit
import Configuration
import ProgramKit

/// The command line (transport-agents.md §3).
struct MailboxOptions: Hashable, Sendable {
    var channel = "local"
    var host: String?
    var logFile: String?
    var environmentFile: String?
    var maximumJobs = 16
    /// `-d`: in place of MAILBOX.
    var store: String?
    var keepsAccessTime = true
    var createsMailboxes = true
    /// `-F`: a full mailbox is a permanent failure.
    var quotaIsPermanent = false
    /// `-D`, `-P`, `-X`.
    var hashing = DirectoryHashing()
    /// `-M`.
    var format = MailboxFormat.mbox
    /// `-U`.
    var writesUniqueID = false
    /// `-b`.
    var biffs = false
    /// `-8`.
    var decodes = false
    var isVerbose = false
    var limits = CommandDelivery.Limits()
    /// Of ZMailer's, those that were given and are not done here: why, by option.
    var refused: [String: String] = [:]

    init() {}

    /// What ZMailer's options would do that is not done.
    private static let refusals = [
        "R": "other hosts are not told of new mail: what rwhod collects comes from whoever is on the network",
        "r": "other hosts are not told of new mail: what rwhod collects comes from whoever is on the network",
        "S": "Return-Receipt-To is not answered: it lets a stranger have mail sent to anybody; NOTIFY=SUCCESS is",
    ]

    static let specs: [OptionSpec] = [
        OptionSpec("8", nil, "decode quoted-printable texts"),
        OptionSpec("a", nil, "do not preserve the access time of mailbox files"),
        OptionSpec("b", nil, "tell comsat of this host of new mail in mailbox files"),
        OptionSpec("C", nil, "use the account's own name: always so here"),
        OptionSpec("c", nil, value: "CHANNEL", "serve this channel (local)"),
        OptionSpec(
            "d", nil, value: "PLACE", "maildir:PATH or mbox:PATH in place of MAILBOX; a plain PATH is mbox:PATH[/%u]"),
        OptionSpec(
            "D", nil, "a directory for each D (at most 10) from the user's first letters, in front of the mailbox"),
        OptionSpec("F", nil, value: "edquot", "a mailbox over its quota is a permanent failure"),
        OptionSpec("g", nil, "do not create mbox files that are missing"),
        OptionSpec("h", nil, value: "HOST", "serve only recipients of this host"),
        OptionSpec("H", nil, "headers are never converted: always so here"),
        OptionSpec("j", "jobs", value: "N", "deliveries at the same time (16)"),
        OptionSpec("l", nil, value: "FILE", "log file ($LOGDIR/mailbox)"),
        OptionSpec("M", nil, "mailbox files in MMDF format"),
        OptionSpec("P", nil, "a directory for each P (at most 10) from the PJW hash of the mailbox's name"),
        OptionSpec("R", nil, "remote biff: not done, and logged"),
        OptionSpec("r", nil, "remote biff: not done, and logged"),
        OptionSpec("S", nil, "Return-Receipt-To: not done, and logged"),
        OptionSpec("U", nil, "write X-UIDL"),
        OptionSpec("v", nil, "log more"),
        OptionSpec("V", nil, "print the version"),
        OptionSpec("X", nil, "a directory for each X (at most 10) from the CRC-32 of the mailbox's name"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "command-time", value: "SECONDS", "a |command may take this long (600)"),
        OptionSpec(nil, "command-memory", value: "MIB", "a |command may use this much address space (2048)"),
        OptionSpec(nil, "command-cpu", value: "SECONDS", "a |command may use this much processor time (300)"),
        OptionSpec(nil, "command-file", value: "MIB", "a |command may write files of this size (1024)"),
        OptionSpec(nil, "help", "print this"),
    ]

    init(_ parsed: CommandLineOptions) throws(UsageError) {
        if let operand = parsed.operands.first {
            throw UsageError("'\(operand)': jobs are read from standard input")
        }
        channel = parsed.value("c") ?? channel
        host = parsed.value("h")
        logFile = parsed.value("l")
        environmentFile = parsed.value("Z")
        keepsAccessTime = !parsed.has("a")
        createsMailboxes = !parsed.has("g")
        if let word = parsed.value("F") {
            guard word == "edquot" else { throw UsageError("-F \(word): valid is edquot") }
            quotaIsPermanent = true
        }
        hashing = DirectoryHashing(
            letters: try Self.level(parsed, "D"), pjw: try Self.level(parsed, "P"), crc: try Self.level(parsed, "X"))
        format = parsed.has("M") ? .mmdf : .mbox
        writesUniqueID = parsed.has("U")
        decodes = parsed.has("8")
        biffs = parsed.values("b").count % 2 == 1
        isVerbose = parsed.has("v")
        refused = Self.refusals.filter { parsed.has($0.key) }
        store = parsed.value("d").map(Self.store)
        maximumJobs = try Self.number(parsed, "j", 1...1000) ?? maximumJobs
        if let seconds = try Self.number(parsed, "command-time", 1...86400) { limits.time = .seconds(seconds) }
        if let size = try Self.number(parsed, "command-memory", 16...1_048_576) { limits.memory = UInt64(size) << 20 }
        if let seconds = try Self.number(parsed, "command-cpu", 1...86400) { limits.processor = UInt64(seconds) }
        if let size = try Self.number(parsed, "command-file", 1...1_048_576) { limits.file = UInt64(size) << 20 }
    }

    private static func level(_ parsed: CommandLineOptions, _ key: String) throws(UsageError) -> Int {
        let count = parsed.values(key).count
        guard count <= DirectoryHashing.maximum else {
            throw UsageError("-\(key) \(count) times: valid are at most \(DirectoryHashing.maximum)")
        }
        return count
    }

    private static func store(_ text: String) -> String {
        if text.hasPrefix("maildir:") || text.hasPrefix("mbox:") { return text }
        return text.contains("%") ? "mbox:\(text)" : "mbox:\(text)/%u"
    }

    private static func number(
        _ parsed: CommandLineOptions, _ key: String, _ range: ClosedRange<Int>
    ) throws(UsageError) -> Int? {
        guard let text = parsed.value(key) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw UsageError("-\(key) \(text): valid are \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
