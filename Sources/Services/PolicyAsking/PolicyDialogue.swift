import Configuration
import MailModel
import Policy
import SMTPProtocol

/// One SMTP session, as if from an address, whose questions are answered at once and whose messages are refused:
/// `smtpserver -T` and `zmailer explain`.
///
/// Everything but the network, the spool and the wait for answers is what a session of smtpserver has.
public struct PolicyDialogue {
    /// The answer; `nil`: there is none.
    public typealias Asker = (PolicyQuestion) -> PolicyAnswer?

    public private(set) var session: ServerSession
    public private(set) var policy = SessionPolicy()
    private let configuration: SMTPServerConfiguration
    private let hostName: String
    private let client: IPAddress
    private let authenticatedUser: String
    private let sessionID: String
    private let ask: Asker
    private var lastNumber: UInt64 = 0

    public static let nothingStored = Reply(
        554, EnhancedStatusCode(5, 7, 1), "This is a test of the policy: no message is taken and nothing is stored")

    /// - Parameters:
    ///   - values: of the session; their host name is ours.
    ///   - ask: called with each question before its reply is written.
    public init(
        _ configuration: SMTPServerConfiguration, _ values: ServerConfiguration, client: IPAddress,
        authenticatedUser: String = "", sessionID: String, ask: @escaping Asker
    ) {
        self.configuration = configuration
        hostName = values.values.hostName
        self.client = client.unmapped
        self.authenticatedUser = authenticatedUser
        self.sessionID = sessionID
        self.ask = ask
        var values = values.values
        values.extensions.remove(.starttls)
        values.mechanisms = []
        session = ServerSession(
            configuration: ServerConfiguration(values),
            peer: ServerSession.Peer(literal: client.unmapped.literal))
    }

    /// The client connects. `false`: the session is over.
    public mutating func connect(unixTime: Int64, into replies: inout [UInt8]) -> Bool {
        let answer = answer(.connect)
        session.take(policy)
        let lines = Greeting.lines(
            configuration, hostName: hostName, peer: session.peer.literal, localPort: 25,
            date: CalendarDate(unixTime: unixTime).rfc5322)
        guard let greeting = ServerSession.Greeting(answer, lines: lines, hostName: hostName) else { return false }
        session.greet(greeting, into: &replies)
        if case .close = greeting { return false }
        return true
    }

    /// Octets of the client, best a line at a time. `false`: the session is over.
    public mutating func receive(_ octets: some Sequence<UInt8>, into replies: inout [UInt8]) -> Bool {
        let octets = Array(octets)
        var used = 0
        while true {
            let step = octets.withUnsafeBytes { view in
                session.receive(UnsafeRawBufferPointer(rebasing: view[used...]), into: &replies)
            }
            used += step.consumed
            switch step.action {
            case .needInput: return true
            case .awaitAnswer: preconditionFailure("every question of this session is answered at once")
            case .ask(let question): decide(question, &replies)
            case .beginMessage: session.answer(.reply(Self.nothingStored), into: &replies)
            case .endMessage: session.messageFailed(Self.nothingStored, into: &replies)
            case .content, .insertedContent, .discardMessage: break
            // There is no network to have TLS on; the host of such a session offers none.
            case .startTLS, .close: return false
            }
        }
    }

    /// The client has gone: nothing of it is counted any more.
    public mutating func disconnect() { _ = answer(.disconnect) }

    private mutating func answer(
        _ verb: PolicyQuestion.Verb, helo: String? = nil, sender: String = "", recipient: String = ""
    ) -> PolicyAnswer? {
        lastNumber += 1
        let question = PolicyQuestion(
            number: lastNumber, verb: verb, session: sessionID, client: client,
            helo: helo ?? session.hello?.argument ?? "", sender: sender, recipient: recipient,
            authenticatedUser: authenticatedUser, state: policy.state(for: verb), wantsSteps: true)
        let answer = ask(question)
        if let answer { policy.take(answer, to: verb) }
        return answer
    }

    private mutating func decide(_ question: ServerSession.Question, _ replies: inout [UInt8]) {
        switch question {
        case .hello(let hello):
            switch HelloRule(hello.argument, client: session.peer.literal, configuration, isLoadAbove: { _ in false }) {
            case .refuse(let reply, _):
                session.answer(.reply(reply), into: &replies)
            case .ask(let style):
                var decided = ServerSession.Answer.accept
                if !policy.isNeedless(.helo) {
                    decided = ServerSession.Answer(answer(.helo, helo: hello.argument))
                    session.take(policy)
                }
                if let style, decided == .accept { decided = .acceptStyle(style) }
                session.answer(decided, into: &replies)
            }
        case .sender(let mail):
            policy.beginTransaction()
            let sender = mail.reversePath.mailbox?.description ?? ""
            session.answer(
                policy.isNeedless(.mail) ? .accept : ServerSession.Answer(answer(.mail, sender: sender)), into: &replies
            )
        case .recipient(let mail, let recipient):
            let sender = mail.reversePath.mailbox?.description ?? ""
            let address = recipient.forwardPath.address
            session.answer(ServerSession.Answer(answer(.rcpt, sender: sender, recipient: address)), into: &replies)
        case .verify(let argument):
            session.answer(ServerSession.Answer(answer(.verify, recipient: argument)), into: &replies)
        case .expand(let argument):
            session.answer(ServerSession.Answer(answer(.expand, recipient: argument)), into: &replies)
        case .authentication, .startQueue, .changeClient, .debug:
            let text = "This is a test of the policy: nothing but that is here"
            session.answer(.reply(Reply(502, EnhancedStatusCode(5, 5, 1), text)), into: &replies)
        }
    }
}
