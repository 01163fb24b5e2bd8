import MailModel

/// The client side of one SMTP or LMTP connection, with no I/O: several messages after one another.
///
/// The host calls ``receive(_:into:)`` with what it has read, and at the beginning and after each ``begin(_:into:)``,
/// ``contentSent(into:)``, ``quit(into:)`` with no octets, until it says `needInput`; then it writes `output`, and reads.
/// `output` must be written before the content that `sendContent` asks for. While much is written the host goes on reading:
/// a server may answer a pipelined burst before it has read all of it (RFC 2920 §3.1).
public struct ClientSession: Sendable {
    public struct Configuration: Sendable {
        /// The argument of EHLO: our name, or an address literal.
        public var helloName: String
        public var isLMTP = false
        public var allowsPipelining = true
        public var allowsChunking = true
        /// HELO when EHLO is refused (RFC 5321 §3.2).
        public var fallsBackToHello = true
        /// Do not send EHLO at all.
        public var usesHelloOnly = false
        /// HELO unless the greeting says `ESMTP`.
        public var needsESMTPGreeting = false
        /// Octets; a message up to this size is sent behind its envelope in one burst when PIPELINING and CHUNKING are there.
        public var burstLimit = 65_536
        /// Commands sent ahead of their replies.
        public var maximumOutstandingCommands = 1_000
        /// 8-bit content to a server without 8BITMIME: send it nevertheless, or refuse it (RFC 6152 §3 asks for that).
        public var sendsUnannounced8Bit = false

        public init(helloName: String) { self.helloName = helloName }
    }

    public enum ContentFraming: Hashable, Sendable {
        /// Through a ``DotStuffer``, `finish` included.
        case dotStuffed
        /// Exactly this many octets as they are; if that cannot be, the connection must be closed.
        case chunk(octets: Int)
    }

    public enum Action: Hashable, Sendable {
        /// Write what is in `output`, then read.
        case needInput
        /// No transaction is open: ``begin(_:into:)``, ``probe(into:)`` or ``quit(into:)`` may be called.
        case ready
        /// Write `output`, then the content, then call ``contentSent(into:)``.
        case sendContent(ContentFraming)
        /// The transaction ended: a result for each recipient of the message, in its order. Asked again, the session says
        /// `ready` or `close`.
        case finished([RecipientResult])
        /// The connection is of no more use. Close it after writing `output`.
        case close(CloseReason)
    }

    public enum CloseReason: Hashable, Sendable {
        /// After QUIT.
        case quit
        /// The server refused us before a transaction: the greeting, EHLO and HELO.
        case refused(Reply)
        /// 421 (RFC 5321 §3.8), at any time.
        case serviceNotAvailable(Reply)
        case brokenReply(ReplySyntaxError)
        /// A reply that no command asked for, or one that cannot be there.
        case outOfStep
        case connectionLost
    }

    /// What the client waits for: each has its own limit (RFC 5321 §4.5.3.2).
    public enum Phase: Hashable, Sendable {
        case greeting
        case hello
        case idle
        case mail
        case recipient
        case dataCommand
        /// Content is being written; the limit is for each block.
        case dataBlock
        case endOfMessage
        case quit
        case closed

        /// Minutes of RFC 5321 §4.5.3.2.1–6; those without one there have that of MAIL.
        public var timeout: Duration {
            switch self {
            case .greeting, .hello, .mail, .recipient: .seconds(300)
            case .idle: .seconds(300)
            case .dataCommand: .seconds(120)
            case .dataBlock: .seconds(180)
            case .endOfMessage: .seconds(600)
            case .quit, .closed: .seconds(30)
            }
        }
    }

    public let configuration: Configuration
    /// As the last EHLO said.
    public internal(set) var capabilities = ServerCapabilities()
    /// The first line of the greeting.
    public internal(set) var greeting: Reply?

    enum State: Sendable {
        case awaitingGreeting
        case awaitingHello(isFallback: Bool)
        /// `mustReset`: a transaction was left open, the next one begins with RSET.
        case ready(mustReset: Bool)
        case probing
        case transaction(Exchange)
        /// Results to be told, then `next`.
        indirect case finished([RecipientResult], next: State)
        case quitting
        case closed(CloseReason)
        /// While a payload is being changed, so that it is not copied.
        case modifying
    }

    var state = State.awaitingGreeting
    var parser = ReplyParser()

    public init(configuration: Configuration) { self.configuration = configuration }

    public var phase: Phase {
        switch state {
        case .awaitingGreeting: .greeting
        case .awaitingHello: .hello
        case .ready, .finished, .modifying: .idle
        case .probing: .idle
        case .transaction(let exchange): exchange.phase
        case .quitting: .quit
        case .closed: .closed
        }
    }

    // MARK: events

    /// Consumes replies up to the next thing that the host must do.
    public mutating func receive(
        _ octets: UnsafeRawBufferPointer, into output: inout [UInt8]
    ) -> (consumed: Int, action: Action) {
        var used = 0
        while true {
            switch state {
            case .closed(let reason):
                return (octets.count, .close(reason))
            case .finished(let results, let next):
                state = next
                return (used, .finished(results))
            case .ready:
                // A server that says something now says 421, or is out of step.
                if used == octets.count { return (used, .ready) }
            case .transaction(var exchange):
                state = .modifying
                let request = exchange.advance(into: &output)
                state = .transaction(exchange)
                if let request { return (used, .sendContent(request)) }
            case .awaitingGreeting, .awaitingHello, .probing, .quitting, .modifying:
                break
            }
            if finishIfComplete() { continue }
            guard used < octets.count else { return (used, .needInput) }
            do throws(ReplySyntaxError) {
                let (consumed, reply) = try parser.parse(octets.from(used))
                used += consumed
                guard let reply else { return (used, .needInput) }
                handle(reply, into: &output)
            } catch {
                used = octets.count
                close(.brokenReply(error))
            }
        }
    }

