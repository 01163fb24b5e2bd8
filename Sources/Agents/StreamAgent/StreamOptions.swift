import AgentKit
import ProgramKit

/// The command line of `sm` (transport-agents.md §4).
struct StreamOptions {
    /// The operand, or `-c`.
    let mailer: String
    let channel: String
    let host: String?
    let configurationFile: String?
    let logFile: String?
    let environmentFile: String?
    var maximumJobs = 4
    var isVerbose = false
    /// `-8`.
    var decodesQuotedPrintable = false
    /// `-H`.
    var keepsHeaders = false
    var limits = ProgramRun.Limits()

    init(_ parsed: CommandLineOptions) throws(UsageError) {
        if parsed.operands.count > 1 {
            throw UsageError("'\(parsed.operands[1])': one mailer only; jobs are read from standard input")
        }
        guard let mailer = parsed.operands.first ?? parsed.value("c") else {
            throw UsageError("a mailer of sm.conf is needed, or -c CHANNEL of the same name")
        }
        self.mailer = mailer
        channel = parsed.value("c") ?? mailer
        host = parsed.value("h")
        configurationFile = parsed.value("f")
        logFile = parsed.value("l")
        environmentFile = parsed.value("Z")
        isVerbose = parsed.has("v")
        decodesQuotedPrintable = parsed.has("8")
        keepsHeaders = parsed.has("H")
        maximumJobs = try parsed.number("j", 1...1000) ?? maximumJobs
        if let seconds = try parsed.number("command-time", 1...86400) { limits.time = .seconds(seconds) }
        if let size = try parsed.number("command-memory", 16...1_048_576) { limits.memory = UInt64(size) << 20 }
    }
}
