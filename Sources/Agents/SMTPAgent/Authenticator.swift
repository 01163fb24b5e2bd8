import Digests
import MailModel
import SASL
import SMTPProtocol

/// AUTH of one connection: chooses a mechanism, and carries the exchange on.
struct Authenticator {
    private let entry: AuthSecrets.Entry
    /// `nil`: no TLS.
    private let binding: SASLClientExchange.Binding?
    private let security: ClientSession.Security
    private var tried: Set<SASLMechanism> = []
    private var exchange: SASLClientExchange?

    /// Octets of a SCRAM nonce before base64.
    private static let nonceLength = 24

    init(_ entry: AuthSecrets.Entry, binding: SASLClientExchange.Binding?, security: ClientSession.Security) {
        self.entry = entry
        self.binding = binding
        self.security = security
    }

    /// For the log.
    var user: String { entry.credentials.user.text }

    /// The strongest of what the server offers and the file allows, those that were refused left out.
    mutating func begin(
        _ session: inout ClientSession, refusal: Reply?, into output: inout [UInt8]
    ) -> SASLMechanism? {
        if let reason = obstacle(session.capabilities) {
            session.abandonAuthentication(refusal.map { .refused($0) } ?? .notPossible(reason), into: &output)
            return nil
        }
        guard let mechanism = choice(session.capabilities) else {
            session.abandonAuthentication(
                refusal.map { .refused($0) } ?? .notPossible("no mechanism is left"), into: &output)
            return nil
        }
        tried.insert(mechanism)
        var generator = SystemRandomNumberGenerator()
        let random = (0..<Self.nonceLength).map { _ in UInt8.random(in: 0...255, using: &generator) }
        var exchange = SASLClientExchange(
            mechanism, as: entry.credentials, nonce: ServerNonce(random: random), binding: binding,
            isPlusOffered: session.capabilities.authMechanisms.contains(SASLMechanism.scramSHA256Plus.name))
        if session.authenticate(mechanism.name, initialResponse: exchange.initialResponse, into: &output) {
            exchange.initialResponseSent()
        }
        self.exchange = exchange
        return mechanism
    }

    mutating func answer(_ challenge: [UInt8], _ session: inout ClientSession, into output: inout [UInt8]) {
        var action = exchange?.received(challenge) ?? .failed("no exchange")
        if case .derive(let derivation) = action {
            action = exchange?.derived(derivation.keys) ?? .failed("no exchange")
        }
        switch action {
        case .respond(let octets): session.respond(octets, into: &output)
        case .failed(let reason): session.abandonAuthentication(.distrusted(reason), into: &output)
        case .derive: session.abandonAuthentication(.distrusted("out of step"), into: &output)
        }
    }

    /// The server says that it knows us.
    mutating func finish(_ session: inout ClientSession, into output: inout [UInt8]) {
        guard exchange?.isComplete == true else {
            session.abandonAuthentication(
                .distrusted("the server says that all is well before it has proved who it is"), into: &output)
            return
        }
        session.authenticationCompleted()
        exchange = nil
    }

    /// How the password may come back.
    private var secretForms: [[UInt8]] {
        let credentials = entry.credentials
        let password = credentials.password.withOctets { Array($0) }
        return [
            password, Array(Base64.encode(password).utf8),
            Array(Base64.encode([0] + credentials.user.octets + [0] + password).utf8),
        ]
    }

    /// The same for the beginning of a line that never came to its end: what the password begins with is left out there.
    func withoutSecrets(unfinished octets: [UInt8]) -> String {
        let counts = secretForms.map { form in
            (0..<max(1, form.count)).last { octets.suffix($0).elementsEqual(form.prefix($0)) } ?? 0
        }
        return withoutSecrets(String(decoding: octets.dropLast(counts.max() ?? 0), as: UTF8.self))
    }

    /// What a server says may hold what it was told.
    func withoutSecrets(_ text: String) -> String {
        let holds = secretForms.contains { form in
            let octets = Array(text.utf8)
            guard !form.isEmpty, form.count <= octets.count else { return false }
            return (0...(octets.count - form.count)).contains { octets[$0...].starts(with: form) }
        }
        return holds ? "(hidden: it repeats the password)" : text
    }

    private func obstacle(_ capabilities: ServerCapabilities) -> String? {
        if security == .clearText, !entry.allowsClearText {
            return "there is no TLS, and the secrets file does not say cleartext"
        }
        if capabilities.authMechanisms.isEmpty { return "the server does not offer AUTH" }
        guard choice(capabilities) == nil, tried.isEmpty else { return nil }
        return
            "the server offers no mechanism that may be used: \(capabilities.authMechanisms.prefix(10).joined(separator: " "))"
    }

    private func choice(_ capabilities: ServerCapabilities) -> SASLMechanism? {
        SASLMechanism.allCases.first { mechanism in
            entry.mechanisms.contains(mechanism) && !tried.contains(mechanism)
                && capabilities.authMechanisms.contains(mechanism.name)
                && (!mechanism.needsChannelBinding || binding != nil)
        }
    }
}

extension SCRAMDerivation {
    /// `nil`: the library has failed.
    fileprivate var keys: Keys? {
        let salted = password.withOctets {
            Digest.pbkdf2SHA256($0, salt: parameters.salt, iterations: parameters.iterations)
        }
        guard var salted else { return nil }
        defer { Secret.wipe(&salted) }
        guard var client = Digest.hmacSHA256(salted, Array("Client Key".utf8)), let stored = Digest.sha256(client),
            let signature = Digest.hmacSHA256(stored, authMessage),
            let server = Digest.hmacSHA256(salted, Array("Server Key".utf8)),
            let serverSignature = Digest.hmacSHA256(server, authMessage)
        else { return nil }
        defer { Secret.wipe(&client) }
        return Keys(clientProof: zip(client, signature).map { $0 ^ $1 }, serverSignature: serverSignature)
    }
}
