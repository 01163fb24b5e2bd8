import MailModel

/// The server side of one SMTP or LMTP session, with no I/O (RFC 5321 §4.1.4, RFC 2033).
///
/// The host calls ``greet(_:into:)`` once, and then ``receive(_:into:)`` with what it has read until that says
/// `needInput` (read on), `awaitAnswer` (give the answer that is due, then call again, with no octets if there are none)
/// or `close`. Replies are appended to the host's buffer; it writes them once per read.
///
/// ```swift
/// loop: while true {
///     let step = session.receive(rest, into: &replies)
///     defer { rest = rest[step.consumed...] }
///     switch step.action { case .ask(let question): … session.answer(.accept, into: &replies) … }
/// }
/// ```
public struct ServerSession: Sendable {
    /// Octets; what `maximumMessageSize` 0 means. A client that announces more is refused at MAIL.
    public static let sizeCeiling = 1_000_000_000

    public struct Peer: Hashable, Sendable {
        /// The address literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]`; some word for a peer that has no address.
        public var literal: String
        /// The confirmed name of the address, if it is known.
        public var name: String?

        public init(literal: String, name: String? = nil) {
            self.literal = literal
            self.name = name
        }
    }

    /// What of the session's surroundings decides what is offered.
    public struct Surroundings: Hashable, Sendable {
        /// TLS is established.
        public var isSecure = false
        /// The client may send mail without authentication where others may not (MSA-mode).
        public var isTrusted = false
        /// It might be, and that cannot be found out now.
        public var mayBeTrusted = false
        /// XCLIENT may be used.
        public var mayChangeClient = false
        /// Seconds since 1970, as the host knows it: what HOLDUNTIL is measured by.
        public var unixTime: Int64 = 0

        public init() {}
    }

    /// How the client introduced itself.
    public struct Hello: Hashable, Sendable {
        public enum Kind: String, Hashable, Sendable {
            case helo = "HELO"
            case ehlo = "EHLO"
            case lhlo = "LHLO"
        }
        public var kind: Kind
        /// As it came, made printable.
        public var argument: String
    }

    public enum Greeting: Hashable, Sendable {
        /// 220 with these lines, the host name first in the first one.
        case welcome([String])
        /// Told at once, and again after every command but QUIT and HELP (smtpserver.md §7.1).
        case refuse(Reply)
        /// Told, and that is all.
        case close(Reply)
    }

    /// What the host must decide; see ``answer(_:into:)``.
    public enum Question: Hashable, Sendable {
        case hello(Hello)
        case sender(MailCommand)
        /// The transaction so far, and the recipient that may be added to it.
        case recipient(MailCommand, RecipientCommand)
        case verify(String)
        case expand(String)
        /// A step of AUTH; the answer is `challenge`, `authenticated`, or a `reply` that ends the exchange.
        case authentication(AuthenticationStep)
        /// ETRN for this domain: a `reply` is due, whatever its code.
        case startQueue(String)
        /// XCLIENT with these attributes: a `reply` that refuses it, or ``restart(_:)`` and a new greeting.
        case changeClient(String)
        /// Z-DEBUG: a `reply`.
        case debug
    }

    public enum Answer: Hashable, Sendable {
        /// Yes, with the usual text.
        case accept
        /// To `hello`: yes, and this style holds from now on.
        case acceptStyle(Style)
        /// 2xx: yes, in these words. 4xx, 5xx: no.
        case reply(Reply)
        /// No, and the session ends.
        case close(Reply)
        /// To a step of AUTH: the client has to respond to this.
        case challenge([UInt8])
        /// To a step of AUTH: the client is this user.
        case authenticated(user: String)
    }

    public enum Action: Hashable, Sendable {
        /// All octets were consumed: read more.
        case needInput
        /// Nothing goes on before an answer: read no more until it was given.
        case awaitAnswer
        case ask(Question)
        /// DATA, or the first BDAT, may begin: make room for a message, then answer `accept`; or `reply` why not.
        case beginMessage(Transaction)
        /// Content: a range of the octets given to this call.
        case content(Range<Int>)
        /// Content that the octets do not hold (converted line ends).
        case insertedContent([UInt8])
        /// The message is complete: store it, then call ``messageStored(as:into:)`` or ``messageFailed(_:into:)``.
        case endMessage(MessageSummary)
        /// The message that was begun will not be completed: forget it.
        case discardMessage
        /// Write the replies; the next octets belong to the handshake. Then ``tlsStarted()``.
        case startTLS
        /// Write the replies, then close.
        case close
    }

    public struct Step: Hashable, Sendable {
        public let consumed: Int
        public let action: Action
    }

    public enum TranscriptEntry: Hashable, Sendable {
        /// A command line, without credentials.
        case received(String)
        case sent(String)
    }

