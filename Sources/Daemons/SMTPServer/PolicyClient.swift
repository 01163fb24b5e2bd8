import ChildProcesses
import DequeModule
import Glibc
import MailModel
import NIOCore
import NIOPosix
import Policy
import Telemetry

/// Who asked the policy service.
protocol PolicyAsker: AnyObject {
    /// `nil`: there was no answer in time, or there is no service.
    func policyAnswered(_ number: UInt64, _ answer: PolicyAnswer?)
}

/// One event loop's connection to the policy service (docs/protocols.md §2). Confined to that loop, so that answers arrive
/// where the sessions are; questions of one turn of the loop go out together. It reconnects by itself and asks again what is
/// still unanswered.
final class PolicyClient {
    /// Seconds that questions wait for a service that is being restarted; then they fail at once.
    static let restartGrace = 3
    /// Octets of one answer line.
    static let maximumLineLength = 1 << 20
    /// Connections that one question is asked on: one that makes the service fall is not asked for ever.
    static let maximumAttempts = 3
    /// Octets of questions that wait for an answer, and again of lines that the service does not take: beyond it questions
    /// fail at once. A service that keeps its connection and does nothing costs no more memory than this.
    static let defaultMaximumWaiting = 8 << 20
    /// Milliseconds after which what is told goes out alone if there is no question to go with.
    static let tellDelay: Int64 = 20

    private struct Pending {
        let asker: any PolicyAsker
        let line: [UInt8]
        let askedAt = NIODeadline.now()
        let deadline: Int
        var attempts = 1
    }

    private enum State {
        case disconnected
        case connecting
        case connected(any Channel)
        case stopped
    }

    private let loop: any EventLoop
    private let path: String
    private let log: EventLog
    private let settings: AskerSettings
    private let metrics: ServerMetrics
    private let maximumWaiting: Int
    /// Seconds.
    private let answerDeadline: Int
    private var state = State.disconnected
    private var pending: [UInt64: Pending] = [:]
    /// Numbers in the order of their deadlines; answered ones are skipped.
    private var order = Deque<UInt64>()
    private var lastNumber: UInt64 = 0
    /// Octets of the lines in ``pending``.
    private var waitingOctets = 0
    /// What the service has not taken yet.
    private var outgoing = ByteBuffer()
    private var isFlushScheduled = false
    private var isTellScheduled = false
    private var isOverloaded = false
    private var now = 0
    /// When the service was lost; `nil` while it is there.
    private var lostAt: Int? = 0
    private var failures = 0
    /// Called behind a reconnection: sessions that the new connection must count.
    var reconnected: () -> Void = {}

    init(
        loop: any EventLoop, path: String, settings: AskerSettings, answerDeadline: Int, log: EventLog,
        metrics: ServerMetrics, maximumWaiting: Int = PolicyClient.defaultMaximumWaiting
    ) {
        self.answerDeadline = answerDeadline
        self.loop = loop
        self.path = path
        self.settings = settings
        self.metrics = metrics
        self.maximumWaiting = maximumWaiting
        self.log = log
    }

    var isConnected: Bool { if case .connected = state { true } else { false } }

    // MARK: asking

    /// Asks, and tells `asker` later, never before this returns. The result is the question's number.
    func ask(_ question: PolicyQuestion, _ asker: any PolicyAsker) -> UInt64 {
        var question = question
        lastNumber += 1
        question.number = lastNumber
        let line = Self.line(question)
        // It has been away for long, or takes nothing: whoever waits would wait in vain.
        let isAway = lostAt.map { now - $0 > Self.restartGrace } ?? false
        if isAway || isFull(line) {
            let number = lastNumber
            metrics.unanswered.add()
            let bound = NIOLoopBound(asker, eventLoop: loop)
            loop.execute { bound.value.policyAnswered(number, nil) }
            return number
        }
        pending[lastNumber] = Pending(asker: asker, line: line, deadline: now + answerDeadline)
        waitingOctets += line.count
        order.append(lastNumber)
        send(line)
        return lastNumber
    }

