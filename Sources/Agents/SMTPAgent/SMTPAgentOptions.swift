import MailModel
import ProgramKit

/// The command line of `ta-smtp` (transport-agents.md §2).
struct SMTPAgentOptions: Sendable {
    var channel = "smtp"
    /// `-A`
    var secretsFile: String?
    /// `-7`, `-8`, `-H`, `--eight-bit`
    var conversion = ContentConversion()
    /// `-77`: HELO only.
    var usesHelloOnly = false
    /// `-D`
    var onlyConnects = false
    /// `-e`
    var checksExchangers = false
    /// `-j`: connections and jobs at the same time.
    var maximumJobs = 20
    /// `-1`
    var sendsOneMessagePerConnection = false
    /// `-6`
    var prefersIPv6 = false
    /// `-E`: EHLO only where the greeting says ESMTP.
    var needsESMTPBanner = false
    /// `-F`: where all mail goes, whatever its host.
    var punt: NextHop?
    /// `-h`; `nil`: the host's own name.
    var heloName: String?
    /// `-l`: the log, the dialogue included.
    var logFile: String?
    /// `-L`
    var localIdentity: LocalIdentity?
    /// `-M`
    var isLMTP = false
    /// `-p`
    var port: UInt16 = 25
    /// `-P`
    var usesPipelining = true
    /// `-r`
    var usesPrivilegedPort = false
    /// `-s`
    var showsProgress = false
    /// `-S`; `nil`: the file of MAILSHARE, if there is one.
    var tlsConfigurationFile: String?
    /// `-T`
    var timeouts = Timeouts()
    /// `-v`
    var isVerbose = false
    /// `-w`
    var sendBufferSize: Int?
    /// `-x`
    var usesMX = true
    /// `-X`
    var mayConnectToSelf = false
    /// `-Z`
    var environmentFile: String?
    /// `--check`
    var onlyChecks = false

