import MailModel

/// The client side of one SMTP or LMTP connection, with no I/O: several messages after one another.
///
/// The host calls ``receive(_:into:)`` with what it has read, and at the beginning and after each ``begin(_:into:)``,
/// ``contentSent(into:)``, ``quit(into:)`` with no octets, until it says `needInput`; then it writes `output`, and reads.
/// `output` must be written before the content that `sendContent` asks for. While much is written the host goes on reading:
/// a server may answer a pipelined burst before it has read all of it (RFC 2920 §3.1).
///
/// TLS itself is the host's: it does the handshake when `startTLS` asks for it, and from ``tlsStarted(isVerified:into:)`` on
/// carries all octets through it. Likewise the SASL exchange, from `authenticate` on.
public struct ClientSession: Sendable {
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
        /// Write `output`, do the handshake, then call ``tlsStarted(isVerified:into:)``, or ``connectionLost(_:)`` if it fails.
        case startTLS
        /// AUTH is wanted: call ``authenticate(_:initialResponse:into:)`` with a mechanism of ``ServerCapabilities/authMechanisms``, or
        /// ``abandonAuthentication(_:into:)``. `refusal`: why the mechanism before did not do.
        case authenticate(refusal: Reply?)
        /// Call ``respond(_:into:)``.
        case challenge([UInt8])
        /// The server says that it knows us: ``authenticationCompleted()``, if the exchange is complete.
        case authenticated
        /// The transaction ended: a result for each recipient of the message, in its order. Asked again, the session says
        /// `ready` or `close`.
        case finished([RecipientResult])
        /// The connection is of no more use. Close it after writing `output`.
        case close(CloseReason)
    }

    public let configuration: Configuration
    /// As the last EHLO said.
    public internal(set) var capabilities = ServerCapabilities()
    /// The first line of the greeting.
    public internal(set) var greeting: Reply?
    public internal(set) var security = Security.clearText

    enum State: Sendable {
        case awaitingGreeting
        case awaitingHello(isFallback: Bool)
        /// STARTTLS was sent.
        case awaitingStartTLS
        /// The host is to do the handshake; with implicit TLS the greeting comes behind it.
        case startingTLS
        /// The host is to say AUTH.
        case choosingMechanism(refusal: Reply?)
        /// AUTH or a response was sent.
        case authenticating
        /// The host is to answer.
        case challenged([UInt8])
        /// 235 came; the host has to agree.
        case accepted
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

    var state: State
    var parser = ReplyParser()

    public init(configuration: Configuration) {
        self.configuration = configuration
        state = configuration.tls == .implicit ? .startingTLS : .awaitingGreeting
    }

    public var phase: Phase {
        switch state {
        case .awaitingGreeting: .greeting
        case .awaitingHello: .hello
        case .awaitingStartTLS: .startTLS
        case .startingTLS: .handshake
        case .choosingMechanism, .authenticating, .challenged, .accepted: .authentication
        case .ready, .finished, .modifying: .idle
        case .probing: .idle
        case .transaction(let exchange): exchange.phase
        case .quitting: .quit
        case .closed: .closed
        }
    }

    /// Whether the connection is of no more use.
    public var isClosed: Bool {
        if case .closed = state { true } else { false }
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
            case .startingTLS:
                if used == octets.count { return (used, .startTLS) }
                used = octets.count
                close(.clearTextBehindSTARTTLS)
                continue
            // Nothing may have come while it is our turn.
            case .choosingMechanism, .challenged, .accepted:
                guard used == octets.count else {
                    used = octets.count
                    close(.outOfStep)
                    continue
                }
                switch state {
                case .choosingMechanism(let refusal): return (used, .authenticate(refusal: refusal))
                case .challenged(let challenge): return (used, .challenge(challenge))
                case _: return (used, .authenticated)
                }
            case .awaitingGreeting, .awaitingHello, .awaitingStartTLS, .authenticating, .probing, .quitting, .modifying:
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
            Exchange(
                message, configuration: configuration, capabilities: capabilities, security: security,
                mustReset: mustReset))
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
        case .awaitingGreeting, .awaitingHello, .awaitingStartTLS, .startingTLS, .probing, .transaction, .quitting,
            .closed, .modifying, .choosingMechanism, .authenticating, .challenged, .accepted:
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
            // Nothing was asked that 3xx could go on with.
            if (300..<400).contains(reply.code) { return close(.outOfStep) }
            guard reply.isPositive else { return refused(reply, into: &output) }
            let isOld = configuration.needsESMTPGreeting && !reply.lines.contains { $0.uppercased().contains("ESMTP") }
            sayHello(isFallback: (configuration.usesHelloOnly || isOld) && !configuration.isLMTP, into: &output)
        case .awaitingHello(let isFallback):
            if (300..<400).contains(reply.code) {
                close(.outOfStep)
            } else if reply.isPositive {
                capabilities = isFallback ? ServerCapabilities() : ServerCapabilities(reply)
                greeted(into: &output)
            } else if reply.isPermanent, !isFallback, configuration.fallsBackToHello, !configuration.isLMTP {
                sayHello(isFallback: true, into: &output)
            } else {
                refused(reply, into: &output)
            }
        case .awaitingStartTLS:
            startTLSAnswered(reply, into: &output)
        case .authenticating:
            authenticationAnswered(reply, into: &output)
        case .probing:
            state = .ready(mustReset: false)
        case .transaction(var exchange):
            state = .modifying
            let isInStep = exchange.receive(reply, into: &output)
            state = .transaction(exchange)
            // An acceptance that nobody asked for says nothing about the message, its status neither.
            if !isInStep { abandon(.outOfStep, nil, reply.isPositive ? nil : reply) }
        case .quitting:
            close(.quit)
        case .startingTLS, .ready, .finished, .closed, .modifying, .choosingMechanism, .challenged, .accepted:
            close(.outOfStep)
        }
    }

    mutating func sayHello(isFallback: Bool, into output: inout [UInt8]) {
        let verb = configuration.isLMTP ? "LHLO" : isFallback ? "HELO" : "EHLO"
        output += "\(verb) \(configuration.helloName)\r\n".utf8
        state = .awaitingHello(isFallback: isFallback)
    }

    /// Not wanted: say QUIT (RFC 5321 §3.1), and do not wait for its reply.
    private mutating func refused(_ reply: Reply, into output: inout [UInt8]) {
        output += "QUIT\r\n".utf8
        close(.refused(reply))
    }

    mutating func close(_ reason: CloseReason) {
        abandon(reason, nil)
    }

    /// Ends the connection; undecided recipients of an open transaction get a temporary result.
    private mutating func abandon(_ reason: CloseReason, _ result: RecipientResult?, _ reply: Reply? = nil) {
        switch state {
        case .transaction(let exchange):
            let local = Reply(451, reason.temporaryStatus, "Connection unusable: \(reason.text)")
            let result =
                result ?? reply.map { RecipientResult($0, exchange.stage) }
                ?? RecipientResult(local, .session, isLocal: true)
            state = .finished(exchange.results(undecided: result.asTemporary), next: .closed(reason))
        case .finished(let results, _):
            state = .finished(results, next: .closed(reason))
        case .closed:
            break
        case .awaitingGreeting, .awaitingHello, .awaitingStartTLS, .startingTLS, .ready, .probing, .quitting,
            .modifying, .choosingMechanism, .authenticating, .challenged, .accepted:
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

extension RecipientResult {
    /// A lost connection is never a reason to give a message up.
    var asTemporary: RecipientResult {
        var result = self
        if disposition != .temporary { result.disposition = .temporary }
        return result
    }
}
