import Configuration
import ProgramKit

/// The command line (scheduler.md §1).
struct SchedulerOptions {
    var zenvFile: String?
    var configurationFile: String?
    var logFile: String?
    var postoffice: String?
    /// `-p`: only this channel/host.
    var onlyThread: SchedulerPattern?
    /// `-l`.
    var statisticsFile: String?
    /// `-M`.
    var mailqVersion = 2
    var isForeground = false
    var isDetached = false
    var isVerbose = false
    /// `-F`: look at the queue, deliver nothing.
    var isFrozen = false
    /// `-S`: know the whole queue before the first delivery.
    var isSynchronous = false
    var checksOnly = false
    var showsVersion = false
    var showsHelp = false

    static let specs: [OptionSpec] = [
        OptionSpec("d", nil, "run as a daemon (the default; after -v: in spite of it)"),
        OptionSpec("i", nil, "stay in the foreground, log to standard error"),
        OptionSpec("v", nil, "debug lines in the log; stays in the foreground unless -d follows"),
        OptionSpec("F", nil, "freeze: read the queue and answer questions, deliver nothing"),
        OptionSpec("S", nil, "synchronous start: read the whole queue before the first delivery"),
        OptionSpec("f", nil, value: "FILE", "configuration (default $MAILSHARE/scheduler.conf)"),
        OptionSpec("L", "log", value: "FILE", "log file (default $LOGDIR/scheduler)"),
        OptionSpec("P", nil, value: "DIR", "spool (default $POSTOFFICE)"),
        OptionSpec("p", nil, value: "CHANNEL/HOST", "deliver only what matches this pattern"),
        OptionSpec("V", "version", "print the version and exit"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf (default \(ZEnvironment.defaultPath))"),
        OptionSpec("W", nil, "not available"),
        OptionSpec("l", nil, value: "FILE", "statistics log: a line for each final result"),
        OptionSpec("H", nil, "not available (directory hashing)"),
        OptionSpec("E", nil, value: "N[,T]", "not available: the whole queue is always known"),
        OptionSpec("n", nil, "not available: RET of the message decides"),
        OptionSpec("q", nil, value: "FILE", "not available: $POSTOFFICE/.scheduler.mailq answers"),
        OptionSpec("Q", nil, "not available: $POSTOFFICE/.scheduler.mailq answers"),
        OptionSpec("M", nil, value: "1|2", "version of mailq at PARAMmailqsock (default 2)"),
        OptionSpec("N", nil, value: "N", "not available: the system's limit of descriptors holds"),
        OptionSpec("R", nil, value: "N", "not available: one agent of a kind is started at a time"),
        OptionSpec(nil, "foreground", "stay, log to standard error"),
        OptionSpec(nil, "check", "read the configuration, report every mistake, exit"),
        OptionSpec(nil, "help", "print this and exit"),
        OptionSpec(nil, "detached", "used by the program itself when it detaches"),
    ]

    static var usage: String { CommandLineOptions.usage("scheduler", "[options]", specs) }

    static func parse(_ arguments: [String]) throws(UsageError) -> SchedulerOptions {
        let line = try CommandLineOptions.parse(arguments, specs)
        var options = SchedulerOptions()
        for (key, value) in line.options {
            switch key {
            case "d": options.isForeground = false
            case "i", "foreground": options.isForeground = true
            case "v":
                options.isVerbose = true
                options.isForeground = true
            case "F": options.isFrozen = true
            case "S": options.isSynchronous = true
            case "f": options.configurationFile = value
            case "L": options.logFile = value
            case "P": options.postoffice = value
            case "p":
                guard let pattern = SchedulerPattern(value) else {
                    throw UsageError("-p '\(value)' is no pattern; valid is channel/host with * ? [a-z] {a,b}")
                }
                options.onlyThread = pattern
            case "l": options.statisticsFile = value
            case "M":
                guard let version = Int(value), (1...2).contains(version) else {
                    throw UsageError("-M \(value): valid are 1 and 2")
                }
                options.mailqVersion = version
            case "V": options.showsVersion = true
            case "Z": options.zenvFile = value
            case "check": options.checksOnly = true
            case "help": options.showsHelp = true
            case "detached": options.isDetached = true
            default:
                let help = specs.first { $0.key == key }?.help ?? "not available"
                throw UsageError("option -\(key): \(help)")
            }
        }
        guard line.operands.isEmpty else { throw UsageError("unexpected operand '\(line.operands[0])'") }
        return options
    }
}
