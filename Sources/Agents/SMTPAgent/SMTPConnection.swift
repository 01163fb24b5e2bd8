import AgentKit
import MailModel
import SASL
import SMTPProtocol
import Telemetry
import TransportSecurity

/// One connection to one host: a socket and the session that it carries.
final class SMTPConnection: @unchecked Sendable {
    // Sound: one thread uses it at a time; it changes hands through the lock of ``ConnectionPool``.
    let endpoint: Endpoint
    private let socket: SecureSocket
    private let timeouts: Timeouts
    private let tls: ClientTLS
    private let plan: TLSPlan
    /// Who we are here; `nil`: nobody asks.
    private let secrets: AuthSecrets.Entry?
    private var authenticator: Authenticator?
    private let log: EventLog?
    private var session: ClientSession
    /// Commands and content that are to be written.
    private var output: [UInt8] = []
    private var input: [UInt8]
    /// What of `input` has been read and not been understood yet.
    private var unread = 0..<0
    private var hasHeard = false
    /// What was received and is not in the dialogue's log yet.
    private var untold: [UInt8] = []
    /// Of the job that uses it.
    private var end: Deadline?
    /// Messages sent before the one that is being sent.
    private(set) var completedMessages = 0
    private(set) var isOpen = true
    /// From the beginning of the handshake on: what goes wrong until a session stands may be its fault.
    private var hasBegunTLS = false
    /// For logs: `none`, or `TLSv1.3/TLS_AES_256_GCM_SHA384/verified`.
    private(set) var tlsText = "none"

    /// Octets read at a time: a burst of replies.
    private static let inputSize = 4096
    /// Content up to this size goes out in one write with what is in front of it.
    private static let gatherLimit = 64 * 1024
    /// Octets of larger content that are read and written at a time.
    private static let blockSize = 256 * 1024
    /// Storage kept between messages.
    private static let keptCapacity = 128 * 1024

    /// - Parameter log: for the dialogue (`-v`).
    init(
        _ endpoint: Endpoint, socket: Socket, configuration: ClientSession.Configuration, timeouts: Timeouts,
        tls: ClientTLS, plan: TLSPlan, secrets: AuthSecrets.Entry? = nil, log: EventLog?
    ) {
        self.endpoint = endpoint
        self.socket = SecureSocket(socket)
        self.timeouts = timeouts
        self.tls = tls
        self.plan = plan
        self.secrets = secrets
        self.log = log
        session = ClientSession(configuration: configuration)
        input = [UInt8](repeating: 0, count: Self.inputSize)
    }

    var capabilities: ServerCapabilities { session.capabilities }

    /// Recipients of one transaction: as the server says, or as it has shown since.
    var recipientLimit: Int? {
        get { shownRecipientLimit ?? capabilities.recipientLimit }
        set { shownRecipientLimit = newValue }
    }
    private var shownRecipientLimit: Int?

    /// Whether nothing has come on an idle connection: otherwise it is closing, or out of step.
    var isUsable: Bool { isOpen && unread.isEmpty && !socket.hasUnexpectedInput }

    /// Greeting, EHLO and TLS. Throws why mail cannot be sent here now.
    func open(until end: Deadline) throws(ConnectionFailure) {
        self.end = end
        var none: ContentStream?
        switch advance(&none) {
        case .ready: keepTLSSession()
        case .finished: throw ConnectionFailure(text: "no greeting", status: "4.4.2", .connection)
        case .failed(let error):
            if hasBegunTLS { tls.sessions.remove(plan.sessionKey) }
            throw ConnectionFailure(error, endpoint, hasBegunTLS: hasBegunTLS)
        case .closed(let reason):
            let text = authenticator?.withoutSecrets(reason.text) ?? reason.text
            throw ConnectionFailure(text: "\(endpoint.relay): \(text)", status: reason.status, reason.cause)
        }
    }

    /// Servers give sessions after the handshake (RFC 8446 §4.6.1): behind the reply to EHLO they have come.
    private func keepTLSSession() {
        guard let session = socket.resumableSession else { return }
        tls.sessions.insert(session, for: plan.sessionKey)
    }

