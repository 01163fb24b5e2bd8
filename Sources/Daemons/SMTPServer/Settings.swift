import Configuration
import Glibc
import MailModel
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
    /// What sessions share; the second for clients that need no HELO (pattern `127.0.0.1` with style `-`).
    let session: ServerConfiguration
    let localSession: ServerConfiguration
    /// What the policy service is told at the start of a connection.
    let asker: AskerSettings

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
        return Settings(options, environment, configuration, text: text)
    }

    private init(
        _ options: ServerOptions, _ environment: ZEnvironment, _ configuration: SMTPServerConfiguration, text: String
    ) {
        self.options = options
        self.environment = environment
        self.configuration = configuration
        configurationText = text
        hostName = HostName.own(environment)
        postoffice = options.postoffice ?? environment.postoffice
        let values = Self.sessionValues(options, configuration, hostName: hostName)
        session = ServerConfiguration(values)
        var local = values
        if case .style("-")? = configuration.pattern(for: "127.0.0.1")?.effect { local.requiresHello = false }
        localSession = ServerConfiguration(local)
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

    private static func sessionValues(
        _ options: ServerOptions, _ configuration: SMTPServerConfiguration, hostName: String
    ) -> ServerConfiguration.Values {
        var values = ServerConfiguration.Values(configuration, hostName: hostName)
        if let size = options.maximumMessageSize, size > 0 { values.maximumMessageSize = size }
        values.style = options.style ?? .default
        values.checksHelloSyntax = options.checksHelloSyntax
        values.isSkeptical = !options.isGullible
        return values
    }
}
