import Configuration
import PolicyAsking
import ProgramKit
import SMTPProtocol

/// Where a socket gets its sessions' values from: a group of smtpserver.conf, and what kind of listener it is.
struct ListenerRole: Hashable, Sendable {
    /// 0: the whole server's values; above: the groups in the order of the file.
    var group = 0
    var service = SMTPServerConfiguration.Listener.Service.smtp
    /// The port that it was made for; clients may see another one (address translation).
    var port = 25

    /// `group:service:port`, for a worker's environment.
    var text: String { "\(group):\(service.rawValue):\(port)" }

    init(group: Int = 0, service: SMTPServerConfiguration.Listener.Service = .smtp, port: Int = 25) {
        self.group = group
        self.service = service
        self.port = port
    }

    init?(text: some StringProtocol) {
        let parts = text.split(separator: ":")
        guard parts.count == 3, let group = Int(parts[0]), let port = Int(parts[2]),
            let service = SMTPServerConfiguration.Listener.Service(rawValue: String(parts[1]))
        else { return nil }
        self.init(group: group, service: service, port: port)
    }
}

/// What the sessions of one listening socket share.
final class SessionProfile: Sendable {
    let role: ListenerRole
    /// The group's values.
    let configuration: SMTPServerConfiguration
    let session: ServerConfiguration
    /// For clients that need no HELO (pattern `127.0.0.1` with style `-`).
    let localSession: ServerConfiguration
    let tarpit: Tarpit.Settings

    /// - Parameter keepsSourceRoute: `ALLOWSOURCEROUTE` of zmailer.conf is there.
    init(
        _ role: ListenerRole, _ configuration: SMTPServerConfiguration, _ options: ServerOptions, hostName: String,
        keepsSourceRoute: Bool = false
    ) {
        self.role = role
        self.configuration = configuration
        var values = ServerConfiguration.Values(
            configuration, hostName: hostName, service: role.service, port: role.port)
        if let size = options.maximumMessageSize, size > 0 { values.maximumMessageSize = size }
        values.style = options.style ?? .default
        values.checksHelloSyntax = options.checksHelloSyntax
        values.isSkeptical = !options.isGullible
        if keepsSourceRoute { values.keepsSourceRoute = true }
        session = ServerConfiguration(values)
        if case .style("-")? = configuration.pattern(for: "127.0.0.1")?.effect { values.requiresHello = false }
        localSession = ServerConfiguration(values)
        tarpit =
            Tarpit.Settings(
                initial: configuration.tarpit.initial, exponent: configuration.tarpit.exponent,
                topLimit: configuration.tarpit.limit) ?? .none
    }
}
