import AgentKit
import Configuration
import Glibc
import MailModel
import ProgramKit
import Resolver
import SMTPProtocol
import Telemetry

/// `ta-smtp`: command line and configuration in, jobs from standard input, reports on standard output.
public enum SMTPAgentProgram {
    /// Ends the process with a code of sysexits.h.
    public static func main(_ arguments: [String]) -> Never {
        do throws(UsageError) {
            let parsed = try CommandLineOptions.parse(arguments, SMTPAgentOptions.specs)
            if parsed.has("help") {
                let summary = "[options] < jobs\n\nDelivers by SMTP or LMTP; jobs are lines FILE or FILE<TAB>HOST."
                Program.print(CommandLineOptions.usage("smtp", summary, SMTPAgentOptions.specs))
                exit(ExitCode.ok.rawValue)
            }
            if parsed.has("V") {
                Program.print("zmailer smtp \(Program.version)")
                exit(ExitCode.ok.rawValue)
            }
            guard parsed.operands.isEmpty else {
                throw UsageError("'\(parsed.operands[0])': jobs are read from standard input")
            }
            run(try SMTPAgentOptions(parsed))
        } catch {
            Program.print("smtp: \(error.description) (see --help)", to: STDERR_FILENO)
            exit(ExitCode.usage.rawValue)
        }
    }

    private static func run(_ options: SMTPAgentOptions) -> Never {
        let environment = AgentProgram.environment(options.environmentFile)
        let resolver: Resolver
        do throws(ResolverError) {
            resolver = try Resolver(try resolverConfiguration(environment))
        } catch {
            Program.fail(error.description, .configuration)
        }
        var options = options
        options.conversion.defaultCharset = environment["DEFCHARSET"].flatMap { $0.isEmpty ? nil : $0 } ?? "ISO-8859-1"
        let secrets = secrets(options)
        if options.onlyChecks {
            for problem in clientTLS(options, environment, nil).problems { Program.print(problem) }
            exit(ExitCode.ok.rawValue)
        }
        let log = AgentProgram.log("smtp", environment, file: options.logFile, isVerbose: options.isVerbose)
        let tls = clientTLS(options, environment, log)
        for problem in tls.problems { log.warning("tls-file", ["problem": problem]) }
        if let local = options.localIdentity {
            options.localIdentity = local.resolved(by: resolver)
            if options.localIdentity == nil { Program.fail("-L: the host has no address", .noHost) }
        }
        var connector = connector(options, environment, resolver, tls, log)
        connector.secrets = secrets
        connector.channel = options.channel
        connector.log = log
        let agent = SMTPTransportAgent(options, connector: connector)
        let runner = AgentRunner(
            AgentRunner.Options(
                name: "smtp", selection: RecipientSelection(channel: options.channel),
                maximumJobs: options.maximumJobs),
            observer: DeliveryLog.observer(log))
        runner.run(agent)
        exit(ExitCode.ok.rawValue)
    }

    /// smtp-tls.conf and the files that it names; a mistake ends the program with 78.
    private static func clientTLS(
        _ options: SMTPAgentOptions, _ environment: ZEnvironment, _ log: EventLog?
    ) -> ClientTLS {
        do throws(ConfigurationErrors) {
            let (file, configuration) = try TLSConfigurationFile.read(
                options.tlsConfigurationFile, folder: environment.mailshare)
            return try ClientTLS(configuration, file: file, log: log)
        } catch {
            Program.fail(error.description, .configuration)
        }
    }

    /// The secrets file; a mistake ends the program with 78.
    private static func secrets(_ options: SMTPAgentOptions) -> AuthSecrets {
        guard let file = options.secretsFile else { return .none }
        do throws(ConfigurationErrors) {
            return try AuthSecretsFile.read(file)
        } catch {
            Program.fail(error.description, .configuration)
        }
    }

    private static func resolverConfiguration(
        _ environment: ZEnvironment
    ) throws(ResolverError) -> ResolverConfiguration {
        var configuration = ResolverConfiguration()
        if let server = environment["RESOLVER"], !server.isEmpty { configuration.forwarders = [server] }
        if let file = environment["RESOLVERZONES"], !file.isEmpty { try configuration.readZones(from: file) }
        return configuration
    }

    private static func connector(
        _ options: SMTPAgentOptions, _ environment: ZEnvironment, _ resolver: Resolver, _ tls: ClientTLS,
        _ log: EventLog
    ) -> Connector<Resolver> {
        let hostName = AgentProgram.hostName(environment)
        let heloName = options.heloName ?? hostName
        let selfAddresses = (environment["SELFADDRESSES"] ?? "").split { $0 == "," || $0.isWhitespace }
        let finder = HostFinder(
            names: resolver,
            ownIdentity: OwnIdentity(
                names: [hostName, heloName] + selfAddresses.map(String.init),
                addresses: NetworkInterfaces.addresses()
                    + selfAddresses.compactMap { AddressLiteral.address(in: $0) ?? IPAddress($0) }),
            defaultPort: options.port, usesMX: options.usesMX, prefersIPv6: options.prefersIPv6,
            mayConnectToSelf: options.mayConnectToSelf)
        var session = ClientSession.Configuration(helloName: heloName)
        session.isLMTP = options.isLMTP
        session.allowsPipelining = options.usesPipelining
        session.needsESMTPGreeting = options.needsESMTPBanner
        session.usesHelloOnly = options.usesHelloOnly
        // What must not be sent so is converted or returned before (``ContentConversion``).
        session.sendsUnannounced8Bit = true
        var socket = Socket.Options()
        socket.localIdentity = options.localIdentity
        socket.usesPrivilegedPort = options.usesPrivilegedPort
        socket.sendBufferSize = options.sendBufferSize
        return Connector(
            finder: finder, session: session, socket: socket, timeouts: options.timeouts, tls: tls,
            dialogue: options.isVerbose || options.logFile != nil ? log : nil)
    }
}
