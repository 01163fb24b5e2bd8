import Configuration
import Glibc
import ProgramKit

/// How a master's configuration reaches its workers: by their environment, so that a file that has become bad meanwhile
/// cannot keep a worker from being replaced.
enum WorkerEnvironment {
    private static let textName = "SMTPSERVER_CONF"
    private static let fileName = "SMTPSERVER_CONF_FILE"
    private static let variablesName = "SMTPSERVER_ZENV"
    private static let rolesName = "SMTPSERVER_LISTENERS"
    /// Between variables: it cannot be in one, because zmailer.conf has one a line.
    private static let separator: Character = "\n"

    /// - Parameter roles: of the sockets that the worker inherits, in their order.
    static func variables(_ settings: Settings, roles: [ListenerRole]) -> [String] {
        var result = ["PATH=/usr/bin:/bin", "ZCONFIG=\(settings.environment["ZCONFIG"] ?? "")"]
        if let zone = value("TZ") { result.append("TZ=\(zone)") }
        let lines = settings.environment.values.map { "\($0.key)=\($0.value)" }.sorted()
        result.append("\(variablesName)=\(lines.joined(separator: String(separator)))")
        result.append("\(textName)=\(settings.configurationText)")
        result.append(
            "\(fileName)=\(settings.options.configurationFile ?? "\(settings.environment.mailshare)/smtpserver.conf")")
        result.append("\(rolesName)=\(roles.map(\.text).joined(separator: " "))")
        return result
    }

    /// Of the inherited sockets.
    static var roles: [ListenerRole] {
        (value(rolesName) ?? "").split(separator: " ").compactMap { ListenerRole(text: $0) }
    }

    /// What a worker was given.
    static func settings(_ options: ServerOptions) throws(ConfigurationErrors) -> Settings {
        guard let text = value(textName), let file = value(fileName), let lines = value(variablesName) else {
            throw ConfigurationErrors([
                ConfigurationError(file: "environment", line: 0, key: textName, reason: "--worker is for masters only")
            ])
        }
        var values: [String: String] = [:]
        for line in lines.split(separator: separator) {
            guard let equals = line.firstIndex(of: "=") else { continue }
            values[String(line[..<equals])] = String(line[line.index(after: equals)...])
        }
        return try Settings.make(options, ZEnvironment(values: values), text: text, file: file)
    }

    private static func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
