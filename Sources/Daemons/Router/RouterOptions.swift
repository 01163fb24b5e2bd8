import ProgramKit

/// The command line of `router` (router.md §1).
struct RouterOptions {
    enum Role { case master, policy, worker, freezer }

    var role = Role.master
    var environmentFile: String?
    var postoffice: String?
    var log: String?
    var workers: Int?
    var replacesOther = false
    var staysInForeground = false
    var isDetached = false
    var onlyChecks = false
    var printsHelp = false
    var printsVersion = false

    /// Workers at most.
    static let maximumWorkers = 64

    private static let specs: [OptionSpec] = [
        OptionSpec("Z", value: "file", "configuration (default /etc/zmailer/zmailer.conf)"),
        OptionSpec("P", value: "directory", "POSTOFFICE, instead of the configuration's"),
        OptionSpec("L", "log", value: "file", "log, instead of LOGDIR/router or standard error"),
        OptionSpec("n", value: "count", "routing workers (default: one a processor)"),
        OptionSpec("k", "kill", "end the router that runs and take its place"),
        OptionSpec("d", "daemon", "run as a daemon: what it does anyway"),
        OptionSpec(nil, "foreground", "stay in the foreground and log to standard error"),
        OptionSpec(nil, "check", "read configuration and tables, report all mistakes, and end"),
        OptionSpec("V", "version", "print the version and end"),
        OptionSpec(nil, "help", "print this and end"),
        OptionSpec(nil, "policy", "internal: be the policy service"),
        OptionSpec(nil, "worker", "internal: be a routing worker"),
        OptionSpec(nil, "freezer", "internal: look after the freezer once"),
        OptionSpec(nil, "detached", "internal: started by a router that left the terminal"),
        OptionSpec("i", nil, "not available: questions are answered by the policy service (docs/protocols.md)"),
        OptionSpec("I", value: "name", "not available: as -i"),
        OptionSpec("f", value: "file", "not available: routing is not scripted, see routes and aliases"),
        OptionSpec("o", value: "options", "not available: as -f"),
        OptionSpec("t", nil, "not available: the log names the table and line of each decision"),
        OptionSpec("N", nil, "not available: all log lines go to one place"),
        OptionSpec("r", value: "count", "not available: there is one directory to route"),
        OptionSpec("s", nil, "not available: messages are always taken oldest first"),
        OptionSpec("S", nil, "not available: as -s"),
        OptionSpec("W", nil, "not available: headers of relayed mail are not judged"),
    ]

    static var usage: String { CommandLineOptions.usage("router", "[-Z file] [options]", specs) }

    static func parse(_ arguments: [String]) throws(UsageError) -> RouterOptions {
        let parsed = try CommandLineOptions.parse(arguments, specs)
        var options = RouterOptions()
        for (key, value) in parsed.options {
            switch key {
            case "Z": options.environmentFile = value
            case "P": options.postoffice = value
            case "L": options.log = value
            case "n":
                guard let count = Int(value), (1...maximumWorkers).contains(count) else {
                    throw UsageError("option '-n' needs a number from 1 to \(maximumWorkers), not '\(value)'")
                }
                options.workers = count
            case "k": options.replacesOther = true
            case "d": continue
            case "foreground": options.staysInForeground = true
            case "check": options.onlyChecks = true
            case "V": options.printsVersion = true
            case "help": options.printsHelp = true
            case "policy": options.role = .policy
            case "worker": options.role = .worker
            case "freezer": options.role = .freezer
            case "detached": options.isDetached = true
            default: throw UsageError("option '-\(key)' is \(help(key))")
            }
        }
        if let operand = parsed.operands.first { throw UsageError("unexpected operand '\(operand)'") }
        return options
    }

    private static func help(_ key: String) -> String { specs.first { $0.key == key }?.help ?? "unknown" }

    /// What a child of this process gets besides its role.
    var childArguments: [String] {
        var arguments: [String] = []
        if let environmentFile { arguments += ["-Z", environmentFile] }
        if let postoffice { arguments += ["-P", postoffice] }
        if let log { arguments += ["-L", log] }
        if staysInForeground { arguments.append("--foreground") }
        return arguments
    }
}
