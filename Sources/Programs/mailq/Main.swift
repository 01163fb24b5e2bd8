import ArgumentParser
import Configuration
import Glibc
import ProgramKit
import Supervisor

@main
struct MailQ: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mailq", abstract: "Lists what has not yet been delivered.",
        discussion: """
            Without flags: each message with the recipients that are not done. With HOST another machine's scheduler is asked, by
            mailq of version 2 (scheduler.auth(5)). zmailer queue lists by sender, age and so on, and changes what is queued.
            Exit code 64: refused, and why; 69, 75: no answer; 77: not allowed.
            """, version: Program.version, helpNames: [.long])

    @Option(name: .customShort("Z"), help: ArgumentHelp("The instance's zmailer.conf.", valueName: "file"))
    var file = ZEnvironment.defaultPath
    @Option(name: .customShort("c"), help: ArgumentHelp("Only this channel.", valueName: "channel"))
    var channel: String?
    @Option(
        name: .customShort("h"),
        help: ArgumentHelp("Only this next host; there is no short form of --help.", valueName: "host"))
    var host: String?
    @Flag(name: .customShort("s"), help: "Sums; -ss: the first line of them.") var sums: Int
    @Flag(name: .customShort("S"), help: "Sums, as SHOW SNMP gives them.") var snmp = false
    @Flag(name: .customShort("M"), help: "Counters, as SHOW COUNTERS gives them.") var counters = false
    @Flag(
        name: .customShort("Q"),
        help: "The queue as ZMailer shows it: -Q by clauses, -QQ with destinations, -QQQ those alone, with TABs.")
    var queue: Int
    @Flag(name: [.customShort("t"), .long], help: "By destination (channel/host) and not by message.")
    var threads = false
    @Flag(name: [.customShort("d"), .long], help: "One JSON object a line.") var json = false
    @Flag(name: .customShort("v"), help: "With -c and -h: what each recipient waits for, as SHOW THREAD gives it.")
    var verbose: Int
    @Option(name: .customShort("U"), help: ArgumentHelp("The account at HOST.", valueName: "user"))
    var user: String?
    @Option(help: ArgumentHelp("A file whose first line is its password; '-': standard input.", valueName: "file"))
    var passwordFile: String?
    @Flag(name: .customShort("i"), help: .hidden) var inodes = false
    @Flag(name: .customShort("u"), help: .hidden) var own = false
    @Flag(name: .customShort("p"), help: .hidden) var path = false
    @Argument(help: ArgumentHelp("HOST, HOST/PORT (default 174), or the path of a socket.", valueName: "host"))
    var node: String?

    func validate() throws {
        if inodes || own || path {
            throw ValidationError(
                "-i, -u and -p have no meaning here; valid are -c -h -s -S -M -Q -t -d -v -U -Z; zmailer queue list --sender "
                    + "shows the mail of one user")
        }
        let lists = [sums > 0, snmp, counters, queue > 0, threads].count { $0 }
        if lists > 1 { throw ValidationError("-s, -S, -M, -Q and -t at once: give one of them") }
        if lists > 0, channel != nil || host != nil {
            throw ValidationError("-c and -h select messages; leave out -s, -S, -M, -Q and -t")
        }
        guard let node else {
            if user != nil || passwordFile != nil { throw ValidationError("-U and --password-file need a HOST") }
            return
        }
        guard MailqClient.Node(node) != nil else {
            throw ValidationError("'\(node)' is no host; valid are HOST, HOST/PORT and /PATH")
        }
        if let user, user.contains("/") {
            throw ValidationError(
                "-U \(user.prefix { $0 != "/" })/…: all users of this machine see a password that stands here; "
                    + "put it into a file for --password-file")
        }
        guard user != nil, passwordFile != nil else {
            throw ValidationError("a HOST needs -U and --password-file: there is no account that everybody knows")
        }
        if (channel == nil) != (host == nil) {
            throw ValidationError("another scheduler shows one destination: give both -c and -h")
        }
        if json || threads { throw ValidationError("-d and -t are for our own scheduler; valid are -Q, -s, -S and -M") }
    }

    /// ZMailer's list that is asked for; `nil`: ours.
    private var list: MailqCommand.List? {
        if sums > 0 || snmp { return .snmp }
        if counters { return .counters }
        if queue > 0 { return MailqCommand.List(queue: queue) }
        guard let channel, let host, verbose > 0 || node != nil else { return node == nil ? nil : .threads }
        return .thread(channel: channel, host: host)
    }

    func run() throws {
        let code = answer()
        if code != .ok { throw ArgumentParser.ExitCode(code.rawValue) }
    }

    private func answer() -> ProgramKit.ExitCode {
        let lines = sums > 1 ? 1 : Int.max
        if let node = node.flatMap(MailqClient.Node.init), let list, let user, let passwordFile {
            return MailqCommand.list(at: node, list, user: user, passwordFile: passwordFile, lines: lines)
        }
        let environment = Program.environment(file)
        if let list { return MailqCommand.list(environment, list, lines: lines, isRaw: json) }
        guard channel != nil || host != nil else {
            return QueueCommand.list(environment, json: json, threads: threads)
        }
        var filter = QueueFilter()
        filter.channels = [channel].compactMap { $0 }
        filter.hosts = [host].compactMap { $0 }
        return QueueCommand.select(environment, filter, json: json)
    }
}