    /// Says something that is not answered (number 0); it goes out with the next question, or soon.
    func tell(_ question: PolicyQuestion) {
        guard case .connected(let channel) = state else { return }
        guard outgoing.readableBytes < maximumWaiting else {
            // What cannot be told would be counted wrong for ever; a new connection begins from nothing.
            channel.close(promise: nil)
            return
        }
        var question = question
        question.number = 0
        append(Self.line(question))
        guard !isFlushScheduled, !isTellScheduled else { return }
        isTellScheduled = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(Self.tellDelay)) {
            bound.value.isTellScheduled = false
            bound.value.flush()
        }
    }

    /// Tells a new connection of a session that there is; only from ``reconnected``. As many as there are sessions.
    func announce(_ question: PolicyQuestion) {
        var question = question
        question.number = 0
        append(Self.line(question))
    }

    private static func line(_ question: PolicyQuestion) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(256)
        question.encode(into: &line)
        line.append(0x0a)
        return line
    }

    /// No answer to it is wanted any more.
    func forget(_ number: UInt64) { _ = take(number) }

    private func take(_ number: UInt64) -> Pending? {
        guard let question = pending.removeValue(forKey: number) else { return nil }
        waitingOctets -= question.line.count
        return question
    }

    private func isFull(_ line: [UInt8]) -> Bool {
        let isFull =
            waitingOctets + line.count > maximumWaiting || outgoing.readableBytes + line.count > maximumWaiting
        if isFull, !isOverloaded {
            log.error("policy-service-stuck", ["path": path, "waiting": "\(pending.count)"])
            isOverloaded = true
        } else if waitingOctets < maximumWaiting / 2 {
            isOverloaded = false
        }
        return isFull
    }

    private func append(_ line: [UInt8]) { outgoing.writeBytes(line) }

    private func send(_ line: [UInt8]) {
        guard isConnected else { return }
        append(line)
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.execute { bound.value.flush() }
    }

    /// Only what the service takes leaves ``outgoing``, whose size is bounded.
    fileprivate func flush() {
        isFlushScheduled = false
        guard case .connected(let channel) = state, outgoing.readableBytes > 0, channel.isWritable else { return }
        let buffer = outgoing
        outgoing = channel.allocator.buffer(capacity: min(buffer.readableBytes, 4096))
        channel.writeAndFlush(buffer, promise: nil)
    }

    // MARK: connection

    func start() { connect() }

    func stop() {
        let old = state
        state = .stopped
        if case .connected(let channel) = old { channel.close(promise: nil) }
    }

    private func connect() {
        guard case .disconnected = state else { return }
        state = .connecting
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PolicyAnswerHandler(bound.value))
                }
            }
            .connect(unixDomainSocketPath: SocketPath.reachable(path))
            .whenComplete { result in
                switch result {
                case .success(let channel): bound.value.opened(channel)
                case .failure(let error): bound.value.failed("\(error)")
                }
            }
    }

    private func opened(_ channel: any Channel) {
        guard case .connecting = state else {
            channel.close(promise: nil)
            return
        }
        state = .connected(channel)
        if failures > 0 { log.notice("policy-service-back", ["path": path]) }
        failures = 0
        lostAt = nil
        outgoing.clear()
        append(Array("\(settings.line)\n".utf8))
        reconnected()
        var given: [any PolicyAsker] = []
        var givenNumbers: [UInt64] = []
        for number in order {
            guard var question = pending[number] else { continue }
            guard question.attempts < Self.maximumAttempts else {
                _ = take(number)
                given.append(question.asker)
                givenNumbers.append(number)
                continue
            }
            question.attempts += 1
            pending[number] = question
            append(question.line)
        }
        flush()
        metrics.unanswered.add(given.count)
        for (asker, number) in zip(given, givenNumbers) { asker.policyAnswered(number, nil) }
    }

    private func failed(_ reason: String) {
        guard case .connecting = state else { return }
        lost(reason)
    }

    fileprivate func closed() {
        guard case .connected = state else { return }
        lost("connection closed")
    }

    private func lost(_ reason: String) {
        state = .disconnected
        if lostAt == nil || failures == 0 { lostAt = now }
        failures += 1
        if failures == 1 || failures % 300 == 0 {
            log.warning("policy-service-lost", ["path": path, "reason": reason, "attempts": "\(failures)"])
        }
        // Soon at first: a restart takes milliseconds.
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(Int64(10 * min(failures, 20)))) { bound.value.connect() }
    }

    // MARK: time and answers

    /// Once a second.
    func tick(_ second: Int) {
        now = second
        while let number = order.first {
            guard let question = pending[number] else {
                order.removeFirst()
                continue
            }
            guard question.deadline <= now else { return }
            order.removeFirst()
            _ = take(number)
            metrics.unanswered.add()
            question.asker.policyAnswered(number, nil)
        }
    }

    fileprivate func received(_ answer: PolicyAnswer) {
        guard let question = take(answer.number) else { return }
        metrics.policyTime.observe(microseconds: (NIODeadline.now() - question.askedAt).nanoseconds / 1000)
        while let first = order.first, pending[first] == nil { order.removeFirst() }
        question.asker.policyAnswered(answer.number, answer)
    }

    fileprivate func misunderstood(_ line: String) {
        log.error("policy-answer-unreadable", ["line": line])
    }
}

/// Cuts what the service writes into answers.
private final class PolicyAnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let client: PolicyClient
    private var partial: [UInt8] = []

    init(_ client: PolicyClient) { self.client = client }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        buffer.withUnsafeReadableBytes { octets in
            var start = 0
            while let newline = octets[start...].firstIndex(of: 0x0a) {
                partial.append(contentsOf: octets[start..<newline])
                if let answer = PolicyAnswer(octets: partial[...]) {
                    client.received(answer)
                } else {
                    client.misunderstood(String(decoding: partial.prefix(200), as: UTF8.self))
                }
                partial.removeAll(keepingCapacity: partial.capacity <= 4096)
                start = newline + 1
            }
            partial.append(contentsOf: octets[start...])
        }
        // A service that writes no line end is no service.
        if partial.count > PolicyClient.maximumLineLength { context.close(promise: nil) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { client.flush() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) { client.closed() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
