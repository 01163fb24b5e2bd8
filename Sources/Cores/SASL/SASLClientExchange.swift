import MailModel

/// The client's side of one SASL exchange, with no I/O and no cryptography: messages in, one action out (RFC 4422 §3, RFC 4954 §4).
///
/// ```
/// var exchange = SASLClientExchange(.plain, as: credentials, nonce: nonce)
/// exchange.initialResponse             // NUL alice NUL secret
/// exchange.received(challenge)         // .respond(octets), .derive(…) or .failed(…)
/// exchange.isComplete                  // whether the server's 235 may be believed
/// ```
public struct SASLClientExchange: Sendable {
    /// Who we are.
    public struct Credentials: Hashable, Sendable {
        public let user: UserName
        public let password: Secret

        public init(user: UserName, password: Secret) {
            self.user = user
            self.password = password
        }
    }

    /// What ties a SCRAM exchange to the TLS connection (RFC 5802 §6).
    public struct Binding: Hashable, Sendable {
        /// `tls-exporter`
        public let name: String
        public let data: [UInt8]

        public init(name: String, data: [UInt8]) {
            self.name = name
            self.data = data
        }
    }

    public enum Action: Hashable, Sendable {
        /// Send it in base64.
        case respond([UInt8])
        /// Calculate and call ``derived(_:)``.
        case derive(SCRAMDerivation)
        /// Break off: the text is for the log.
        case failed(String)
    }

    private enum State: Hashable, Sendable {
        /// PLAIN, SCRAM: the first message has been handed out or is to answer an empty challenge.
        case begun
        case awaitingLoginPassword
        case awaitingServerFirst
        case deriving(serverNonce: [UInt8], withoutProof: [UInt8])
        /// SCRAM: the server has to prove that it knows the password, too.
        case awaitingServerFinal(signature: [UInt8])
        case complete
        case failed
    }

    public let mechanism: SASLMechanism
    private let credentials: Credentials
    private let nonce: String
    private let binding: Binding?
    private let isPlusOffered: Bool
    private var state = State.begun

    /// - Parameters:
    ///   - nonce: of SCRAM; from the system's generator.
    ///   - binding: of the connection, if it has one.
    ///   - isPlusOffered: the server lists `SCRAM-SHA-256-PLUS`.
    public init(
        _ mechanism: SASLMechanism, as credentials: Credentials, nonce: ServerNonce, binding: Binding? = nil,
        isPlusOffered: Bool = false
    ) {
        self.mechanism = mechanism
        self.credentials = credentials
        self.nonce = nonce.text
        self.binding = binding
        self.isPlusOffered = isPlusOffered
    }

    /// `nil`: the server speaks first.
    public var initialResponse: [UInt8]? {
        switch mechanism {
        case .plain: [0] + credentials.user.octets + [0] + credentials.password.withOctets { Array($0) }
        case .login: nil
        case .scramSHA256, .scramSHA256Plus: header + bare
        }
    }

    /// The initial response went out with AUTH.
    public mutating func initialResponseSent() {
        guard state == .begun else { return }
        switch mechanism {
        case .plain: state = .complete
        case .login: break
        case .scramSHA256, .scramSHA256Plus: state = .awaitingServerFirst
        }
    }

    /// - Parameter challenge: of the server, decoded.
    public mutating func received(_ challenge: [UInt8]) -> Action {
        switch (state, mechanism) {
        case (.begun, .login):
            state = .awaitingLoginPassword
            return .respond(credentials.user.octets)
        case (.awaitingLoginPassword, .login):
            state = .complete
            return .respond(credentials.password.withOctets { Array($0) })
        case (.begun, .plain), (.begun, .scramSHA256), (.begun, .scramSHA256Plus):
            guard challenge.isEmpty, let initialResponse else { return fail("a challenge where none may be") }
            initialResponseSent()
            return .respond(initialResponse)
        case (.awaitingServerFirst, _): return serverFirst(challenge)
        case (.awaitingServerFinal(let signature), _):
            guard
                let value = SCRAMMessage.value(
                    Octets.split(challenge[...], at: SCRAMMessage.comma).first, of: UInt8(ascii: "v")),
                let octets = Base64.decode(value)
            else { return fail("the server gives no signature") }
            let isRight = octets.withUnsafeBytes { one in signature.withUnsafeBytes { equalInConstantTime(one, $0) } }
            guard isRight else { return fail("the server does not know the password: it is somebody else") }
            state = .complete
            return .respond([])
        case (.begun, _), (.awaitingLoginPassword, _), (.deriving, _), (.complete, _), (.failed, _):
            return fail("a challenge where none may be")
        }
    }

