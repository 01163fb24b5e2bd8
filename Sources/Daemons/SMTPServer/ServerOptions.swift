import Glibc
import MailModel
import ProgramKit
import SMTPProtocol

/// The command line of smtpserver, ZMailer's letters and our long names (smtpserver(8)).
struct ServerOptions: Sendable {
    enum AddressFamily: Hashable, Sendable {
        /// IPv6 where the system has it, IPv4 else.
        case automatic
        case ipv4
        case ipv6
    }

    var family = AddressFamily.automatic
    var configurationFile: String?
    var debugLevel = 0
    var isGullible = false
    var checksHelloSyntax = false
    var isInteractive = false
    var pidFile = ".pid.smtpserver"
    var logFile: String?
    var logsToSyslog = false
    var maximumLoad = 999
    var maximumMessageSize: Int?
    var port: Int?
    var postoffice: String?
    /// `-R`: absolute; `nil`: that of POSTOFFICE.
    var policySocket: String?
    var style: Style?
    var echoesCommands = false
    var environmentFile: String?
    /// `-T`: the session is a test of the policy, as if from here.
    var testClient: IPAddress?
    enum LogSuffix: Sendable {
        case local
        case remote
    }
    var asksIdent = false
    var asksWhoson = false
    var isBSMTP = false
    var isInetd = false
    /// `-t`
    var startsTLS = false
    /// `-S`
    var logSuffix: LogSuffix?
    var isForeground = false
    /// Where events go instead of `$LOGDIR/smtpserver` or standard error.
    var eventLogFile: String?
    var onlyChecks = false
    var onlyPrintsVersion = false
    var onlyPrintsHelp = false
    /// Set by ourselves: the re-exec that has left the terminal.
    var isDetached = false
    /// Set by ourselves: a worker with that many listening sockets from descriptor 3 on.
    var workerSockets: Int?
    /// Set by ourselves: a process that checks one user's credentials.
    var checksCredentials = false

    static let specs: [OptionSpec] = [
        OptionSpec("4", nil, "IPv4 sockets only"),
        OptionSpec("6", nil, "IPv6 sockets (IPv4 clients too); IPv4 where the system has no IPv6. Default: the same"),
        OptionSpec("a", nil, "ask the client's host who the client is (RFC 1413)"),
        OptionSpec("B", nil, "mail arrives over a BSMTP channel: trace lines say so"),
        OptionSpec("C", nil, value: "FILE", "configuration (default $MAILSHARE/smtpserver.conf)"),
        OptionSpec("d", nil, value: "LEVEL", "1: debug lines in the log; 2 and more: stay in the foreground, too"),
        OptionSpec("g", nil, "gullible: believe the HELO name: turns -h off, no rhost-flags in trace lines"),
        OptionSpec("h", nil, "refuse a HELO argument that is no domain and no address literal"),
        OptionSpec("i", nil, "interactive: one session on standard input and output"),
        OptionSpec("I", nil, value: "FILE", "pid file, relative to $POSTOFFICE (default .pid.smtpserver)"),
        OptionSpec("l", nil, value: "FILE", "log of all sessions; SYSLOG: to syslog; both may be given"),
        OptionSpec("L", nil, value: "LOAD", "load average up to which mail is taken (default 999; below 1: 10)"),
        OptionSpec("M", nil, value: "OCTETS", "largest message (default 0: PARAM maxsize, or no limit)"),
        OptionSpec("n", nil, "run by inetd: one session on the socket that is standard input"),
        OptionSpec("p", nil, value: "PORT", "TCP port, over PARAM BindPort (default 25)"),
        OptionSpec("P", nil, value: "DIR", "POSTOFFICE (default that of zmailer.conf)"),
        OptionSpec(
            "R", nil, value: "SOCKET", "policy service of another router than that of $POSTOFFICE (its .policy)"),
        OptionSpec("s", nil, value: "STYLE", "letters ftveRSh, or strict, or sloppy (default ve)"),
        OptionSpec(
            "S", nil, value: "HOST", "append a host name to the name of -l: local, ours; remote, the client's address"),
        OptionSpec("t", nil, "with -n: TLS before the greeting"),
        OptionSpec(
            "T", nil, value: "[ADDR]",
            "with -i: a test of the policy, as if from this address; -d 1 shows the way to each verdict"),
        OptionSpec("v", nil, "with -i: echo each command line"),
        OptionSpec("V", nil, "print the version and exit"),
        OptionSpec("w", nil, "ask the whoson service who is logged in from the client's address"),
        OptionSpec("X", nil, "character-set translation: not available in this version"),
        OptionSpec("8", nil, "decoding to 8-bit: not available in this version"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "foreground", "stay, log to standard error"),
        OptionSpec(
            nil, "log", value: "FILE", "log of events (default $LOGDIR/smtpserver; in the foreground standard error)"),
        OptionSpec(nil, "check", "read and check the configuration, report every mistake, exit (78: mistakes)"),
        OptionSpec(nil, "help", "print this and exit"),
    ]

    /// Not in `--help`: for our own re-execs.
    private static let internalSpecs: [OptionSpec] = [
        OptionSpec(nil, "detached", "the re-exec that has left the terminal"),
        OptionSpec(nil, "worker", value: "SOCKETS", "a worker of a master"),
        OptionSpec(nil, "check-credentials", "a checker of one question, on descriptor 3"),
    ]

