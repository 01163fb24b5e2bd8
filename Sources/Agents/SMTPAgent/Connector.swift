import AgentKit
import Configuration
import MailModel
import Resolver
import SASL
import SMTPProtocol
import Telemetry

/// Opens sessions: finds the hosts of a next hop and goes through them.
struct Connector<Names: NameService>: Sendable {
    let finder: HostFinder<Names>
    let session: ClientSession.Configuration
    let socket: Socket.Options
    let timeouts: Timeouts
    let tls: ClientTLS
    /// For the dialogue (`-v`).
    let dialogue: EventLog?
    /// Who we are where (`-A`), on ``channel``.
    var secrets = AuthSecrets.none
    var channel = "smtp"
    /// For what an operator has to mend.
    var log: EventLog?
    /// Which place to try first.
    var health = PlaceHealth()
    /// Places that do not know us: asking again and again locks accounts.
    private let refusedLogins = FailedPlaces<Endpoint.Place>(lifetime: .seconds(300)...(.seconds(300)))
    /// Places that have just failed; what took long is avoided for as long, within bounds.
    private let failedPlaces = FailedPlaces<Endpoint.Place>()
    /// Places where TLS was begun and came to nothing.
    private let brokenTLS = FailedPlaces<Endpoint.Place>()

    init(
        finder: HostFinder<Names>, session: ClientSession.Configuration, socket: Socket.Options, timeouts: Timeouts,
        tls: ClientTLS, dialogue: EventLog?
    ) {
        self.finder = finder
        self.session = session
        self.socket = socket
        self.timeouts = timeouts
        self.tls = tls
        self.dialogue = dialogue
    }

    enum Result {
        case connected(SMTPConnection)
        /// All hosts failed, or the DNS did.
        case temporaryFailure(ConnectionFailure)
        case permanentFailure(EnhancedStatusCode, String)
    }

    /// A session with the first host that the message may go to.
    func connect(_ hop: NextHop, _ demand: TLSDemand, until end: Deadline) -> Result {
        switch finder.endpoints(of: hop) {
        case .permanentFailure(let status, let text):
            return .permanentFailure(status, text)
        case .temporaryFailure(let text):
            return .temporaryFailure(ConnectionFailure(text: text, status: "4.4.3", .connection))
        case .endpoints(let endpoints):
            let policy = tls.policy(for: hop, defaultPort: finder.defaultPort, isIdentityRequired: demand != .none)
            var failures: [ConnectionFailure] = []
            for endpoint in health.ordered(endpoints) {
                if end.hasPassed { break }
                do throws(ConnectionFailure) {
                    let plan = TLSPlan(policy, hop: hop, endpoint: endpoint)
                    let connection = try connect(plan, secrets.entry(channel: channel, hop: hop), until: end)
                    guard demand == .requireTLS, !connection.capabilities.hasRequireTLS else {
                        return .connected(connection)
                    }
                    connection.quit()
                    throw .withoutREQUIRETLS(endpoint)
                } catch {
                    if error.isOfThePlace { health.failed(endpoint.place) }
                    failures.append(error)
                }
            }
            return failed(failures, hop, demand, hasTriedAll: failures.count == endpoints.count)
        }
    }

    /// The first failure is the one to tell: the best host's.
    private func failed(
        _ failures: [ConnectionFailure], _ hop: NextHop, _ demand: TLSDemand, hasTriedAll: Bool
    ) -> Result {
        guard let first = failures.first else {
            return .temporaryFailure(
                ConnectionFailure(text: "\(hop): no host in time", status: "4.4.1", .connection))
        }
        guard demand != .none else { return .temporaryFailure(first) }
        // RFC 8689 §4.2.1: given up when no host is left; one that could not be asked is left.
        if let open = failures.first(where: { $0.permanentStatus == nil }) { return .temporaryFailure(open) }
        guard hasTriedAll, let status = first.permanentStatus.flatMap({ EnhancedStatusCode($0) }) else {
            return .temporaryFailure(first)
        }
        return .permanentFailure(status, first.text)
    }

    /// A session with one host, in clear text if TLS may be done without and does not work.
    private func connect(
        _ plan: TLSPlan, _ entry: AuthSecrets.Entry?, until end: Deadline
    ) throws(ConnectionFailure) -> SMTPConnection {
        do throws(ConnectionFailure) {
            return try connect(plan, plan.use, entry, until: end)
        } catch  where error.mayWorkInClearText && plan.policy.level == .may {
            tls.reportClearText(error, plan.endpoint)
            return try connect(plan, .never, entry, until: end)
        }
    }

    private func connect(
        _ plan: TLSPlan, _ use: ClientSession.TLSUse, _ entry: AuthSecrets.Entry?, until end: Deadline
    ) throws(ConnectionFailure) -> SMTPConnection {
        let endpoint = plan.endpoint
        if let reason = failedPlaces.reason(endpoint.place) {
            throw ConnectionFailure(text: "\(reason) (a moment ago)", status: "4.4.1", .connection)
        }
        if use != .never, let reason = brokenTLS.reason(endpoint.place) {
            throw ConnectionFailure(
                text: "\(reason) (a moment ago)", status: "4.7.5", .connection, mayWorkInClearText: true)
        }
        if entry != nil, let reason = refusedLogins.reason(endpoint.place) {
            throw ConnectionFailure(text: "\(reason) (minutes ago)", status: "4.7.8", .authentication)
        }
        let start = ContinuousClock.now
        let stream: Socket
        do throws(TransportError) {
            stream = try Socket(
                to: endpoint, options: socket, deadline: min(Deadline(after: timeouts.connect), end))
        } catch {
            let text = "\(endpoint.relay): \(error)"
            failedPlaces.insert(endpoint.place, reason: text, after: ContinuousClock.now - start)
            throw ConnectionFailure(text: text, status: "4.4.1", .connection)
        }
        var configuration = session
        configuration.tls = use
        configuration.authenticates = entry != nil
        if health.distrustsPipelining(endpoint.place) { configuration.allowsPipelining = false }
        let connection = SMTPConnection(
            endpoint, socket: stream, configuration: configuration, timeouts: timeouts, tls: tls, plan: plan,
            secrets: entry, log: dialogue)
        do throws(ConnectionFailure) {
            try connection.open(until: end)
        } catch {
            if error.cause == .connection {
                let places = error.mayWorkInClearText ? brokenTLS : failedPlaces
                places.insert(endpoint.place, reason: error.text, after: ContinuousClock.now - start)
            }
            if error.cause == .authentication { loginRefused(error, endpoint, entry) }
            throw error
        }
        health.succeeded(endpoint.place)
        return connection
    }

    /// A wrong password is the operator's to mend: mail waits, and he is told once in five minutes and host, not for each message.
    private func loginRefused(_ error: ConnectionFailure, _ endpoint: Endpoint, _ entry: AuthSecrets.Entry?) {
        refusedLogins.insert(endpoint.place, reason: error.text, after: .zero)
        log?.error(
            "auth-failed",
            [
                "relay": endpoint.relay, "user": entry?.credentials.user.text ?? "-", "reason": error.text,
                "consequence": "mail for it waits",
            ])
    }
}