    /// The result of ``Action/derive(_:)``; `nil`: the library has failed.
    public mutating func derived(_ keys: SCRAMDerivation.Keys?) -> Action {
        guard case .deriving(_, let withoutProof) = state, let keys else { return fail("no keys") }
        state = .awaitingServerFinal(signature: keys.serverSignature)
        return .respond(withoutProof + Array(",p=\(Base64.encode(keys.clientProof))".utf8))
    }

    /// Whether the server may be believed when it says that all is well: with SCRAM it has proved who it is (RFC 5802 §9).
    public var isComplete: Bool { state == .complete }

    // MARK: SCRAM

    /// `gs2-header` (RFC 5802 §7): `y` where we could bind and the server does not offer it.
    private var header: [UInt8] {
        let flag: String =
            if mechanism.needsChannelBinding, let binding {
                "p=\(binding.name)"
            } else {
                binding == nil || isPlusOffered ? "n" : "y"
            }
        return Array("\(flag),,".utf8)
    }

    private var bare: [UInt8] {
        let name = credentials.user.octets.flatMap { octet -> [UInt8] in
            switch octet {
            case UInt8(ascii: ","): Array("=2C".utf8)
            case UInt8(ascii: "="): Array("=3D".utf8)
            default: [octet]
            }
        }
        return Array("n=".utf8) + name + Array(",r=\(nonce)".utf8)
    }

    private mutating func serverFirst(_ message: [UInt8]) -> Action {
        var fields = Octets.split(message[...], at: SCRAMMessage.comma)[...]
        guard let serverNonce = SCRAMMessage.value(fields.popFirst(), of: UInt8(ascii: "r")),
            SCRAMMessage.isNonce(serverNonce), serverNonce.starts(with: nonce.utf8),
            serverNonce.count > nonce.utf8.count, serverNonce.count <= Self.maximumNonce
        else { return fail("the server's nonce does not go on from ours") }
        guard let salt = SCRAMMessage.value(fields.popFirst(), of: UInt8(ascii: "s")).flatMap({ Base64.decode($0) }),
            let iterations = SCRAMMessage.value(fields.popFirst(), of: UInt8(ascii: "i")).flatMap({ Octets.decimal($0) }
            ),
            let parameters = SCRAMParameters(salt: salt, iterations: iterations)
        else { return fail("salt or iterations (4096 to 1000000) cannot be used") }
        do throws(SASLFailure) {
            try SCRAMMessage.checkExtensions(fields)
        } catch {
            return fail(error.description)
        }
        let bindingInput = header + (mechanism.needsChannelBinding ? binding?.data ?? [] : [])
        let withoutProof = Array("c=\(Base64.encode(bindingInput)),r=".utf8) + serverNonce
        let authMessage = [bare, message, withoutProof].joined(separator: [SCRAMMessage.comma])
        state = .deriving(serverNonce: Array(serverNonce), withoutProof: withoutProof)
        return .derive(
            SCRAMDerivation(password: credentials.password, parameters: parameters, authMessage: Array(authMessage)))
    }

    /// Octets.
    private static let maximumNonce = 512

    private mutating func fail(_ reason: String) -> Action {
        state = .failed
        return .failed(reason)
    }
}

/// What a SCRAM client has to calculate (RFC 5802 §3).
public struct SCRAMDerivation: Hashable, Sendable {
    public let password: Secret
    public let parameters: SCRAMParameters
    public let authMessage: [UInt8]

    public struct Keys: Hashable, Sendable {
        /// `ClientKey XOR HMAC(H(ClientKey), AuthMessage)`
        public let clientProof: [UInt8]
        /// `HMAC(ServerKey, AuthMessage)`: what the server has to show.
        public let serverSignature: [UInt8]

        public init(clientProof: [UInt8], serverSignature: [UInt8]) {
            self.clientProof = clientProof
            self.serverSignature = serverSignature
        }
    }
}
