import Configuration
import Glibc
import HostAccess
import MailModel
import PeerIdentity
import Policy
import PolicyAsking
import ProgramKit
import SMTPProtocol

/// All that a worker or an interactive session needs to know; made once from command line and files.
struct Settings: Sendable {
    let options: ServerOptions
    let environment: ZEnvironment
    let configuration: SMTPServerConfiguration
    /// The text that `configuration` was read from: a worker gets it from its master.
    let configurationText: String
    let hostName: String
    let postoffice: String
    /// What the policy service is told at the start of a connection.
    let asker: AskerSettings
    /// `-a`, `-w`
    let lookups: ClientLookups.Plan

    /// Octets of smtpserver.conf: it travels in a worker's environment.
    static let maximumConfigurationSize = 100_000

    /// Reads both files.
    static func load(_ options: ServerOptions) throws(ConfigurationErrors) -> Settings {
        let environmentFile = options.environmentFile ?? ZEnvironment.defaultPath
        var environment = try ZEnvironment.parse(
            try read(environmentFile, hint: " (give another with -Z file)", limit: 1 << 20), file: environmentFile)
        environment["ZCONFIG"] = environmentFile
        let file = options.configurationFile ?? "\(environment.mailshare)/smtpserver.conf"
        let text: String
        if options.isInteractive, options.configurationFile == nil, access(file, F_OK) != 0 {
            // A session of a local user needs no file (smtpserver.md §1.3).
            text = "* 999 ve\n"
        } else {
            text = try read(file, hint: " (give another with -C file)", limit: maximumConfigurationSize)
        }
        return try make(options, environment, text: text, file: file)
    }

    /// From texts that were read before.
    static func make(
        _ options: ServerOptions, _ environment: ZEnvironment, text: String, file: String
    ) throws(ConfigurationErrors) -> Settings {
        let configuration = try SMTPServerConfiguration.parse(text, file: file, environment: environment)
        return Settings(
            options, environment, configuration, text: text, lookups: try lookups(options, environment))
    }

    /// `WHOSON` of zmailer.conf is where the whoson service is: an address, and a port behind a slash (9876 by habit).
    private static func lookups(
        _ options: ServerOptions, _ environment: ZEnvironment
    ) throws(ConfigurationErrors) -> ClientLookups.Plan {
        var plan = ClientLookups.Plan(asksIdent: options.asksIdent)
        guard options.asksWhoson else { return plan }
        let text = environment["WHOSON"] ?? "127.0.0.1"
        let parts = text.split(separator: "/", maxSplits: 1)
        guard let address = parts.first.flatMap({ IPAddress($0) }),
            let port = parts.count == 2 ? UInt16(parts[1]) : WhosonQuery.usualPort
        else {
            throw ConfigurationErrors([
                ConfigurationError(
                    file: environment["ZCONFIG"] ?? "", line: 0, key: "WHOSON",
                    reason: "'\(text)' is no server; valid are 192.0.2.1 and 192.0.2.1/9876")
            ])
        }
        plan.whoson = PeerEndpoint(address, port: port)
        return plan
    }

    private init(
        _ options: ServerOptions, _ environment: ZEnvironment, _ configuration: SMTPServerConfiguration, text: String,
        lookups: ClientLookups.Plan
    ) {
        self.lookups = lookups
        self.options = options
        self.environment = environment
        self.configuration = configuration
        configurationText = text
        hostName = HostName.own(environment)
        postoffice = options.postoffice ?? environment.postoffice
        asker = AskerSettings(configuration, hostName: hostName)
    }

    private static func read(_ path: String, hint: String, limit: Int) throws(ConfigurationErrors) -> String {
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(path, limit: limit)
        } catch {
            throw ConfigurationErrors([
                ConfigurationError(file: path, line: 0, key: "", reason: String(cString: strerror(error.code)) + hint)
            ])
        }
        guard let text = String(validating: octets, as: UTF8.self) else {
            throw ConfigurationErrors([ConfigurationError(file: path, line: 0, key: "", reason: "not UTF-8")])
        }
        return text
    }

    /// The values of the sessions of a socket. A group that is not there is none of ours: the whole server's values hold.
    func profile(_ role: ListenerRole) -> SessionProfile {
        if role.service == .local { return submissionProfile(role) }
        let groups = [configuration] + configuration.groups
        return SessionProfile(
            role, groups.indices.contains(role.group) ? groups[role.group] : configuration, options, hostName: hostName,
            keepsSourceRoute: environment["ALLOWSOURCEROUTE"] != nil)
    }

    /// The pid file's path.
    var pidPath: String {
        options.pidFile.hasPrefix("/") ? options.pidFile : "\(postoffice)/\(options.pidFile)"
    }

    /// Two servers of one POSTOFFICE have two pid files, and two names.
    var instanceName: String {
        let name = pidPath.split(separator: "/").last.map(String.init) ?? ""
        return name.hasPrefix(".pid.") ? String(name.dropFirst(5)) : name
    }

    /// Where passwords are checked (docs/protocols.md §7).
    var credentialSocket: String { "\(postoffice)/.auth-\(instanceName)" }

    /// The content filters of all listeners that are, or may be, programs.
    var filterPrograms: [String] {
        let groups = [configuration] + configuration.groups
        return Set(groups.flatMap(\.contentFilters)).filter { !$0.hasPrefix("unix:") }.sorted()
    }

    /// Where the policy is asked.
    var policySocket: String { options.policySocket ?? "\(postoffice)/.policy" }

    var wrapperTables: HostAccess.Tables {
        let paths = configuration.wrapperTables
        return paths.count == 2 ? HostAccess.Tables(allow: paths[0], deny: paths[1]) : .system
    }

    var offersAuthentication: Bool {
        ([configuration] + configuration.groups).contains { $0.authentication.isOffered }
    }

    /// Of the users of this host: who they are is known, nobody listens in, and their programs may ask whether an address is good.
    private func submissionProfile(_ role: ListenerRole) -> SessionProfile {
        var local = configuration
        local.tls.isOn = false
        local.tls.isEnforced = false
        local.authentication = SMTPServerConfiguration().authentication
        local.offersETRN = false
        local.enablesDebug = false
        local.isLMTP = false
        local.enablesVRFY = true
        local.usesTCPWrapper = false
        local.proxies = []
        local.xclients = []
        local.earlyTalker = .ignore
        local.greetingDelay = 0
        return SessionProfile(
            role, local, options, hostName: hostName, keepsSourceRoute: environment["ALLOWSOURCEROUTE"] != nil)
    }

    /// Whether an account may submit mail in any sender's name.
    func isTrusted(_ uid: uid_t, _ name: String) -> Bool {
        uid == 0 || uid == geteuid() || name == environment["TRUSTEDUSER"]
            || configuration.trustedUsers.contains(name)
    }

    /// Of sessions without a socket: standard input, and tests of the policy.
    ///
    /// Nothing is asked for there that such a client could not do: no TLS, no AUTH.
    var localProfile: SessionProfile {
        var local = configuration
        local.tls.isOn = false
        local.tls.isEnforced = false
        local.authentication = SMTPServerConfiguration().authentication
        local.offersETRN = false
        return SessionProfile(ListenerRole(port: 0), local, options, hostName: hostName)
    }
}
