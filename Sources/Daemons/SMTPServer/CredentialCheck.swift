import Configuration
import Credentials
import Glibc
import ProgramKit
import Telemetry

/// `smtpserver --check-credentials`: a process for one question about a user, which its master starts with the worker's
/// connection as descriptor 3.
enum CredentialCheck {
    private static let connection: Int32 = 3

    static func run(_ settings: Settings) -> Never {
        ProcessIdentity.forbidDumps()
        let options = settings.options
        let log = Program.log(
            "smtpserver", settings.environment, file: options.eventLogFile, isForeground: !options.isDetached,
            debug: options.debugLevel > 0)
        CredentialCheckerProcess.run(descriptor: connection, settings: credentialSettings(settings), log: log)
    }

    private static func credentialSettings(_ settings: Settings) -> CredentialSettings {
        let sources = settings.configuration.credentials
        var result = CredentialSettings(
            zconfig: settings.environment["ZCONFIG"] ?? "", path: settings.environment["PATH"])
        if !sources.table.isEmpty {
            result.table = sources.table
            result.saltKey = "\(settings.environment.mailvar)/db/smtp-auth.salt"
        }
        if !sources.pipe.isEmpty { result.pipeProgram = sources.pipe }
        if !sources.pamDirectory.isEmpty { result.pamDirectory = sources.pamDirectory }
        return result
    }
}
