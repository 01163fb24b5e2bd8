import FuzzSupport
import MailModel
import SASL

/// Messages of a client, between octets 0xff, in each exchange: mechanism, channel binding and the verifier's answers are the
/// variant's.
///
/// Properties: nobody succeeds without a question that was answered with yes, and then under the name that was asked for; what is
/// sent is of bounded size, and a question is one line that comes back as it was; nothing follows on the end.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSASL(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    var messages = input.octets.split(separator: 0xff, maxSplits: 4, omittingEmptySubsequences: false).map(Array.init)
    let mechanism = SASLMechanism.allCases[Int(input.variant & 3)]
    let bindings = ChannelBindings(
        input.variant & 4 == 0 ? [:] : ["tls-exporter": [1, 2, 3]], isOffered: input.variant & 8 != 0)
    var host = Host(
        exchange: SASLServerExchange(mechanism, nonce: ServerNonce(random: [1, 2, 3]), bindings: bindings),
        answers: input.variant >> 5)
    let initial = input.variant & 16 == 0 ? nil : messages.removeFirst()
    host.take(host.exchange.begin(initialResponse: initial))
    for message in messages {
        if host.isOver { break }
        host.lastMessage = message
        host.take(host.exchange.received(message))
    }
    if host.isOver {
        precondition(host.exchange.received([]) == .failed(.outOfSequence))
        precondition(host.exchange.answered(.accepted(canonicalName: nil)) == .failed(.outOfSequence))
        precondition(host.exchange.begin(initialResponse: []) == .failed(.outOfSequence))
    }
    return 0
}

private struct Host {
    var exchange: SASLServerExchange
    /// Which answers the verifier gives.
    let answers: UInt8
    var isOver = false
    var lastMessage: [UInt8]?
    private var asked: [CredentialQuestion] = []
    private var approved: UserName?

    init(exchange: SASLServerExchange, answers: UInt8) {
        self.exchange = exchange
        self.answers = answers
    }

    mutating func take(_ action: SASLServerExchange.Action) {
        switch action {
        case .challenge(let octets):
            precondition(octets.count <= 2 * SASLServerExchange.maximumMessageLength)
        case .check(let question):
            check(question)
        case .succeeded(let user):
            precondition(user == approved && user == exchange.claimedUser, "nobody has said yes")
            if exchange.mechanism.sendsPasswordInClear {
                precondition(asked.count == 1)
            } else {
                precondition(asked.count == 2 && lastMessage == [], "the client has not seen the signature")
            }
            isOver = true
        case .failed(let failure):
            precondition(!failure.description.isEmpty)
            isOver = true
        }
    }

    private mutating func check(_ question: CredentialQuestion) {
        asked.append(question)
        precondition(asked.count <= 2 && exchange.claimedUser == question.user)
        precondition(question.user.text.contains("@@") || !"\(question)".contains("@@"), "a password shows")
        let request = CredentialRequest(client: nil, question)
        precondition(request.line.count <= CredentialLine.maximumLength)
        precondition(CredentialRequest(line: request.line) == request)
        let answer = answer(question)
        if answer == .accepted(canonicalName: nil) || answer == .scramAccepted(serverSignature: Self.signature) {
            approved = question.user
        }
        take(exchange.answered(answer))
    }

    private func answer(_ question: CredentialQuestion) -> CredentialAnswer {
        switch (question, answers) {
        case (_, 0): return .refused
        case (_, 1): return .unavailable(reason: "x")
        case (_, 2): return .scramAccepted(serverSignature: Self.signature)
        case (.password(_, let secret), _):
            return secret.withOctets { $0.elementsEqual("@@@@".utf8) } ? .accepted(canonicalName: nil) : .refused
        case (.scramParameters, _):
            guard let parameters = SCRAMParameters(salt: [1, 2, 3], iterations: 4096) else { return .refused }
            return .scramParameters(parameters)
        case (.scramProof(let user, let message, let proof), _):
            // Of this exchange, and in one piece.
            precondition(message.starts(with: Array("n=".utf8)) && proof.count == 32)
            precondition(user == asked.first?.user, "two users in one exchange")
            return proof[0] & 1 == 0 ? .refused : .scramAccepted(serverSignature: Self.signature)
        }
    }

    private static let signature = [UInt8](repeating: 9, count: 32)
}
