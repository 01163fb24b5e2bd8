import MailModel

@testable import SMTPProtocol

/// A host without a network: gives a session octets, answers its questions, and keeps what it stores.
struct ServerHost {
    struct Stored: Hashable {
        var transaction: Transaction
        var content: [UInt8]
        var summary: MessageSummary
    }

    var session: ServerSession
    /// Asked for each question; the default accepts all but recipients called `nobody` and `later`.
    var decide: (ServerSession.Question) -> ServerSession.Answer = ServerHost.usual
    var begin: (Transaction) -> ServerSession.Answer = { _ in .accept }
    /// `nil` = stored as `S1`, `S2`, …
    var store: (Stored) -> [Reply]? = { _ in nil }
    /// Gives the message up in the middle, when content comes.
    var failsContentWith: Reply?

    var output: [UInt8] = []
    var stored: [Stored] = []
    var questions: [ServerSession.Question] = []
    var discarded = 0
    var handshakes = 0
    var isClosed = false
    /// Steps between reads: to see that nothing spins.
    var steps = 0
    private var transaction: Transaction?
    private var content: [UInt8] = []
    private var pending: [UInt8] = []
    private var unanswered: [ServerSession.Question] = []

    init(_ change: (inout ServerConfiguration.Values) -> Void = { _ in }, peer: ServerSession.Peer? = nil) {
        var values = ServerConfiguration.Values(hostName: "mx.example")
        change(&values)
        session = ServerSession(
            configuration: ServerConfiguration(values), peer: peer ?? ServerSession.Peer(literal: "[192.0.2.9]"))
    }

    static func usual(_ question: ServerSession.Question) -> ServerSession.Answer {
        guard case .recipient(_, let recipient) = question, case .mailbox(let mailbox) = recipient.forwardPath else {
            return .accept
        }
        switch mailbox.localPart.text {
        case "nobody": return .reply(Reply(550, EnhancedStatusCode(5, 1, 1), "User unknown"))
        case "later": return .reply(Reply(451, EnhancedStatusCode(4, 7, 1), "Greylisted"))
        case "goodbye": return .close(Reply(421, EnhancedStatusCode(4, 3, 2), "Shutting down"))
        case _: return .accept
        }
    }

    mutating func greet() {
        session.greet(.welcome(["mx.example ESMTP"]), into: &output)
    }

    /// Gives octets; what the session does not consume is given again with the next ones.
    mutating func receive(_ octets: [UInt8]) {
        let input = pending + octets
        var used = 0
        input.withUnsafeBytes { all in
            while !isClosed {
                steps += 1
                let rest = UnsafeRawBufferPointer(rebasing: all[used...])
                let step = session.receive(rest, into: &output)
                used += step.consumed
                switch step.action {
                case .needInput:
                    return
                case .awaitAnswer:
                    guard !unanswered.isEmpty else { return }
                    session.answer(decide(unanswered.removeFirst()), into: &output)
                case .ask(let question):
                    questions.append(question)
                    unanswered.append(question)
                case .beginMessage(let transaction):
                    self.transaction = transaction
                    content = []
                    session.answer(begin(transaction), into: &output)
                case .content(let range):
                    content += rest[range]
                    if let failsContentWith { session.messageFailed(failsContentWith, into: &output) }
                case .insertedContent(let octets):
                    content += octets
                case .endMessage(let summary):
                    let message = Stored(transaction: transaction!, content: content, summary: summary)
                    if let replies = store(message) {
                        session.messageDecided(replies, into: &output)
                    } else {
                        stored.append(message)
                        session.messageStored(as: "S\(stored.count)", into: &output)
                    }
                case .discardMessage:
                    discarded += 1
                case .startTLS:
                    handshakes += 1
                    // What the client sent in clear text does not survive it.
                    used = all.count
                    session.tlsStarted()
                case .close:
                    isClosed = true
                }
            }
        }
        pending = Array(input[used...])
    }

    /// Takes the replies written so far.
    mutating func replies() -> String {
        defer { output = [] }
        return text(output).replacing("\r\n", with: "\n")
    }

    /// All replies to this input, greeting included.
    static func run(
        _ input: String, pieces: [[UInt8]]? = nil, _ prepare: (inout ServerHost) -> Void = { _ in },
        _ change: (inout ServerConfiguration.Values) -> Void = { _ in }
    ) -> (host: ServerHost, replies: String) {
        var host = ServerHost(change)
        prepare(&host)
        host.greet()
        for piece in pieces ?? [octets(input.replacing("\n", with: "\r\n"))] { host.receive(piece) }
        let replies = host.replies()
        return (host, replies)
    }
}
