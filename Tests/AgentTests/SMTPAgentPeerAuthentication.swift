import Digests
import MailModel
import SASL
import TransportSecurity

/// AUTH at a scripted peer.
struct SMTPAgentPeerAuthentication {
    /// What the client says, and what is answered; whatever it is, the exchange ends with anything but `334 …`.
    private let script: (_ line: String, _ tls: TLSConnection?) -> String

    init(_ script: @escaping (_ line: String, _ tls: TLSConnection?) -> String) { self.script = script }

    mutating func answer(_ line: String, tls: TLSConnection?) -> String { script(line, tls) }

    /// The same reply to everything.
    static func saying(_ reply: String) -> @Sendable () -> SMTPAgentPeerAuthentication {
        { SMTPAgentPeerAuthentication { _, _ in reply } }
    }

    /// Our own server's exchanges: one user, one password.
    ///
    /// - Parameter isImpostor: knows the user, and not the password: SCRAM's signature is wrong.
    static func real(
        user: String, password: String, isPlusOffered: Bool = false, isImpostor: Bool = false
    ) -> @Sendable () -> SMTPAgentPeerAuthentication {
        {
            var exchange: SASLServerExchange?
            return SMTPAgentPeerAuthentication { line, tls in
                let action: SASLServerExchange.Action?
                if exchange == nil {
                    let words = line.split(separator: " ")
                    guard words.count >= 2, let mechanism = SASLMechanism(name: words[1]) else { return "504 5.5.4 no" }
                    var bindings: [String: [UInt8]] = [:]
                    for type in ChannelBinding.allCases { bindings[type.rawValue] = tls?.channelBinding(type) }
                    exchange = SASLServerExchange(
                        mechanism, nonce: ServerNonce(random: Array(0..<18)),
                        bindings: ChannelBindings(bindings, isOffered: isPlusOffered))
                    action = exchange?.begin(
                        initialResponse: words.count == 3 ? Base64.decode(Array(words[2].utf8)) : nil)
                } else {
                    action = Base64.decode(Array(line.utf8)).flatMap { exchange?.received($0) }
                }
                return reply(action, &exchange, user, password, isImpostor)
            }
        }
    }

    private static func reply(
        _ action: SASLServerExchange.Action?, _ exchange: inout SASLServerExchange?, _ user: String, _ password: String,
        _ isImpostor: Bool
    ) -> String {
        var action = action
        while case .check(let question)? = action {
            action = exchange?.answered(answer(question, user, password, isImpostor))
        }
        switch action {
        case .challenge(let octets): return "334 \(Base64.encode(octets))"
        case .succeeded: return "235 2.7.0 welcome"
        case .failed, .check, nil: return "535 5.7.8 not you"
        }
    }

    private static func answer(
        _ question: CredentialQuestion, _ user: String, _ password: String, _ isImpostor: Bool
    ) -> CredentialAnswer {
        guard question.user.text == user else { return .refused }
        let salt = Array("pepper".utf8)
        switch question {
        case .password(_, let secret):
            return secret == Secret(Array(password.utf8)) ? .accepted(canonicalName: nil) : .refused
        case .scramParameters:
            return SCRAMParameters(salt: salt, iterations: 4096).map { .scramParameters($0) }
                ?? .unavailable(reason: "parameters")
        case .scramProof(_, let message, let proof):
            let salted = Array(password.utf8).withUnsafeBytes { Digest.pbkdf2SHA256($0, salt: salt, iterations: 4096) }
            guard let salted, let client = Digest.hmacSHA256(salted, Array("Client Key".utf8)),
                let stored = Digest.sha256(client), let signature = Digest.hmacSHA256(stored, message),
                let server = Digest.hmacSHA256(salted, Array("Server Key".utf8)),
                let own = Digest.hmacSHA256(server, message)
            else { return .unavailable(reason: "library") }
            if isImpostor { return .scramAccepted(serverSignature: own.reversed()) }
            return Digest.sha256(zip(proof, signature).map { $0 ^ $1 }) == stored
                ? .scramAccepted(serverSignature: own) : .refused
        }
    }
}
