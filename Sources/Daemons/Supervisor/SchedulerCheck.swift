import Configuration
import ProgramKit

/// `zmailer check scheduler channel/host …`: which clauses of scheduler.conf hold for it, and why.
public enum SchedulerCheck {
    /// Prints an explanation of each of `destinations`; `file`: scheduler.conf if it is not the instance's. 69: mail for one of them would
    /// wait, because no clause has a command for it.
    public static func run(_ environment: ZEnvironment, _ destinations: [String], file: String?) -> ExitCode {
        let path = file ?? "\(environment.mailshare)/scheduler.conf"
        let configuration: SchedulerConfiguration
        do {
            configuration = try read(path, environment)
        } catch {
            for mistake in error.errors { Program.print(mistake.description, to: 2) }
            return .configuration
        }
        var code = ExitCode.ok
        for destination in destinations {
            guard let slash = destination.firstIndex(of: "/") else {
                Program.print(
                    "zmailer: '\(destination)' is no destination; valid is channel/host, as in smtp/mx.example.org",
                    to: 2)
                return .usage
            }
            let explanation = configuration.explanation(
                channel: String(destination[..<slash]), host: String(destination[destination.index(after: slash)...]))
            for line in explanation.lines(file: path) { Program.print(line) }
            if explanation.settings == nil { code = .unavailable }
        }
        return code
    }

    private static func read(
        _ path: String, _ environment: ZEnvironment
    ) throws(ConfigurationErrors) -> SchedulerConfiguration {
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(path, limit: 1 << 20)
        } catch {
            throw ConfigurationErrors([ConfigurationError(file: path, line: 0, key: "", reason: error.description)])
        }
        return try SchedulerConfiguration.parse(
            String(decoding: octets, as: UTF8.self), file: path, environment: environment)
    }
}
