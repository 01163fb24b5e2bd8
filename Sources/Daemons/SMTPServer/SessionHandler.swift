import Configuration
import DequeModule
import MailModel
import NIOCore
import PeerIdentity
import Policy
import PolicyAsking
import Postoffice
import SASL
import SMTPProtocol
import SpoolFormat
import Telemetry
import TransportSecurity

/// One session: a thin host around a ``ServerSession``. It carries octets in, replies out, and questions to where they are
/// decided; it reads nothing more while a decision is out.
final class SessionHandler: ChannelDuplexHandler, WheelEntry, PolicyAsker {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// A PROXY header comes before anything else.
        case awaitingHeader
        /// It is found out who the client is, and the policy service decides about it.
        case connecting
        /// The handshake of TLS; behind it comes the greeting, or what follows STARTTLS.
        case securing
        /// The greeting is held back.
        case delaying
        case open
        /// Our last reply is written; what the client still sends is dropped.
        case lingering
        case closed
    }

    /// A question to the policy service about a recipient, in the order of the commands.
    struct Asked {
        let number: UInt64
        let recipient: String
        /// Why the recipient cannot be taken, whatever the answer is.
        var obstacle: (reply: Reply, reason: String)?
    }

    let loop: LoopContext
    let profile: SessionProfile
    let size: ReceiveSize
    /// A PROXY header or XCLIENT may make it another one.
    var client: ClientAddress
    /// For logs and for the policy service; unique.
    let sessionNumber: UInt64
    var session: ServerSession
    var phase = Phase.connecting
    var context: ChannelHandlerContext?
    /// What was read and waits for a decision.
    var input: ByteBuffer?
    var message: IncomingMessage?
    /// The message is with the content filters.
    var filterRun: FilterRun?
    /// A message is being stored.
    var isCommitting = false
    /// A part of the message is being written: no more of it is taken.
    var isSpilling = false
    var asked = Deque<Asked>()
    /// Recipients asked about in this transaction.
    var askedRecipients = 0
    /// Answers that came before that to the first of ``asked``; `nil`: there is none in time.
    var early: [UInt64: PolicyAnswer?] = [:]
    /// A question other than about recipients.
    var openQuestion: UInt64?
    /// Its verb.
    var openVerb = PolicyQuestion.Verb.connect
    /// What the answers so far mean for the session and its transaction.
    var policy = SessionPolicy()
    /// The style of the HELO pattern that matched, until HELO is answered.
    var helloStyle: Style?
    var accepted = 0
    /// What is known of the client beside its address, and what must still be done before the greeting.
    var arrival = Arrival()
    /// There while TLS is.
    var tls: TLSHandler?
    var tlsInfo: TLSSessionInfo?
    var exchange: SASLServerExchange?
    /// Waits for the policy's word whether it may be asked.
    var pendingCredentials: CredentialQuestion?
    /// A checker was asked, and the exchange is not over.
    var isAttemptOpen = false
    /// The exchange has failed, and that is told.
    var isFailureCounted = false
    /// When they were offered.
    var attemptBegan = NIODeadline.now()
    var queueStarts = 0
    /// What XCLIENT has said so far.
    var attributes: ClientAttributes?
    var tarpit: Tarpit
    /// Refusals that were answered with the delay they cost.
    private var slowedRefusals = 0
    /// A refusal is held back.
    var isTarpitted = false
    /// MAIL is answered later, because the spool or the queue is nearly full.
    var isThrottled = false
    /// On the loop's clock: when the session ends in any case.
    var endsBy = Int.max
    private var isPumping = false
    /// The session has said its last word.
    private var isOver = false
    private var isReading = false
    /// Replies that wait to be written together.
    var unsent: [UInt8] = []
    var isReadHeldBack = false
    /// The client sends no more; what it has sent is still answered.
    private var hasInputEnded = false
    private(set) var tag: SessionLog.Tag?
    var isAnnounced = false
    /// Where it is counted among ``LoopContext/accounts``.
    var accountPlace: LocalAccounts.Place?

    var wheelPosition = WheelPosition()
    var expires: Int

    init(_ loop: LoopContext, _ profile: SessionProfile, client: ClientAddress, size: ReceiveSize) {
        self.loop = loop
        self.profile = profile
        self.size = size
        self.client = client
        sessionNumber = loop.intake.postoffice.newID().rawValue
        session = ServerSession(
            configuration: client.address?.isLoopback == true ? profile.localSession : profile.session,
            peer: ServerSession.Peer(literal: client.literal))
        tarpit = Tarpit(profile.tarpit)
        expires = loop.now + loop.timeouts.command
        if profile.configuration.sessionLimit > 0 { endsBy = loop.now + profile.configuration.sessionLimit }
        session.refusalRecord = []
        if let sessionLog = loop.sessionLog {
            session.transcript = []
            tag = sessionLog.newTag(client: client.literal)
        }
    }

    /// For the client that it is now.
    var sessionConfiguration: ServerConfiguration {
        client.address?.isLoopback == true ? profile.localSession : profile.session
    }

    var sessionID: String { String(sessionNumber, radix: 36) }

    // MARK: channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard phase == .connecting, wheelPosition.slot < 0 else { return }
        loop.wheel.add(self)
        loop.sessionCount.add(1)
        loop.intake.metrics.sessions.add(1)
        loop.intake.metrics.sessionsBegun.add()
        arrive()
    }

    /// The policy service counts the session from now on.
    func announce() {
        isAnnounced = true
        ask(question(.connect))
    }

    /// The policy service was restarted and knows nothing of us.
    func announceAgain() {
        // Whose `connect` waits for its answer is asked about again: asking itself may be what reconnects.
        guard isAnnounced, phase != .closed, phase != .connecting, openVerb != .connect || openQuestion == nil else {
            return
        }
        loop.policy.announce(question(.connect))
    }

    /// It does no more: the client is to become another one.
    func withdraw() {
        if isAnnounced { loop.policy.tell(question(.disconnect)) }
        isAnnounced = false
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        // The first read of a session is small, because NIO keeps its buffer; between messages a few commands fit in one.
        if message == nil { size.octets = ReceiveSize.commands }
        var buffer = unwrapInboundIn(data)
        switch phase {
        case .lingering, .closed: return
        case .awaitingHeader, .connecting, .securing, .delaying, .open: break
        }
        if input == nil {
            input = buffer
        } else {
            input?.writeBuffer(&buffer)
        }
        if phase == .open { pump() } else { inputBeforeGreeting() }
        // What is left could not be handled now: no more before it is.
        if input != nil { isReadHeldBack = true }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flushIfDue(context)
    }

    func read(context: ChannelHandlerContext) {
        if input == nil || phase == .lingering || phase == .awaitingHeader {
            context.read()
        } else {
            isReadHeldBack = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { pump() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            hasInputEnded = true
            isReading = false
            switch phase {
            case .lingering, .awaitingHeader, .securing: context.close(promise: nil)
            case .connecting, .delaying, .open, .closed: endIfAllIsSaid()
            }
        } else if let event = event as? TLSHandler.Event {
            secured(event)
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Behind the end of input: nothing is left to be answered.
    private func endIfAllIsSaid() {
        guard hasInputEnded, phase == .open, !isWaiting, input == nil, let context else { return }
        flushIfNeeded(context)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended("closed")
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { ended("closed") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset is how many clients leave.
        loop.log.debug("connection-error", ["session": sessionID, "reason": "\(error)"])
        context.close(promise: nil)
    }

    // MARK: the session

    /// Lets the session go on as far as it can.
    func pump() {
        guard !isPumping, phase == .open, let context else { return }
        isPumping = true
        var replies = loop.borrowScratch()
        var wantsMore = true
        if profile.configuration.maximumHold > 0 { session.surroundings.unixTime = loop.unixTime }
        while wantsMore, phase == .open, !isSpilling, !isTarpitted, context.channel.isWritable {
            if session.expectsCommand, let input { loop.recorder?.record(self, input) }
            let octets = input ?? ByteBuffer()
            let step = octets.withUnsafeReadableBytes { session.receive($0, into: &replies) }
            consume(step.consumed)
            wantsMore = perform(step.action, octets, &replies)
            logRefusals()
            slowDown()
        }
        write(replies)
        loop.giveBack(replies)
        isPumping = false
        if phase == .open, !context.channel.isWritable { isActive(loop.timeouts.write) }
        if isOver, !isTarpitted {
            finish()
            return
        }
        if !isReading { flushIfDue(context) }
        if hasInputEnded {
            endIfAllIsSaid()
            return
        }
        if input == nil, isReadHeldBack, phase == .open, !isReading {
            isReadHeldBack = false
            context.read()
        }
    }

    private func consume(_ count: Int) {
        guard let readable = input?.readableBytes else { return }
        if count == readable { input = nil } else { input?.moveReaderIndex(forwardBy: count) }
    }

    /// `false`: nothing goes on before something else happens.
    private func perform(
        _ action: ServerSession.Action, _ octets: ByteBuffer, _ replies: inout [UInt8]
    ) -> Bool {
        switch action {
        case .needInput:
            if !replies.isEmpty { isActive(loop.timeouts.command) }
            return false
        case .awaitAnswer:
            return false
        case .ask(let question):
            decide(question, &replies)
        case .beginMessage(let transaction):
            beginMessage(transaction, &replies)
        case .content(let range):
            octets.withUnsafeReadableBytes { message?.append(UnsafeRawBufferPointer(rebasing: $0[range])) }
            contentArrived(&replies)
        case .insertedContent(let inserted):
            message?.append(inserted)
            contentArrived(&replies)
        case .endMessage(let summary):
            endMessage(summary, &replies)
        case .discardMessage:
            dropMessage()
        case .startTLS:
            startTLS(&replies)
            return false
        case .close:
            isOver = true
            return false
        }
        return true
    }

    /// The client has done something complete: it has this many seconds for the next.
    func isActive(_ seconds: Int) {
        let deadline = min(loop.now + seconds, max(endsBy, loop.now + 1))
        let isEarlier = deadline < expires
        expires = deadline
        if isEarlier { loop.wheel.hasten(self) }
    }

    // MARK: writing

    func write(_ replies: [UInt8]) {
        writeTranscript()
        unsent.append(contentsOf: replies)
    }

    func flushIfNeeded(_ context: ChannelHandlerContext) {
        guard !unsent.isEmpty else { return }
        let buffer = context.channel.allocator.buffer(bytes: unsent)
        unsent = []
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    /// A client that has sent more commands already gets the replies to all of them together (RFC 2920 §3.2): what is written
    /// waits while one of them is being decided.
    private func flushIfDue(_ context: ChannelHandlerContext) {
        if isTarpitted { return }
        if phase == .open, openQuestion != nil || !asked.isEmpty { return }
        flushIfNeeded(context)
    }

    /// PARAM tarpit: each refusal is held back for longer than the one before (smtpserver.md §5.5).
    private func slowDown() {
        guard session.refusals > slowedRefusals, phase == .open else { return }
        var seconds: Int64 = 0
        while slowedRefusals < session.refusals {
            slowedRefusals += 1
            seconds += tarpit.refused()?.components.seconds ?? 0
        }
        // Of a burst of refusals the longest counts, not their sum: nobody is held for hours.
        let settings = profile.configuration.tarpit
        seconds = min(seconds, Int64(max(settings.limit, settings.initial)))
        guard seconds > 0 else { return }
        isTarpitted = true
        loop.log.info("tarpit", ["session": sessionID, "client": client.literal, "delay": "\(seconds)"])
        isActive(loop.timeouts.command + Int(seconds))
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        loop.loop.scheduleTask(in: .seconds(seconds)) { bound.value.tarpitIsOver() }
    }

    private func tarpitIsOver() {
        isTarpitted = false
        guard let context, phase == .open else { return }
        pump()
        if !isReading { flushIfDue(context) }
    }

    /// Lets `body` answer, writes what it said, and goes on.
    func reply(_ body: (inout [UInt8]) -> Void) {
        guard let context, phase == .open else { return }
        var replies = loop.borrowScratch()
        body(&replies)
        logRefusals()
        slowDown()
        write(replies)
        loop.giveBack(replies)
        pump()
        if !isReading { flushIfDue(context) }
    }

    func writeTranscript() {
        guard let entries = session.transcript, !entries.isEmpty, let tag else { return }
        loop.sessionLog?.write(tag, entries)
        session.transcript = []
    }

    /// Why the next refusal is made; `nil` when the session itself decides.
    var pendingReason: String?
    /// The refused command, where it is not the last one that was read.
    var pendingCommand: String?
    /// The reverse-path of the transaction, for the log.
    var sender = "-"
    /// Why the client, or its sender, was refused: what the session refuses later in the name of that.
    var standingReason = ""
}

@available(*, unavailable)
extension SessionHandler: Sendable {}
