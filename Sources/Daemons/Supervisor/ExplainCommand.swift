import Configuration
import Glibc
import Policy
import PolicyAsking
import PolicyEngine
import ProgramKit
import Resolver
import Telemetry

/// What `zmailer explain` does.
public enum ExplainCommand {
    public struct Options: Sendable {
        /// `nil`: `$MAILSHARE/smtpserver.conf`.
        public var configurationFile: String?
        public var json: Bool
        /// The running service is not asked.
        public var isOffline: Bool

        public init(configurationFile: String?, json: Bool, isOffline: Bool) {
            self.configurationFile = configurationFile
            self.json = json
            self.isOffline = isOffline
        }
    }

    /// Octets of smtpserver.conf.
    private static let maximumConfigurationSize = 100_000

    /// 0: everything was accepted; 1: something was refused for good; 75: temporarily; 77, 78: it could not be found out.
    public static func run(
        _ environment: ZEnvironment, _ request: Explanation.Request, _ options: Options
    ) -> Int32 {
        let configuration: SMTPServerConfiguration
        do {
            configuration = try read(environment, options)
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return ExitCode.configuration.rawValue
        }
        let hostName = HostName.own(environment)
        let settings = AskerSettings(configuration, hostName: hostName)
        var source = "engine"
        var asker: PolicyDialogue.Asker?
        var failure: PolicyServiceClient.Failure?
        if !options.isOffline {
            do throws(PolicyServiceClient.Failure) {
                let client = try PolicyServiceClient("\(environment.postoffice)/.policy", settings)
                source = "service"
                asker = { question in
                    do throws(PolicyServiceClient.Failure) {
                        return try client.ask(question)
                    } catch {
                        // The first one says it; the others follow from it.
                        if failure == nil { failure = error }
                        return nil
                    }
                }
            } catch {
                switch error {
                case .absent: break
                case .forbidden, .broken: return fail(error)
                }
                if !options.json { Program.print("\(error): evaluated here, counters begin at 0") }
            }
        }
        let ask: PolicyDialogue.Asker
        if let asker {
            ask = asker
        } else {
            do {
                let engine = try PolicyEngine(
                    try MailConfiguration(environment), log: EventLog(standardErrorOf: "zmailer", level: .warning))
                ask = { engine.answer($0, settings) }
            } catch {
                Program.print("zmailer: \(error)", to: 2)
                return ExitCode.configuration.rawValue
            }
        }
        let explanation = Explanation(
            request, configuration, hostName: hostName, unixTime: Int64(time(nil)), ask: ask)
        if let failure { return fail(failure) }
        let code = exitCode(explanation.verdict)
        Program.print(
            options.json
                ? explanation.json(request, source: source, exitCode: code).text : explanation.text)
        return code
    }

    private static func fail(_ failure: PolicyServiceClient.Failure) -> Int32 {
        Program.print("zmailer: \(failure)", to: 2)
        switch failure {
        case .forbidden: return ExitCode.noPermission.rawValue
        case .absent, .broken: return ExitCode.temporaryFailure.rawValue
        }
    }

    private static func exitCode(_ verdict: Explanation.Verdict) -> Int32 {
        switch verdict {
        case .accept, .submit, .freeze: 0
        case .temporary: ExitCode.temporaryFailure.rawValue
        case .refuse, .drop: 1
        }
    }

    private static func read(
        _ environment: ZEnvironment, _ options: Options
    ) throws -> SMTPServerConfiguration {
        let file = options.configurationFile ?? "\(environment.mailshare)/smtpserver.conf"
        let octets = try FileOctets.read(file, limit: maximumConfigurationSize)
        return try SMTPServerConfiguration.parse(
            String(decoding: octets, as: UTF8.self), file: file, environment: environment)
    }
}