    /// A reply 4xx or 5xx, for the host's log.
    public struct Refusal: Hashable, Sendable {
        /// The last command line that was read, without credentials; of pipelined recipients a later one.
        public let command: String
        /// Its last line.
        public let reply: String
        /// Whether it was refused because the client, or its sender, had been.
        public let isByEarlierRejection: Bool
    }

    /// Refusals of one session that are recorded; the others are only counted.
    public static let maximumRecordedRefusals = 100

    var configuration: ServerConfiguration
    /// Its name may be learned before the greeting.
    public var peer: Peer
    /// Octets; 0 = ``sizeCeiling``. From the configuration; a policy may lower it for this peer.
    public var maximumMessageSize: Int
    public internal(set) var style: Style
    public var surroundings = Surroundings()
    /// Who the client is, since it has authenticated.
    public internal(set) var authenticatedUser: String?
    /// TICK came: the session is a batch (smtpserver.md §7.7).
    public internal(set) var isBatch = false
    /// `nil` until a greeting was accepted.
    public internal(set) var hello: Hello?
    /// Replies 4xx and 5xx so far.
    public internal(set) var refusals = 0
    /// Set it to `[]` to have refusals recorded; take them out after each call.
    public var refusalRecord: [Refusal]?
    /// Set it to `[]` to have lines recorded; take them out after each call.
    public var transcript: [TranscriptEntry]?
    /// Where in the host's buffer the replies begin that the transcript does not have yet.
    private var transcriptMark = 0

    var state = State.greeting
    var decoder: CommandDecoder
    /// A command that came while recipient questions are out, and must wait for their answers.
    var held: Result<Command, CommandSyntaxError>?
    var unknownCommands = 0
    var authenticationFailures = 0
    /// VERB came, which Z-DEBUG needs.
    var isVerbose = false

    public init(configuration: ServerConfiguration, peer: Peer) {
        self.configuration = configuration
        self.peer = peer
        maximumMessageSize = configuration.values.maximumMessageSize
        style = configuration.values.style
        decoder = CommandDecoder(maximumLineLength: configuration.values.maximumLineLength)
    }

    /// Whether a transaction is under way: what an idle timeout or a shutdown would interrupt.
    public var isInTransaction: Bool {
        switch state {
        case .greeting, .refused, .awaitingHello, .askingHello, .idle, .senderRefused, .chunksFailed, .asking,
            .startingTLS, .authenticating, .closed:
            false
        case .askingSender, .transaction, .opening, .data, .chunk, .betweenChunks, .discarding, .committing, .modifying:
            true
        }
    }

    /// Whether the next octets begin a command line: no content, no response of AUTH, not the rest of a line.
    public var expectsCommand: Bool {
        if decoder.isInLine { return false }
        return switch state {
        case .refused, .awaitingHello, .idle, .senderRefused, .chunksFailed, .transaction, .betweenChunks: true
        case .greeting, .askingHello, .askingSender, .asking, .startingTLS, .authenticating, .opening, .data, .chunk,
            .discarding, .committing, .closed, .modifying:
            false
        }
    }

    // MARK: events

    /// The first words of the session.
    public mutating func greet(_ greeting: Greeting, into replies: inout [UInt8]) {
        beginRecording(replies)
        switch greeting {
        case .welcome(let lines):
            tell(Reply(220, nil, lines), to: &replies)
            state = .awaitingHello
        case .refuse(let reply):
            tell(reply, to: &replies)
            state = .refused(reply)
        case .close(let reply):
            tell(reply, to: &replies)
            state = .closed
        }
        record(replies)
    }

    /// Consumes octets up to the next thing that the host must do.
    public mutating func receive(_ octets: UnsafeRawBufferPointer, into replies: inout [UInt8]) -> Step {
        beginRecording(replies)
        defer { record(replies) }
        var used = 0
        while true {
            switch state {
            case .greeting, .askingHello, .askingSender, .asking, .startingTLS, .authenticating(.awaitingAnswer),
                .opening,
                .committing:
                return Step(consumed: used, action: .awaitAnswer)
            case .data:
                if let step = receiveData(octets, used: &used, into: &replies) { return step }
            case .chunk:
                if let step = receiveChunk(octets, used: &used, into: &replies) { return step }
            case .discarding(let count, let reply, let next):
                let dropped = min(count, octets.count - used)
                used += dropped
                guard dropped == count else {
                    state = .discarding(octets: count - dropped, reply: reply, next: next)
                    return Step(consumed: used, action: .needInput)
                }
                state = next
                tell(reply, to: &replies)
            case .refused, .awaitingHello, .idle, .senderRefused, .chunksFailed, .transaction, .betweenChunks:
                if let action = receiveCommand(octets, used: &used, into: &replies) {
                    return Step(consumed: used, action: action)
                }
            case .authenticating(.awaitingResponse):
                guard let action = receiveResponse(octets, used: &used, into: &replies) else { continue }
                return Step(consumed: used, action: action)
            case .closed:
                return Step(consumed: octets.count, action: .close)
            case .modifying:
                preconditionFailure("a state was taken out and not put back")
            }
        }
    }

