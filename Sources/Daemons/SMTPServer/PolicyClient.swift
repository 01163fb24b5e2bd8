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
    struct Limits: Sendable {
        var sameSource: Int
        var parallel: Int
    }

    /// Seconds that questions wait for a service that is being restarted; then they fail at once.
    static let restartGrace = 3
    /// Octets of one answer line.
    static let maximumLineLength = 65536

    private struct Pending {
        let asker: any PolicyAsker
        let line: String
        let deadline: Int
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
    let limits: Limits
    /// Seconds.
    private let answerDeadline: Int
    private var state = State.disconnected
    private var pending: [UInt64: Pending] = [:]
    /// Numbers in the order of their deadlines; answered ones are skipped.
    private var order = Deque<UInt64>()
    private var lastNumber: UInt64 = 0
    private var outgoing = ByteBuffer()
    private var isFlushScheduled = false
    private var now = 0
    /// When the service was lost; `nil` while it is there.
    private var lostAt: Int? = 0
    private var failures = 0
    private var nextAttempt = 0
    /// Called behind a reconnection: sessions that the new connection must count.
    var reconnected: () -> Void = {}

    init(loop: any EventLoop, path: String, limits: Limits, answerDeadline: Int, log: EventLog) {
        self.answerDeadline = answerDeadline
        self.loop = loop
        self.path = path
        self.limits = limits
        self.log = log
    }

    var isConnected: Bool { if case .connected = state { true } else { false } }

    // MARK: asking

    /// Asks, and tells `asker` later, never before this returns. The result is the question's number.
    func ask(_ question: PolicyQuestion, _ asker: any PolicyAsker) -> UInt64 {
        var question = question
        lastNumber += 1
        question.number = lastNumber
        if let lostAt, now - lostAt > Self.restartGrace {
            // It has been away for long: whoever waits would wait in vain.
            let number = lastNumber
            let bound = NIOLoopBound(asker, eventLoop: loop)
            loop.execute { bound.value.policyAnswered(number, nil) }
            return number
        }
        let line = question.line
        pending[lastNumber] = Pending(asker: asker, line: line, deadline: now + answerDeadline)
        order.append(lastNumber)
        send(line)
        return lastNumber
    }

    /// Says something whose answer is of no interest.
    func tell(_ question: PolicyQuestion) {
        guard isConnected else { return }
        var question = question
        lastNumber += 1
        question.number = lastNumber
        send(question.line)
    }

    /// No answer to it is wanted any more.
    func forget(_ number: UInt64) { pending[number] = nil }

    private func send(_ line: String) {
        guard isConnected else {
            connectIfDue()
            return
        }
        outgoing.writeString(line)
        outgoing.writeInteger(UInt8(ascii: "\n"))
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.execute { bound.value.flush() }
    }

    private func flush() {
        isFlushScheduled = false
        guard case .connected(let channel) = state, outgoing.readableBytes > 0 else { return }
        let buffer = outgoing
        outgoing = channel.allocator.buffer(capacity: min(buffer.readableBytes, 4096))
        channel.writeAndFlush(buffer, promise: nil)
    }

    // MARK: connection

    func start() { connectIfDue() }

    func stop() {
        let old = state
        state = .stopped
        if case .connected(let channel) = old { channel.close(promise: nil) }
    }

    private func connectIfDue() {
        guard case .disconnected = state, now >= nextAttempt else { return }
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
        outgoing.writeString("limits\t\(limits.sameSource)\t\(limits.parallel)\n")
        reconnected()
        for number in order {
            guard let question = pending[number] else { continue }
            outgoing.writeString(question.line)
            outgoing.writeInteger(UInt8(ascii: "\n"))
        }
        flush()
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
        if failures == 1 || failures % 60 == 0 {
            log.warning("policy-service-lost", ["path": path, "reason": reason, "attempts": "\(failures)"])
        }
        guard failures <= 20 else {
            nextAttempt = now + 1
            return
        }
        // Soon at first: a restart takes milliseconds.
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(Int64(10 * failures))) { bound.value.connectIfDue() }
    }

    // MARK: time and answers

    /// Once a second.
    func tick(_ second: Int) {
        now = second
        if failures > 20 { connectIfDue() }
        while let number = order.first {
            guard let question = pending[number] else {
                order.removeFirst()
                continue
            }
            guard question.deadline <= now else { return }
            order.removeFirst()
            pending[number] = nil
            question.asker.policyAnswered(number, nil)
        }
    }

    fileprivate func received(_ answer: PolicyAnswer) {
        guard let question = pending.removeValue(forKey: answer.number) else { return }
        if order.first == answer.number { order.removeFirst() }
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
                let line: String
                if partial.isEmpty {
                    line = String(decoding: octets[start..<newline], as: UTF8.self)
                } else {
                    partial.append(contentsOf: octets[start..<newline])
                    line = String(decoding: partial, as: UTF8.self)
                    partial.removeAll(keepingCapacity: true)
                }
                start = newline + 1
                if let answer = PolicyAnswer(line: line) { client.received(answer) } else { client.misunderstood(line) }
            }
            partial.append(contentsOf: octets[start...])
        }
        // A service that writes no line end is no service.
        if partial.count > PolicyClient.maximumLineLength { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { client.closed() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
