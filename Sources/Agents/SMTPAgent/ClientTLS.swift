import Configuration
import Glibc
import MailModel
import Telemetry
import TransportSecurity

/// TLS of all connections of this process: what smtp-tls.conf says, with its files read.
final class ClientTLS: Sendable {
    /// What a context is made with beside ``SMTPTLSConfiguration``; lines that agree in it share one.
    struct ContextKey: Hashable {
        let authorityFile: String?
        let ciphers: String?
        let protocols: ClosedRange<TLSPolicy.ProtocolVersion>

        init(_ policy: TLSPolicy) {
            authorityFile = policy.authorityFile
            ciphers = policy.ciphers
            protocols = policy.protocols
        }
    }

    let configuration: SMTPTLSConfiguration
    /// For `tls-loglevel` and for what was sent in clear text after all.
    let log: EventLog?
    let sessions: TLSSessionCache
    /// What an operator should mend about our own certificate, one line each.
    let problems: [String]
    private let contexts: [ContextKey: TLSClientContext]

    /// Reads all files that the configuration names; what is wrong with them is reported together.
    ///
    /// - Parameter file: of the configuration, for the errors.
    init(_ configuration: SMTPTLSConfiguration, file: String, log: EventLog?) throws(ConfigurationErrors) {
        self.configuration = configuration
        self.log = log
        sessions = TLSSessionCache(lifetime: configuration.sessionLifetime)
        var contexts: [ContextKey: TLSClientContext] = [:]
        var failed: Set<ContextKey> = []
        var errors: [ConfigurationError] = []
        var usable = configuration
        do throws(TLSFailure) {
            let own = TLSMaterial.Files(certificate: configuration.certificateFile, key: configuration.keyFile)
            problems = try TLSMaterial.read(own).problems(now: Int64(time(nil)))
        } catch {
            errors.append(ConfigurationError(file: file, line: 0, key: "", reason: error.description))
            // It is in every context: told once, it hides nothing else.
            problems = []
            usable.certificateFile = nil
            usable.keyFile = nil
        }
        // For what no line names, and for a line whose level none a message with REQUIRETLS raises.
        let others = (policy: TLSPolicy(level: .may), line: 0, key: "")
        let lines = configuration.destinations.map {
            (policy: $0.policy, line: $0.line, key: "destination \($0.pattern)")
        }
        for (policy, line, key) in [others] + lines {
            let settings = ContextKey(policy)
            if contexts[settings] != nil || failed.contains(settings) { continue }
            do throws(TLSFailure) {
                contexts[settings] = try Self.context(settings, usable)
            } catch {
                failed.insert(settings)
                errors.append(ConfigurationError(file: file, line: line, key: key, reason: error.description))
            }
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
        self.contexts = contexts
    }

    private static func context(
        _ key: ContextKey, _ configuration: SMTPTLSConfiguration
    ) throws(TLSFailure) -> TLSClientContext {
        var files = TLSMaterial.Files(certificate: configuration.certificateFile, key: configuration.keyFile)
        files.authorities = key.authorityFile ?? configuration.authorityFile
        var settings = TLSClientSettings()
        settings.authoritiesFolder = key.authorityFile == nil ? configuration.authorityFolder : nil
        settings.isSystemStoreTrusted = files.authorities == nil && settings.authoritiesFolder == nil
        settings.minimumProtocol = key.protocols.lowerBound.transport
        settings.maximumProtocol = key.protocols.upperBound.transport
        settings.cipherList = key.ciphers
        return try TLSClientContext(try TLSMaterial.read(files), settings)
    }

    /// What holds for a next hop.
    ///
    /// - Parameters:
    ///   - defaultPort: of hops that name none.
    ///   - isIdentityRequired: for a message that asks for it, whatever the destination's line says.
    func policy(for hop: NextHop, defaultPort: UInt16, isIdentityRequired: Bool) -> TLSPolicy {
        let host: MailDomain?
        switch hop.destination {
        case .address(let address): host = .literal(.ip(address))
        case .domain(let name, _): host = DomainName(name).map { .name($0) }
        // Nothing leaves this machine.
        case .unixSocket: return TLSPolicy(level: .none)
        }
        guard let host else { return TLSPolicy(level: configuration.demandsTLS || isIdentityRequired ? .verify : .may) }
        let policy = configuration.policy(for: host, port: hop.port ?? defaultPort)
        return isIdentityRequired ? policy.forRequireTLS : policy
    }

    /// A new connection's TLS, before its handshake.
    func connection(_ plan: TLSPlan) throws(TransportError) -> TLSConnection {
        guard let context = contexts[ContextKey(plan.policy)] else {
            throw .tls(reason: "no context for the settings of this destination", isLasting: false)
        }
        do throws(TLSFailure) {
            return try TLSConnection(
                client: context, serverName: plan.serverName, verification: plan.verification,
                resuming: sessions.session(for: plan.sessionKey), trace: trace(plan.endpoint))
        } catch {
            throw TransportError(error)
        }
    }

    private func trace(_ endpoint: Endpoint) -> TLSTrace? {
        guard let log, let level = TLSTrace.Level(rawValue: configuration.logLevel) else { return nil }
        return TLSTrace(level: level) { line in log.info("tls-trace", ["relay": endpoint.relay, "text": line]) }
    }
}