    /// The answer to the oldest question, or to `beginMessage`. Then call ``receive(_:into:)`` again.
    public mutating func answer(_ answer: Answer, into replies: inout [UInt8]) {
        beginRecording(replies)
        if case .close(let reply) = answer {
            tell(reply, to: &replies)
            state = .closed
        } else {
            switch state {
            case .askingHello(let hello):
                answerHello(hello, answer, into: &replies)
            case .askingSender(let mail):
                answerSender(mail, answer, into: &replies)
            case .transaction:
                answerRecipient(answer, into: &replies)
            case .asking(let query, let next):
                state = next
                answerQuery(query, answer, into: &replies)
            case .authenticating(.awaitingAnswer):
                answerAuthentication(answer, into: &replies)
            case .opening(let transaction, let framing):
                answerOpening(transaction, framing, answer, into: &replies)
            case .greeting, .refused, .awaitingHello, .idle, .senderRefused, .startingTLS,
                .authenticating(.awaitingResponse), .data, .chunk, .betweenChunks, .discarding, .chunksFailed,
                .committing,
                .closed, .modifying:
                // An answer that comes after the session was terminated has nobody to reach.
                break
            }
        }
        record(replies)
    }

    /// Writes a last reply, such as 421, and ends the session; an unfinished message must be forgotten.
    public mutating func terminate(_ reply: Reply?, into replies: inout [UInt8]) {
        beginRecording(replies)
        if let reply { tell(reply, to: &replies) }
        record(replies)
        state = .closed
    }

    // MARK: writing

    private func write(_ reply: Reply, to replies: inout [UInt8]) {
        configuration.encoder.encode(reply, into: &replies)
    }

    /// Writes a reply, and counts it when it is a refusal.
    mutating func tell(_ reply: Reply, to replies: inout [UInt8]) {
        write(reply, to: &replies)
        if !reply.isPositive { recordRefusal(reply.code, reply.status?.description, reply.lines.last ?? "") }
    }

    /// The same for our own words.
    mutating func tell(_ code: Int, _ status: StaticString, _ text: StaticString, to replies: inout [UInt8]) {
        configuration.encoder.encode(code, status, text, into: &replies)
        if code >= 400 { recordRefusal(code, "\(status)", "\(text)") }
    }

    private mutating func recordRefusal(
        _ code: Int, _ status: @autoclosure () -> String?, _ text: @autoclosure () -> String
    ) {
        refusals += 1
        guard refusalRecord != nil, refusals <= Self.maximumRecordedRefusals else { return }
        let isEarlier =
            switch state {
            case .refused, .senderRefused: true
            case .greeting, .awaitingHello, .askingHello, .idle, .askingSender, .transaction, .asking, .startingTLS,
                .authenticating, .opening, .data,
                .chunk, .betweenChunks, .discarding, .chunksFailed, .committing, .closed, .modifying:
                false
            }
        let words = ["\(code)", status() ?? "", text()].filter { !$0.isEmpty }
        let refusal = Refusal(
            command: commandText, reply: words.joined(separator: " "), isByEarlierRejection: isEarlier)
        refusalRecord?.append(refusal)
    }

    /// The last command line, as it may be shown.
    var commandText: String {
        // The parser passes over blanks in front of a verb; what follows AUTH is nobody's business.
        let line = decoder.line.drop(while: CommandParser.isBlank)
        return Verb(line.prefix(4)) == .auth ? "AUTH ..." : Self.printable(line, limit: 1000)
    }

    /// What is in the host's buffer already is in the transcript, or comes from elsewhere.
    mutating func beginRecording(_ replies: [UInt8]) { transcriptMark = replies.count }

    /// Puts the replies written since the last time into the transcript.
    mutating func record(_ replies: [UInt8]) {
        guard transcript != nil else { return }
        for line in replies[transcriptMark...].split(separator: .lineFeed) {
            let text = line.last == .carriageReturn ? line.dropLast() : line
            transcript?.append(.sent(String(decoding: text, as: UTF8.self)))
        }
        transcriptMark = replies.count
    }

    /// `text` made printable and cut to `limit` octets: for echoing what a peer sent.
    static func printable(_ octets: some Sequence<UInt8>, limit: Int = 200) -> String {
        String(decoding: octets.prefix(limit).map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }
}