    /// What became of one transaction.
    struct Outcome {
        /// One for each recipient of the message.
        var results: [SMTPProtocol.RecipientResult]
        /// Nothing was heard in the transaction, or only that the server is going: another connection may do better.
        var mayRepeat: Bool
        /// Commands were sent ahead, some got their replies, and then nothing came any more.
        var hasStalled = false
    }

    /// It ended within a transaction, and not by the server's word.
    private(set) var hasBroken = false

    /// What a server says goes into logs and reports.
    private func withoutSecrets(_ result: SMTPProtocol.RecipientResult) -> SMTPProtocol.RecipientResult {
        guard let authenticator else { return result }
        var result = result
        result.reply.lines = result.reply.lines.map(authenticator.withoutSecrets)
        return result
    }

    func send(_ message: ClientMessage, _ stream: ContentStream, until end: Deadline) -> Outcome {
        self.end = end
        hasHeard = false
        session.begin(message, into: &output)
        var stream: ContentStream? = stream
        var failure: TransportError?
        while true {
            switch advance(&stream) {
            case .finished(let found):
                let results = found.map(withoutSecrets)
                completedMessages += 1
                settle()
                let hasStalled =
                    failure?.isTimeOut == true && hasHeard && capabilities.hasPipelining
                    && session.configuration.allowsPipelining
                hasBroken = failure != nil
                let isGoing = results.allSatisfy { $0.stage == .mail && $0.reply.code == 421 }
                return Outcome(results: results, mayRepeat: !isOpen && (!hasHeard || isGoing), hasStalled: hasStalled)
            case .failed(let error) where failure == nil:
                // The session makes results of it; they come with the next turn.
                failure = error
            case .failed, .ready, .closed:
                isOpen = false
                let reply = Reply(451, EnhancedStatusCode(4, 4, 2), "Connection lost in mid-transaction")
                session.connectionLost(reply)
                return Outcome(results: [], mayRepeat: false)
            }
        }
    }

    /// After a transaction: learns whether the session can have another one, and lets go of large buffers.
    private func settle() {
        var none: ContentStream?
        switch advance(&none) {
        case .ready: break
        case .finished, .failed, .closed: isOpen = false
        }
        if output.capacity > Self.keptCapacity { output = [] }
    }

    /// QUIT without waiting for its reply: the server has nothing to say that would change anything.
    func quit() {
        guard isOpen else { return }
        isOpen = false
        traceUnfinished()
        session.quit(into: &output)
        flushOrDrop()
        socket.close()
    }

    /// Last words, if they can be said at once: the connection ends either way.
    private func flushOrDrop() {
        do throws(TransportError) {
            try flush(.zero)
        } catch {
            log?.debug("smtp-unsent", ["relay": endpoint.relay, "reason": error.description])
        }
    }

    private func trace(received: Int, sentFrom: Int) {
        guard let log else { return }
        if received > 0, session.phase != .authentication, authenticator == nil || !session.isClosed {
            untold += input[unread.lowerBound..<(unread.lowerBound + received)]
            // A server may repeat what it was told, in pieces too: only whole lines show whether it does.
            let isWhole = authenticator == nil || untold.last == 0x0a || untold.count > Self.inputSize
            if isWhole {
                let text = String(decoding: untold, as: UTF8.self)
                log.debug(
                    "smtp-received", ["relay": endpoint.relay, "text": authenticator?.withoutSecrets(text) ?? text])
                untold = []
            }
        }
        if output.count > sentFrom {
            log.debug(
                "smtp-sent", ["relay": endpoint.relay, "text": String(decoding: output[sentFrom...], as: UTF8.self)])
        }
    }

    /// The beginning of a line whose end never came: a server that is going often says why.
    private func traceUnfinished() {
        guard let log, !untold.isEmpty else { return }
        let text = authenticator?.withoutSecrets(unfinished: untold) ?? String(decoding: untold, as: UTF8.self)
        untold = []
        log.debug("smtp-received", ["relay": endpoint.relay, "text": text])
    }

    private enum Step {
        case ready
        case finished([SMTPProtocol.RecipientResult])
        case closed(ClientSession.CloseReason)
        case failed(TransportError)
    }

