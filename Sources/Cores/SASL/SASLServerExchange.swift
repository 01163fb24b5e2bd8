/// The server's side of one SASL exchange, with no I/O: messages and answers in, one action out (RFC 4422 §3, RFC 4954 §4).
/// A cancellation (`*`) is the host's: it forgets the exchange.
///
/// ```
/// var exchange = SASLServerExchange(.plain, nonce: nonce)
/// exchange.begin(initialResponse: octets)     // .check(.password(user: alice, (secret)))
/// exchange.answered(.accepted(canonicalName: nil))   // .succeeded(user: alice)
/// ```
public struct SASLServerExchange: Sendable {
    /// Octets of a message of the client. PLAIN needs 1538.
    public static let maximumMessageLength = 1600

    public enum Action: Hashable, Sendable {
        /// Send it in base64 behind 334, and call ``received(_:)`` with what comes.
        case challenge([UInt8])
        /// Ask, read nothing meanwhile, and call ``answered(_:)``.
        case check(CredentialQuestion)
        /// The exchange is over. The name is the one that the verifier knows the user by.
        case succeeded(user: UserName)
        /// The exchange is over.
        case failed(SASLFailure)
    }

    enum State: Hashable, Sendable {
        /// `begin` → `awaitingResponse`, or as if the response had come.
        case initial
        case awaitingPlain
        case awaitingLoginUser
        case awaitingLoginPassword(UserName)
        /// PLAIN and LOGIN: answer → ended.
        case checkingPassword(UserName)
        case awaitingClientFirst
        /// Answer → `awaitingClientFinal`.
        case fetchingParameters(SCRAMClientFirst, binding: [UInt8])
        case awaitingClientFinal(SCRAMClientFirst, binding: [UInt8], serverFirst: [UInt8])
        /// Answer → `awaitingAcknowledgement`.
        case checkingProof(UserName)
        /// The server's signature is sent; it counts when the client has seen it (RFC 5802 §3).
        case awaitingAcknowledgement(UserName)
        case ended
    }

    public let mechanism: SASLMechanism
    /// Who the client says to be, as soon as it has said so: for the log. Nothing is proven before ``Action/succeeded(user:)``.
    public internal(set) var claimedUser: UserName?

    let nonce: ServerNonce
    let bindings: ChannelBindings
    private let prompts: LoginPrompts
    private var state = State.initial

    /// - Parameter bindings: of the connection; for SCRAM.
    public init(
        _ mechanism: SASLMechanism, nonce: ServerNonce, bindings: ChannelBindings = .none,
        prompts: LoginPrompts = LoginPrompts()
    ) {
        self.mechanism = mechanism
        self.nonce = nonce
        self.bindings = bindings
        self.prompts = prompts
    }

    /// - Parameter initialResponse: that of the AUTH command, decoded; `[]` for `=`, `nil` for none (RFC 4954 §4).
    public mutating func begin(initialResponse: [UInt8]?) -> Action {
        guard case .initial = state else { return end(.outOfSequence) }
        let (first, prompt): (State, [UInt8]) =
            switch mechanism {
            case .plain: (.awaitingPlain, [])
            case .login: (.awaitingLoginUser, Array(prompts.user.utf8))
            case .scramSHA256, .scramSHA256Plus: (.awaitingClientFirst, [])
            }
        state = first
        guard let initialResponse else { return .challenge(prompt) }
        return received(initialResponse)
    }

    /// - Parameter response: the client's answer to a challenge, decoded.
    public mutating func received(_ response: [UInt8]) -> Action {
        guard response.count <= Self.maximumMessageLength else {
            return end(.messageTooLong(limit: Self.maximumMessageLength))
        }
        do throws(SASLFailure) {
            switch state {
            case .awaitingPlain:
                let (user, password) = try Self.plain(response)
                return check(.password(user: user, password), .checkingPassword(user))
            case .awaitingLoginUser:
                guard let user = UserName(response) else { throw .userNameRefused }
                claimedUser = user
                state = .awaitingLoginPassword(user)
                return .challenge(Array(prompts.password.utf8))
            case .awaitingLoginPassword(let user):
                let password = try Self.loginPassword(response)
                return check(.password(user: user, password), .checkingPassword(user))
            case .awaitingClientFirst:
                let first = try SCRAMClientFirst(response)
                claimedUser = first.user
                let binding = try first.expectedBinding(mechanism, bindings)
                return check(.scramParameters(user: first.user), .fetchingParameters(first, binding: binding))
            case .awaitingClientFinal(let first, let binding, let serverFirst):
                let question = try proof(response, first, binding, serverFirst)
                return check(question, .checkingProof(first.user))
            case .awaitingAcknowledgement(let user):
                guard response.isEmpty else { throw .malformed(.acknowledgement) }
                state = .ended
                return .succeeded(user: user)
            case .initial, .checkingPassword, .fetchingParameters, .checkingProof, .ended:
                throw .outOfSequence
            }
        } catch {
            return end(error)
        }
    }

    /// - Parameter answer: to the question of ``Action/check(_:)``.
    public mutating func answered(_ answer: CredentialAnswer) -> Action {
        switch (state, answer) {
        case (.checkingPassword, .unavailable(let reason)), (.fetchingParameters, .unavailable(let reason)),
            (.checkingProof, .unavailable(let reason)):
            return end(.unavailable(reason: reason))
        case (.checkingPassword, .refused), (.fetchingParameters, .refused), (.checkingProof, .refused):
            return end(.invalidCredentials)
        case (.checkingPassword(let user), .accepted(let name)):
            state = .ended
            return .succeeded(user: name ?? user)
        case (.fetchingParameters(let first, let binding), .scramParameters(let parameters)):
            let message = serverFirst(first, parameters)
            state = .awaitingClientFinal(first, binding: binding, serverFirst: message)
            return .challenge(message)
        case (.checkingProof(let user), .scramAccepted(let signature)):
            state = .awaitingAcknowledgement(user)
            return .challenge(Self.serverFinal(signature))
        case (.checkingPassword, .scramParameters), (.checkingPassword, .scramAccepted),
            (.fetchingParameters, .accepted), (.fetchingParameters, .scramAccepted),
            (.checkingProof, .accepted), (.checkingProof, .scramParameters):
            return end(.unavailable(reason: "the answer does not fit the question"))
        case (.initial, _), (.awaitingPlain, _), (.awaitingLoginUser, _), (.awaitingLoginPassword, _),
            (.awaitingClientFirst, _), (.awaitingClientFinal, _), (.awaitingAcknowledgement, _), (.ended, _):
            return end(.outOfSequence)
        }
    }

    private mutating func check(_ question: CredentialQuestion, _ next: State) -> Action {
        claimedUser = question.user
        state = next
        return .check(question)
    }

    private mutating func end(_ failure: SASLFailure) -> Action {
        state = .ended
        return .failed(failure)
    }
}
