import FuzzSupport
import MailModel
import SMTPProtocol

/// What a host saw of a session.
private struct Seen: Equatable {
    var replies: [UInt8] = []
    var messages: [[UInt8]] = []
    var isClosed = false
}

/// A mechanism of two messages, whose user must have a name of an even length.
private func authenticated(_ step: AuthenticationStep) -> ServerSession.Answer {
    switch step {
    case .begin(_, nil): return .challenge([0x3f])
    case .begin(_, let octets?), .response(let octets):
        if octets.count % 2 == 0 { return .authenticated(user: "u") }
        return .reply(Reply(535, EnhancedStatusCode(5, 7, 8), "no"))
    }
}

private func run(_ pieces: [[UInt8]], _ configuration: ServerConfiguration, variant: UInt8) -> Seen {
    var session = ServerSession(configuration: configuration, peer: ServerSession.Peer(literal: "[192.0.2.9]"))
    var seen = Seen()
    var content: [UInt8] = []
    var questions: [ServerSession.Question] = []
    var pending: [UInt8] = []
    session.greet(.welcome(["mx.example"]), into: &seen.replies)
    for piece in pieces where !seen.isClosed {
        let input = pending + piece
        let used = drain(input) { rest in
            let step = session.receive(rest, into: &seen.replies)
            precondition((0...rest.count).contains(step.consumed))
            switch step.action {
            case .needInput:
                precondition(step.consumed == rest.count)
                return (step.consumed, false)
            case .awaitAnswer:
                let question = questions.removeFirst()
                if case .authentication(let step) = question {
                    session.answer(authenticated(step), into: &seen.replies)
                } else if case .recipient(_, let recipient) = question,
                    recipient.forwardPath.address.utf8.count % 3 == 0
                {
                    session.answer(.reply(Reply(550, EnhancedStatusCode(5, 1, 1), "no")), into: &seen.replies)
                } else {
                    session.answer(.accept, into: &seen.replies)
                }
            case .ask(let question):
                questions.append(question)
            case .beginMessage:
                content = []
                let isFull = variant & 32 != 0 && seen.messages.count == 1
                session.answer(isFull ? .reply(Reply(452, nil, "full")) : .accept, into: &seen.replies)
            case .content(let range):
                content += rest[range]
            case .insertedContent(let octets):
                content += octets
            case .endMessage(let summary):
                precondition(summary.octets == content.count)
                seen.messages.append(content)
                session.messageStored(as: "x", into: &seen.replies)
            case .discardMessage:
                content = []
            case .startTLS:
                // With all that came in clear text behind it.
                session.tlsStarted()
                return (rest.count, false)
            case .close:
                seen.isClosed = true
                return (step.consumed, false)
            }
            return (step.consumed, true)
        }
        pending = Array(input[used...])
    }
    return seen
}

/// Property: the same replies and messages however the octets are split, and questions asked alone or several at a time.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzServerSession(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    var values = ServerConfiguration.Values(hostName: "mx.example")
    // What depends on the split by intention: a transaction before the greeting.
    values.requiresHello = false
    values.isLMTP = input.variant & 1 != 0
    values.bareLineEnds = input.variant & 2 != 0 ? .convert : .refuse
    values.maximumMessageSize = input.variant & 4 != 0 ? 30 : 0
    if input.variant & 8 != 0 { values.extensions.remove(.chunking) }
    if input.variant & 16 != 0 { values.style = [.strict] }
    values.maximumRecipients = 3
    values.mechanisms = ["PLAIN", "LOGIN"]
    values.allowsClearTextAuthentication = true
    values.requiresAuthentication = input.variant & 64 != 0
    values.extensions.formUnion([.etrn, .deliverBy, .priority, .futureRelease])
    let alone = run([input.octets], ServerConfiguration(values), variant: input.variant)
    values.maximumOpenQuestions = 8
    let together = run(input.pieces, ServerConfiguration(values), variant: input.variant)
    precondition(alone == together, "what a session does depends on the split")
    return 0
}
