import AgentKit
import MailModel
import Resolver
import SMTPProtocol
import Telemetry

/// Opens sessions: finds the hosts of a next hop and goes through them.
struct Connector<Names: NameService>: Sendable {
    let finder: HostFinder<Names>
    let session: ClientSession.Configuration
    let socket: Socket.Options
    let timeouts: Timeouts
    /// For the dialogue (`-v`).
    let dialogue: EventLog?
    /// Places that have just failed; what took long is avoided for as long, within bounds.
    private let failedPlaces = FailedPlaces<Endpoint.Place>()

    init(
        finder: HostFinder<Names>, session: ClientSession.Configuration, socket: Socket.Options, timeouts: Timeouts,
        dialogue: EventLog?
    ) {
        self.finder = finder
        self.session = session
        self.socket = socket
        self.timeouts = timeouts
        self.dialogue = dialogue
    }

    enum Result {
        case connected(SMTPConnection)
        /// All hosts failed, or the DNS did.
        case temporaryFailure(ConnectionFailure)
        case permanentFailure(EnhancedStatusCode, String)
    }

    func connect(_ hop: NextHop, until end: Deadline) -> Result {
        switch finder.endpoints(of: hop) {
        case .permanentFailure(let status, let text):
            return .permanentFailure(status, text)
        case .temporaryFailure(let text):
            return .temporaryFailure(ConnectionFailure(text: text, status: "4.4.3"))
        case .endpoints(let endpoints):
            // The first failure is the one to tell: the best host's.
            var first: ConnectionFailure?
            for endpoint in endpoints {
                if end.hasPassed { break }
                do throws(ConnectionFailure) {
                    return .connected(try connect(endpoint, until: end))
                } catch {
                    first = first ?? error
                }
            }
            return .temporaryFailure(first ?? ConnectionFailure(text: "\(hop): no host in time", status: "4.4.1"))
        }
    }

    private func connect(_ endpoint: Endpoint, until end: Deadline) throws(ConnectionFailure) -> SMTPConnection {
        if let reason = failedPlaces.reason(endpoint.place) {
            throw ConnectionFailure(text: "\(reason) (a moment ago)", status: "4.4.1")
        }
        let start = ContinuousClock.now
        let stream: Socket
        do throws(TransportError) {
            stream = try Socket(
                to: endpoint, options: socket, deadline: min(Deadline(after: timeouts.connect), end))
        } catch {
            let text = "\(endpoint.relay): \(error)"
            failedPlaces.insert(endpoint.place, reason: text, after: ContinuousClock.now - start)
            throw ConnectionFailure(text: text, status: "4.4.1")
        }
        let connection = SMTPConnection(
            endpoint, socket: stream, configuration: session, timeouts: timeouts, log: dialogue)
        do throws(ConnectionFailure) {
            try connection.open(until: end)
        } catch {
            if !error.isRefusal {
                failedPlaces.insert(endpoint.place, reason: error.text, after: ContinuousClock.now - start)
            }
            throw error
        }
        return connection
    }
}
