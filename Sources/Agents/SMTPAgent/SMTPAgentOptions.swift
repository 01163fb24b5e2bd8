import MailModel
import ProgramKit

/// The command line of `ta-smtp` (transport-agents.md §2).
struct SMTPAgentOptions: Sendable {
    var channel = "smtp"
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
    /// `-l`
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
        OptionSpec("7", nil, "force 7-bit; twice: no ESMTP (not available yet)"),
        OptionSpec("8", nil, "8-bit clean, decode quoted-printable (not available yet)"),
        OptionSpec("A", nil, value: "FILE", "secrets for AUTH (not available yet)"),
        OptionSpec("c", "channel", value: "CHANNEL", "serve this channel (smtp)"),
        OptionSpec("d", nil, "log the dialogue"),
        OptionSpec("D", nil, "connect only, as a test (not available yet)"),
        OptionSpec("e", nil, "check each recipient's MX against the connected host (not available yet)"),
        OptionSpec("E", nil, "EHLO only if the greeting says ESMTP"),
        OptionSpec("F", nil, value: "DEST", "all mail to HOST, [ADDRESS], either with :PORT, or UNIX:/PATH"),
        OptionSpec("h", nil, value: "NAME", "name to greet with (the host's own)"),
        OptionSpec("H", nil, "keep 8-bit headers (always so)"),
        OptionSpec("j", "jobs", value: "N", "jobs and connections at the same time (20)"),
        OptionSpec("l", nil, value: "FILE", "log to this file"),
        OptionSpec("L", nil, value: "LOCAL", "local end: iface:NAME or [ADDRESS]"),
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
        OptionSpec("W", nil, "check WKS records (not available: nobody publishes them any more)"),
        OptionSpec("x", nil, "do not look at MX records"),
        OptionSpec("X", nil, "with -x: may connect to this host itself"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "check", "read the configuration, report every mistake, exit"),
        OptionSpec(nil, "help", "print this text"),
    ]

    /// Letters that need what is not there yet; using one must not silently do nothing.
    private static let unavailable: [String: String] = [
        "7": "conversion to 7-bit", "8": "decoding quoted-printable", "A": "AUTH", "D": "the connection test",
        "e": "the check of recipients' MX records", "W": "the WKS check",
    ]

    /// The defaults.
    init() {}

    /// Reads the options behind the program's name; `--help` and `--version` are the caller's.
    init(_ options: CommandLineOptions) throws(UsageError) {
        for (key, value) in options.options {
            if let what = Self.unavailable[key] {
                throw UsageError("option '-\(key)': \(what) is not available in this version")
            }
            switch key {
            case "1": sendsOneMessagePerConnection = true
            case "6": prefersIPv6 = true
            case "c": channel = value
            case "d", "v": isVerbose = true
            case "E": needsESMTPBanner = true
            case "F": punt = try Self.nextHop(value)
            case "h": heloName = try Self.helloName(value)
            case "H": continue
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
            case "x": usesMX = false
            case "X": mayConnectToSelf = true
            case "Z": environmentFile = value
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
            throw UsageError("option '-L \(text)': valid are iface:NAME and [ADDRESS]")
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