    static var usage: String {
        CommandLineOptions.usage(
            "smtpserver",
            "[-46aBghintvVw] [-C file] [-d level] [-I pidfile] [-l file|SYSLOG] [-L load] [-M octets] [-p port] "
                + "[-P dir] [-R socket] [-s style] [-S local|remote] [-T '[addr]'] [-Z file]\n\nReceives mail by SMTP and puts it into POSTOFFICE.\n",
            specs)
    }

    static func parse(_ arguments: [String]) throws(UsageError) -> ServerOptions {
        let line = try CommandLineOptions.parse(arguments, specs + internalSpecs)
        var options = ServerOptions()
        for (key, value) in line.options { try options.set(key, value) }
        if let operand = line.operands.first {
            throw UsageError("'\(operand)' is not expected; all arguments are options")
        }
        if line.has("4"), line.has("6") { throw UsageError("-4 and -6 exclude each other") }
        if options.echoesCommands, !options.isInteractive { throw UsageError("-v is for -i sessions only") }
        if options.testClient != nil, !options.isInteractive { throw UsageError("-T is for -i sessions only") }
        if options.isInetd, options.isInteractive { throw UsageError("-n and -i exclude each other") }
        if options.startsTLS, !options.isInetd { throw UsageError("-t is for -n only; listeners have BindSmtpS") }
        if options.logSuffix != nil, options.logFile == nil { throw UsageError("-S needs -l with a file") }
        return options
    }

    private mutating func set(_ key: String, _ value: String) throws(UsageError) {
        switch key {
        case "4": family = .ipv4
        case "6": family = .ipv6
        case "C": configurationFile = value
        case "d": debugLevel = try Self.number(value, "-d", 0...9)
        case "g": isGullible = true
        case "h": checksHelloSyntax = true
        case "i": isInteractive = true
        case "I":
            if value.hasPrefix("sub-") { throw UsageError("-I \(value): there are no sub-daemons to start by hand") }
            pidFile = value
        case "l": if value == "SYSLOG" { logsToSyslog = true } else { logFile = value }
        case "L":
            let load = try Self.number(value, "-L", Int.min...1_000_000)
            maximumLoad = load < 1 ? 10 : load
        case "M": maximumMessageSize = max(0, try Self.number(value, "-M", Int.min...1_000_000_000))
        case "p": port = try Self.number(value, "-p", 1...65535)
        case "P": postoffice = value
        case "s": style = try Self.style(value)
        case "v": echoesCommands = true
        case "V": onlyPrintsVersion = true
        case "Z": environmentFile = value
        case "foreground": isForeground = true
        case "log": eventLogFile = value
        case "check": onlyChecks = true
        case "help": onlyPrintsHelp = true
        case "detached": isDetached = true
        case "worker": workerSockets = try Self.number(value, "--worker", 0...ListenPlan.maximumSockets)
        case "check-credentials": checksCredentials = true
        case "a": asksIdent = true
        case "B": isBSMTP = true
        case "n": isInetd = true
        case "R": policySocket = try Self.socketPath(value)
        case "S":
            switch value {
            case "local": logSuffix = .local
            case "remote": logSuffix = .remote
            default: throw UsageError("-S \(value): valid are local and remote")
            }
        case "t": startsTLS = true
        case "T": testClient = try Self.literal(value)
        case "w": asksWhoson = true
        case "X", "8": throw Self.unavailable("-\(key) (character-set translation)")
        default: throw UsageError("unknown option '\(key)'")
        }
    }

    private static func unavailable(_ what: String) -> UsageError {
        UsageError("\(what) is not available in this version")
    }

    /// ZMailer's `-R` is a program; ours is a process that is there already.
    private static func socketPath(_ path: String) throws(UsageError) -> String {
        var status = stat()
        guard path.hasPrefix("/") else { throw UsageError("-R \(path): an absolute path is needed") }
        guard path.utf8.count <= maximumSocketPath else {
            throw UsageError("-R \(path): longer than \(maximumSocketPath) octets, as long as a socket's path can be")
        }
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFSOCK {
            throw UsageError("-R \(path): no socket; needed is the .policy of the POSTOFFICE of a router that runs")
        }
        return path
    }

    /// `sun_path` of Linux without its NUL (unix(7)).
    private static let maximumSocketPath = 107

    private static func number(_ text: String, _ option: String, _ range: ClosedRange<Int>) throws(UsageError) -> Int {
        guard let value = Int(text) else { throw UsageError("\(option) \(text): a number is needed") }
        guard range.contains(value) else {
            throw UsageError("\(option) \(text): valid is \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func literal(_ text: String) throws(UsageError) -> IPAddress {
        guard let address = AddressLiteral.address(in: text) else {
            let hint = IPAddress(text).map { "; the brackets belong to it: \($0.literal)" } ?? ""
            throw UsageError(
                "-T \(text): no address literal; valid are [192.0.2.1] and [IPv6:2001:db8::1]\(hint)")
        }
        return address.unmapped
    }

    private static func style(_ text: String) throws(UsageError) -> Style {
        if let problem = StyleFlags.problem(text) { throw UsageError("-s \(text): \(problem)") }
        guard let style = Style(text) else { throw UsageError("-s \(text): no style") }
        return style
    }
}
