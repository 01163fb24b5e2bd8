import AgentKit
import AgentProtocol
import Configuration
import MailModel
import Resolver
import SMTPProtocol
import SpoolFormat
import Telemetry
import Testing

@testable import SMTPAgent

/// A spool, a peer and an agent between them.
struct SMTPAgentHarness {
    let spool: AgentKitSpool
    let peer: SMTPAgentPeer
    var options = SMTPAgentOptions()
    var names = SMTPAgentNames()
    var tls = SMTPTLSConfiguration()
    /// Which `tls` names: they live as long as this.
    var files: [TLSFixtures.File] = []
    var log: EventLog?
    var secrets = AuthSecrets.none
    /// Nanoseconds, for idle connections and the health of places.
    var clock: @Sendable () -> Int64 = { Deadline.now }

    /// - Parameter unixName: of a socket in the spool's folder, instead of a port.
    init(_ script: SMTPAgentPeer.Script = SMTPAgentPeer.Script(), unixName: String? = nil) throws {
        spool = try AgentKitSpool()
        peer =
            if let unixName {
                try SMTPAgentPeer(script, unixPath: "\(spool.root)/queue/\(unixName)")
            } else {
                try SMTPAgentPeer(script)
            }
        options.timeouts.connect = .seconds(10)
        options.timeouts.command = .seconds(10)
        options.isLMTP = script.isLMTP
    }

    /// The host of the route that leads to the peer.
    var host: String { "[127.0.0.1]:\(peer.port)" }

    func group(_ recipients: [String], from sender: String = "s@a.test") -> ControlGroup {
        .from(sender, recipients.map { ("smtp", host, $0) })
    }

    /// Runs the agent over all jobs; the reports in the order of their jobs.
    func deliver(_ controls: [ControlFile], host: String? = nil, jobs: Int = 1) throws -> [AgentReport] {
        try run(controls.map { "\($0.id)\t\(host ?? self.host)\n" }.joined(), jobs: jobs)
    }

    /// An agent, for tests that call it themselves.
    func agent() throws -> SMTPTransportAgent<SMTPAgentNames> {
        let (agent, _) = try make(options)
        return agent
    }

    /// The same for lines as the scheduler writes them.
    func run(_ input: String, jobs: Int = 1) throws -> [AgentReport] {
        var options = self.options
        options.maximumJobs = jobs
        let (agent, log) = try make(options)
        let observer: ResultObserver = if let log { DeliveryLog.observer(log) } else { { _, _, _, _ in } }
        return try spool.run(agent, jobs: jobs, input: input, observer: observer).compactMap {
            if case .report(let report) = $0 { report } else { nil }
        }
    }

    private func make(
        _ options: SMTPAgentOptions
    ) throws -> (agent: SMTPTransportAgent<SMTPAgentNames>, log: EventLog?) {
        let finder = HostFinder(
            names: names, ownIdentity: OwnIdentity(names: ["self.test"], addresses: []), defaultPort: peer.port,
            usesMX: options.usesMX, prefersIPv6: false, mayConnectToSelf: false)
        var session = ClientSession.Configuration(helloName: "self.test")
        session.isLMTP = options.isLMTP
        session.allowsPipelining = options.usesPipelining
        session.sendsUnannounced8Bit = true
        session.usesHelloOnly = options.usesHelloOnly
        session.needsESMTPGreeting = options.needsESMTPBanner
        var socket = Socket.Options()
        socket.localIdentity = options.localIdentity
        socket.usesPrivilegedPort = options.usesPrivilegedPort
        socket.sendBufferSize = options.sendBufferSize
        var connector = Connector(
            finder: finder, session: session, socket: socket, timeouts: options.timeouts,
            tls: try ClientTLS(tls, file: "smtp-tls.conf", log: log), dialogue: options.isVerbose ? log : nil)
        connector.secrets = secrets
        connector.channel = options.channel
        connector.log = log
        connector.health = PlaceHealth(now: clock)
        let agent = SMTPTransportAgent(options, connector: connector, clock: clock)
        return (agent, log)
    }
}
