import MailModel
import Testing

@testable import SASL

/// An exchange up to its end: the messages of a client, and what the verifier says to each question.
struct Conversation {
    var exchange: SASLServerExchange
    var answers: [CredentialAnswer]
    private(set) var questions: [CredentialQuestion] = []
    private(set) var challenges: [String] = []

    init(_ exchange: SASLServerExchange, answers: [CredentialAnswer] = []) {
        self.exchange = exchange
        self.answers = answers
    }

    /// The first message is the initial response (`nil`: none). Returns the last action.
    mutating func run(_ messages: [[UInt8]?]) -> SASLServerExchange.Action {
        var action = settled(exchange.begin(initialResponse: messages.first ?? nil))
        for message in messages.dropFirst() {
            guard case .challenge = action else { return action }
            action = settled(exchange.received(message ?? []))
        }
        return action
    }

    mutating func run(_ messages: [String?]) -> SASLServerExchange.Action {
        run(messages.map { $0.map { Array($0.utf8) } })
    }

    private mutating func settled(_ action: SASLServerExchange.Action) -> SASLServerExchange.Action {
        var action = action
        while case .check(let question) = action, !answers.isEmpty {
            questions.append(question)
            action = exchange.answered(answers.removeFirst())
        }
        if case .challenge(let octets) = action { challenges.append(String(decoding: octets, as: UTF8.self)) }
        return action
    }
}

let alice = name("alice")

func name(_ text: String) -> UserName {
    guard let name = UserName(text) else { preconditionFailure("\(text) is no user name") }
    return name
}

func secret(_ text: String) -> Secret { Secret(Array(text.utf8)) }

/// An exchange whose nonce is `server`.
func exchange(_ mechanism: SASLMechanism, _ bindings: ChannelBindings = .none) -> SASLServerExchange {
    SASLServerExchange(mechanism, nonce: ServerNonce(text: "server"), bindings: bindings)
}

func parameters(_ salt: String = "salt", _ iterations: Int = 4096) -> SCRAMParameters {
    guard let parameters = SCRAMParameters(salt: Array(salt.utf8), iterations: iterations) else {
        preconditionFailure("no parameters")
    }
    return parameters
}

let digest = [UInt8](repeating: 7, count: 32)
let proofText = Base64.encode(digest)
