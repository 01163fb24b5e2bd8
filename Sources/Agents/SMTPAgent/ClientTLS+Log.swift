import Configuration
import Telemetry
import TransportSecurity

extension TLSSessionInfo {
    /// `TLSv1.3/TLS_AES_256_GCM_SHA384/verified`; `untrusted` where the server has not proved who it is.
    var summary: String { "\(protocolName)/\(cipher)/\(isPeerVerified ? "verified" : "untrusted")" }
}

extension ClientTLS {
    /// Which `tls-loglevel` asks for a line for each session, and for what the certificate says.
    private static let sessionLevel = 1
    private static let certificateLevel = 2

    /// A session has begun.
    ///
    /// - Parameter dialogue: with `-v`: there it is told whatever `tls-loglevel` is.
    func report(_ session: TLSSessionInfo, _ endpoint: Endpoint, dialogue: EventLog?) {
        let isResumed = session.isResumed ? "yes" : "no"
        if configuration.logLevel < Self.certificateLevel, dialogue == nil {
            guard configuration.logLevel >= Self.sessionLevel else { return }
            log?.info("tls", ["relay": endpoint.relay, "tls": session.summary, "resumed": isResumed])
            return
        }
        let fields: KeyValuePairs<StaticString, String> = [
            "relay": endpoint.relay, "tls": session.summary, "resumed": isResumed,
            "subject": session.peer?.subject ?? "-", "issuer": session.peer?.issuer ?? "-",
            "sha256": session.peer?.fingerprint.description ?? "-", "reason": session.verifyError ?? "-",
        ]
        if configuration.logLevel >= Self.certificateLevel {
            log?.info("tls", fields)
        } else {
            dialogue?.debug("tls", fields)
        }
    }

    /// Mail goes out in clear text after TLS was begun.
    func reportClearText(_ failure: ConnectionFailure, _ endpoint: Endpoint) {
        log?.info("tls-given-up", ["relay": endpoint.relay, "reason": failure.text, "next": "clear text"])
    }
}
