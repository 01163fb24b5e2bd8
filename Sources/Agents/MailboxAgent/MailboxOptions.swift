import AgentKit
import Configuration
import ProgramKit

/// The command line (transport-agents.md §3). Letters of ZMailer's agent that have no meaning here are refused with the reason.
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
    var isVerbose = false
    var limits = CommandDelivery.Limits()

    init() {}

    static let specs: [OptionSpec] = [
        OptionSpec("a", nil, "do not preserve the access time of mailbox files"),
        OptionSpec("c", nil, value: "CHANNEL", "serve this channel (local)"),
        OptionSpec(
            "d", nil, value: "PLACE", "maildir:PATH or mbox:PATH in place of MAILBOX; a plain PATH is mbox:PATH[/%u]"),
        OptionSpec("F", nil, "a mailbox over its quota is a permanent failure"),
        OptionSpec("g", nil, "do not create mbox files that are missing"),
        OptionSpec("h", nil, value: "HOST", "serve only recipients of this host"),
        OptionSpec("H", nil, "headers are never converted: always so here"),
        OptionSpec("j", "jobs", value: "N", "deliveries at the same time (16)"),
        OptionSpec("l", nil, value: "FILE", "log file ($LOGDIR/mailbox)"),
        OptionSpec("v", nil, "log more"),
        OptionSpec("V", nil, "print the version"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "command-time", value: "SECONDS", "a |command may take this long (600)"),
        OptionSpec(nil, "command-memory", value: "MIB", "a |command may use this much address space (2048)"),
        OptionSpec(nil, "help", "print this"),
    ]

    private static let refused: [(OptionSpec, String)] = [
        (OptionSpec("8", nil, ""), "messages are delivered octet for octet"),
        (OptionSpec("b", nil, ""), "biff is not served"),
        (OptionSpec("C", nil, ""), "the account's own name is always used"),
        (OptionSpec("D", nil, ""), "say where mailboxes are with MAILBOX and %u"),
        (OptionSpec("M", nil, ""), "MMDF folders are not written"),
        (OptionSpec("P", nil, ""), "hashed directories are not supported"),
        (OptionSpec("r", nil, ""), "biff is not served"),
        (OptionSpec("R", nil, ""), "biff is not served"),
        (OptionSpec("S", nil, ""), "Return-Receipt-To is not answered: senders ask with NOTIFY (RFC 3461)"),
        (OptionSpec("U", nil, ""), "X-UIDL is not written"),
        (OptionSpec("X", nil, ""), "hashed directories are not supported"),
    ]

    /// For getopt: those that are refused, too.
    static var parsedSpecs: [OptionSpec] { specs + refused.map(\.0) }

    init(_ parsed: CommandLineOptions) throws(UsageError) {
        for (spec, reason) in Self.refused where parsed.has(spec.key) {
            throw UsageError("option -\(spec.key) is not supported: \(reason)")
        }
        if let operand = parsed.operands.first {
            throw UsageError("'\(operand)': jobs are read from standard input")
        }
        channel = parsed.value("c") ?? channel
        host = parsed.value("h")
        logFile = parsed.value("l")
        environmentFile = parsed.value("Z")
        keepsAccessTime = !parsed.has("a")
        createsMailboxes = !parsed.has("g")
        quotaIsPermanent = parsed.has("F")
        isVerbose = parsed.has("v")
        store = parsed.value("d").map(Self.store)
        maximumJobs = try Self.number(parsed, "j", 1...1000) ?? maximumJobs
        if let seconds = try Self.number(parsed, "command-time", 1...86400) { limits.time = .seconds(seconds) }
        if let size = try Self.number(parsed, "command-memory", 16...1_048_576) { limits.memory = UInt64(size) << 20 }
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