    /// Opens a transaction; only after `ready`.
    public mutating func begin(_ message: ClientMessage, into output: inout [UInt8]) {
        guard case .ready(let mustReset) = state else { return }
        state = .transaction(
            Exchange(message, configuration: configuration, capabilities: capabilities, mustReset: mustReset))
    }

    /// The content that was asked for has been written completely.
    public mutating func contentSent(into output: inout [UInt8]) {
        guard case .transaction(var exchange) = state else { return }
        state = .modifying
        exchange.contentSent()
        state = .transaction(exchange)
    }

    /// NOOP on an idle connection; `ready` comes again when it was answered.
    public mutating func probe(into output: inout [UInt8]) {
        guard case .ready = state else { return }
        output += "NOOP\r\n".utf8
        state = .probing
    }

    /// QUIT; `close` comes when it was answered. A host in a hurry need not wait.
    public mutating func quit(into output: inout [UInt8]) {
        switch state {
        case .ready, .finished:
            output += "QUIT\r\n".utf8
            state = .quitting
        case .awaitingGreeting, .awaitingHello, .probing, .transaction, .quitting, .closed, .modifying:
            break
        }
    }

    /// The connection is gone (or the host gave up waiting, see ``phase``). Results of an open transaction come next:
    /// what was not decided is temporary, with `reply`.
    public mutating func connectionLost(
        _ reply: Reply = Reply(451, EnhancedStatusCode(4, 4, 2), "Connection lost in mid-transaction")
    ) {
        abandon(.connectionLost, RecipientResult(reply, .session, isLocal: true))
    }

    // MARK: replies

    private mutating func handle(_ reply: Reply, into output: inout [UInt8]) {
        if reply.code == 421 {
            abandon(.serviceNotAvailable(reply), nil, reply)
            return
        }
        switch state {
        case .awaitingGreeting:
            greeting = reply
            guard reply.isPositive else { return refused(reply, into: &output) }
            let isOld = configuration.needsESMTPGreeting && !reply.lines.contains { $0.uppercased().contains("ESMTP") }
            sayHello(isFallback: (configuration.usesHelloOnly || isOld) && !configuration.isLMTP, into: &output)
        case .awaitingHello(let isFallback):
            if reply.isPositive {
                capabilities = isFallback ? ServerCapabilities() : ServerCapabilities(reply)
                state = .ready(mustReset: false)
            } else if reply.isPermanent, !isFallback, configuration.fallsBackToHello, !configuration.isLMTP {
                sayHello(isFallback: true, into: &output)
            } else {
                refused(reply, into: &output)
            }
        case .probing:
            state = .ready(mustReset: false)
        case .transaction(var exchange):
            state = .modifying
            let isInStep = exchange.receive(reply, into: &output)
            state = .transaction(exchange)
            if !isInStep { abandon(.outOfStep, nil, reply) }
        case .quitting:
            close(.quit)
        case .ready, .finished, .closed, .modifying:
            close(.outOfStep)
        }
    }

    private mutating func sayHello(isFallback: Bool, into output: inout [UInt8]) {
        let verb = configuration.isLMTP ? "LHLO" : isFallback ? "HELO" : "EHLO"
        output += "\(verb) \(configuration.helloName)\r\n".utf8
        state = .awaitingHello(isFallback: isFallback)
    }

    /// Not wanted: say QUIT (RFC 5321 §3.1), and do not wait for its reply.
    private mutating func refused(_ reply: Reply, into output: inout [UInt8]) {
        output += "QUIT\r\n".utf8
        close(.refused(reply))
    }

    private mutating func close(_ reason: CloseReason) {
        abandon(reason, nil)
    }

    /// Ends the connection; undecided recipients of an open transaction get a temporary result.
    private mutating func abandon(_ reason: CloseReason, _ result: RecipientResult?, _ reply: Reply? = nil) {
        switch state {
        case .transaction(let exchange):
            let local = Reply(451, EnhancedStatusCode(4, 4, 2), "Connection unusable: \(reason.text)")
            let result =
                result ?? reply.map { RecipientResult($0, exchange.stage) }
                ?? RecipientResult(local, .session, isLocal: true)
            state = .finished(exchange.results(undecided: result.asTemporary), next: .closed(reason))
        case .finished(let results, _):
            state = .finished(results, next: .closed(reason))
        case .closed:
            break
        case .awaitingGreeting, .awaitingHello, .ready, .probing, .quitting, .modifying:
            state = .closed(reason)
        }
    }

    /// Turns a transaction that is through into its results.
    private mutating func finishIfComplete() -> Bool {
        guard case .transaction(let exchange) = state, exchange.isComplete else { return false }
        state = .finished(exchange.results(undecided: nil), next: .ready(mustReset: exchange.needsReset))
        return true
    }
}

extension ClientSession.CloseReason {
    /// For logs and diagnostics.
    public var text: String {
        switch self {
        case .quit: "closed by us"
        case .refused(let reply): "refused: \(reply.summary)"
        case .serviceNotAvailable(let reply): reply.summary
        case .brokenReply(.lineTooLong(let limit)): "reply line longer than \(limit) octets"
        case .brokenReply(.tooManyLines(let limit)): "reply of more than \(limit) lines"
        case .brokenReply(.malformed(let line)): "not a reply: \(line)"
        case .outOfStep: "a reply that no command asked for"
        case .connectionLost: "connection lost"
        }
    }
}

extension RecipientResult {
    /// A lost connection is never a reason to give a message up.
    var asTemporary: RecipientResult {
        var result = self
        if disposition != .temporary { result.disposition = .temporary }
        return result
    }
}
