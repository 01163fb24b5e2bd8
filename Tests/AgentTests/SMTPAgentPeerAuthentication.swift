import MailModel
import SASL
import TransportSecurity

/// AUTH at a scripted peer, with our own server's exchanges: one user, one password.
struct SMTPAgentPeerAuthentication {
    /// What the client says, and what is answered, `334 …` included; whatever it is, the exchange ends with anything else.
    private let script: (_ line: String, _ tls: TLSConnection?) -> String

    init(_ script: @escaping (_ line: String, _ tls: TLSConnection?) -> String) { self.script = script }

    mutating func answer(_ line: String, tls: TLSConnection?) -> String { script(line, tls) }

    /// The same reply to everything.
    static func saying(_ reply: String) -> @Sendable () -> SMTPAgentPeerAuthentication {
        { SMTPAgentPeerAuthentication { _, _ in reply } }
    }
}