    /// Carries out what the session asks for until it rests.
    private func advance(_ stream: inout ContentStream?) -> Step {
        do throws(TransportError) {
            while true {
                let written = output.count
                let (consumed, action) = input.withUnsafeBytes { octets in
                    session.receive(UnsafeRawBufferPointer(rebasing: octets[unread]), into: &output)
                }
                trace(received: consumed, sentFrom: written)
                unread = (unread.lowerBound + consumed)..<unread.upperBound
                switch action {
                case .needInput:
                    try flush(timeouts.write)
                    try fill()
                case .ready:
                    try flush(timeouts.write)
                    return .ready
                case .sendContent(let framing):
                    try sendContent(framing, &stream)
                    session.contentSent(into: &output)
                case .finished(let results):
                    return .finished(results)
                case .startTLS:
                    try startTLS()
                case .authenticate(let refusal):
                    beginAuthentication(refusal)
                case .challenge(let challenge):
                    authenticator?.answer(challenge, &session, into: &output)
                case .authenticated:
                    authenticator?.finish(&session, into: &output)
                case .close(let reason):
                    isOpen = false
                    traceUnfinished()
                    flushOrDrop()
                    socket.close()
                    return .closed(reason)
                }
            }
        } catch {
            isOpen = false
            traceUnfinished()
            output.removeAll(keepingCapacity: true)
            let phase = session.phase
            let reply = Reply(451, EnhancedStatusCode(4, 4, 2), "\(error) while \(phase.activity)")
            session.connectionLost(reply)
            return .failed(error)
        }
    }

    /// Credentials do not go through ``trace(received:sentFrom:)``.
    private func beginAuthentication(_ refusal: Reply?) {
        guard let secrets else {
            session.abandonAuthentication(.notPossible("there are no secrets for this host"), into: &output)
            return
        }
        var own = authenticator ?? Authenticator(secrets, binding: socket.channelBinding, security: session.security)
        if let mechanism = own.begin(&session, refusal: refusal, into: &output) {
            log?.debug("smtp-sent", ["relay": endpoint.relay, "text": "AUTH \(mechanism.name) (hidden)"])
        }
        authenticator = own
    }

    private func startTLS() throws(TransportError) {
        try flush(timeouts.write)
        hasBegunTLS = true
        let limit = timeouts.limit(of: session.phase)
        try socket.startTLS(try tls.connection(plan), deadline: deadline(after: limit))
        guard let agreed = socket.session else {
            throw .tls(reason: "nothing was agreed on", isLasting: false)
        }
        tlsText = agreed.summary
        tls.report(agreed, endpoint, dialogue: log)
        session.tlsStarted(isVerified: agreed.isPeerVerified, into: &output)
    }

    private func deadline(after duration: Duration) -> Deadline {
        let own = Deadline(after: duration)
        return end.map { min($0, own) } ?? own
    }

    private func fill() throws(TransportError) {
        let deadline = deadline(after: timeouts.limit(of: session.phase))
        var failure: TransportError?
        let count = input.withUnsafeMutableBytes { buffer in
            do throws(TransportError) {
                return try socket.read(into: buffer, deadline: deadline)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        hasHeard = true
        unread = 0..<count
    }

    private func flush(_ timeout: Duration) throws(TransportError) {
        guard !output.isEmpty else { return }
        var failure: TransportError?
        output.withUnsafeBytes { octets in
            do throws(TransportError) {
                try socket.write(octets, deadline: deadline(after: timeout))
            } catch {
                failure = error
            }
        }
        output.removeAll(keepingCapacity: true)
        if let failure { throw failure }
    }

    private func sendContent(
        _ framing: ClientSession.ContentFraming, _ stream: inout ContentStream?
    ) throws(TransportError) {
        guard var content = stream else { throw .noContent("no content") }
        stream = nil
        switch framing {
        case .dotStuffed: content.stuffDots()
        case .chunk(let octets):
            // A chunk of another size than announced would make commands of content.
            guard content.isWireFormat, content.size == octets else { throw .noContent("size changed") }
        }
        let isSmall = content.size <= Self.gatherLimit
        while true {
            do throws(FileError) {
                try content.append(upTo: isSmall ? Self.gatherLimit : Self.blockSize, to: &output)
            } catch {
                throw .noContent(error.description)
            }
            // The rest goes out with the next flush: for small messages that is all, their commands included.
            if content.isAtEnd { return }
            try flush(timeouts.write)
        }
    }
}