    static let specs: [OptionSpec] = [
        OptionSpec("1", nil, "one message a connection"),
        OptionSpec("6", nil, "try IPv6 addresses first"),
        OptionSpec("7", nil, "send 7-bit content only; twice: no ESMTP either"),
        OptionSpec("8", nil, "the host takes 8-bit content: decode quoted-printable texts"),
        OptionSpec("A", nil, value: "FILE", "secrets for AUTH at smarthosts"),
        OptionSpec("c", "channel", value: "CHANNEL", "serve this channel (smtp)"),
        OptionSpec("d", nil, "log the dialogue"),
        OptionSpec("D", nil, "connect and greet only, as a test: mail waits"),
        OptionSpec("e", nil, "only to hosts that are MX of each recipient's own domain"),
        OptionSpec("E", nil, "EHLO only if the greeting says ESMTP"),
        OptionSpec("F", nil, value: "DEST", "all mail to HOST, [ADDRESS], either with :PORT, or UNIX:/PATH"),
        OptionSpec("h", nil, value: "NAME", "name to greet with (the host's own)"),
        OptionSpec("H", nil, "leave 8-bit header fields as they are"),
        OptionSpec("j", "jobs", value: "N", "jobs and connections at the same time (20)"),
        OptionSpec("l", nil, value: "FILE", "log to this file, the dialogue included"),
        OptionSpec("L", nil, value: "LOCAL", "local end: iface:NAME, [ADDRESS] or HOST"),
        OptionSpec("M", "lmtp", "speak LMTP; the port comes with the host, -p or -F"),
        OptionSpec("O", nil, value: "EXTENSION", "ignore-ezmlm: accepted, ezmlm addresses are never rewritten"),
        OptionSpec("p", "port", value: "PORT", "connect to this port (25)"),
        OptionSpec("P", nil, "no pipelining"),
        OptionSpec("r", nil, "connect from a privileged port"),
        OptionSpec("s", nil, "show progress as the process's name"),
        OptionSpec("S", nil, value: "FILE", "TLS configuration ($MAILSHARE/smtp-tls.conf if it exists)"),
        OptionSpec("T", nil, value: "TIMES", "timeouts: conn=3m,tcpw=5m,cmd=5m,data=2m,dot=20m,idle=60s"),
        OptionSpec("v", nil, "verbose: log the dialogue"),
        OptionSpec("V", "version", "print the version"),
        OptionSpec("w", nil, value: "OCTETS", "size of the send buffer"),
        OptionSpec("W", nil, "accepted, and without effect: WKS records are obsolete (RFC 1123, section 5.3.6)"),
        OptionSpec("x", nil, "do not look at MX records"),
        OptionSpec("X", nil, "with -x: may connect to this host itself"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(
            nil, "eight-bit", value: "HOW", "8-bit content to hosts without 8BITMIME: convert (default), return, send"),
        OptionSpec(nil, "check", "read the configuration, report every mistake, exit"),
        OptionSpec(nil, "help", "print this text"),
    ]

    /// The defaults.
    init() {}

    /// Reads the options behind the program's name; `--help` and `--version` are the caller's.
    init(_ options: CommandLineOptions) throws(UsageError) {
        for (key, value) in options.options {
            switch key {
            case "1": sendsOneMessagePerConnection = true
            case "6": prefersIPv6 = true
            case "7":
                if conversion.forcesSevenBit { usesHelloOnly = true }
                conversion.forcesSevenBit = true
            case "8": conversion.isEightBitClean = true
            case "A": secretsFile = value
            case "c": channel = value
            case "d", "v": isVerbose = true
            case "D": onlyConnects = true
            case "e": checksExchangers = true
            case "E": needsESMTPBanner = true
            case "F": punt = try Self.nextHop(value)
            case "h": heloName = try Self.helloName(value)
            case "H": conversion.keepsHeaders = true
            case "j": maximumJobs = try Self.number(key, value, in: 1...1000)
            case "l": logFile = value
            case "L": localIdentity = try Self.localIdentity(value)
            case "M": isLMTP = true
            case "O": try Self.extensionName(value)
            case "p": port = UInt16(try Self.number(key, value, in: 1...65535))
            case "P": usesPipelining = false
            case "r": usesPrivilegedPort = true
            case "s": showsProgress = true
            case "S": tlsConfigurationFile = value
            case "T":
                guard let timeouts = Timeouts(value) else {
                    throw UsageError("option '-T \(value)': valid is conn=3m,tcpw=5m,cmd=5m,data=2m,dot=20m,idle=60s")
                }
                self.timeouts = timeouts
            case "w": sendBufferSize = try Self.number(key, value, in: 1024...(16 << 20))
            case "W": continue
            case "x": usesMX = false
            case "X": mayConnectToSelf = true
            case "Z": environmentFile = value
            case "eight-bit":
                guard let how = ContentConversion.EightBit(rawValue: value) else {
                    throw UsageError("option '--eight-bit \(value)': valid are convert, return and send")
                }
                conversion.eightBit = how
            case "check": onlyChecks = true
            default: continue
            }
        }
        if mayConnectToSelf, usesMX { throw UsageError("option '-X' is for use with -x") }
        guard !channel.isEmpty, !channel.contains(where: \.isWhitespace) else {
            throw UsageError("option '-c': a channel is one word")
        }
    }

    private static func nextHop(_ text: String) throws(UsageError) -> NextHop {
        guard let hop = NextHop(text) else {
            throw UsageError("option '-F \(text)': valid are HOST, [ADDRESS], either with :PORT, and UNIX:/PATH")
        }
        // A punting host is named as it is to be reached: no MX records.
        guard case .domain(let name, _) = hop.destination else { return hop }
        return NextHop(destination: .domain(name, usesMX: false), port: hop.port)
    }

    private static func helloName(_ text: String) throws(UsageError) -> String {
        guard MailDomain(text, allowingUTF8: false) != nil else {
            throw UsageError("option '-h \(text)': valid is a host name or an address literal")
        }
        return text
    }

    private static func localIdentity(_ text: String) throws(UsageError) -> LocalIdentity {
        guard let identity = LocalIdentity(text) else {
            throw UsageError("option '-L \(text)': valid are iface:NAME, [ADDRESS] and HOST")
        }
        return identity
    }

    private static func extensionName(_ text: String) throws(UsageError) {
        guard text == "ignore-ezmlm" else { throw UsageError("option '-O \(text)': valid is ignore-ezmlm") }
    }

    private static func number(_ key: String, _ text: String, in range: ClosedRange<Int>) throws(UsageError) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw UsageError(
                "option '-\(key) \(text)': valid is a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
