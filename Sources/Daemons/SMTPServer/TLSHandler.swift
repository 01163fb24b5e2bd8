import NIOCore
import TransportSecurity

/// TLS of one channel: a thin host of a ``TLSConnection``, in front of the session's handler.
///
/// The steps of the handshake are done on threads of a pool, because the arithmetic of one would make all sessions of the
/// loop wait; what is cheap is done on the loop: the client's last word in TLS 1.3, and what comes behind the handshake.
final class TLSHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Event {
        case established(TLSSessionInfo)
        /// The connection is closed behind this.
        case failed(String)
    }

    private enum State {
        /// `isOut`: a step is on a pool thread, which has the connection meanwhile.
        case handshaking(isOut: Bool)
        case open
        case closed
    }

    /// Octets that a client may send while a step of its handshake is worked on.
    private static let maximumEarlyInput = 64 << 10
    /// Octets of a client's last word without a certificate, and of the message for old devices before it (RFC 8446 §4.4.4, §D.4).
    private static let maximumConfirmation = 128
    /// Octets of plaintext handed on at a time: a record.
    private static let chunk = 16 << 10

    private let connection: TLSConnection
    private let pool: BlockingPool
    private var state = State.handshaking(isOut: false)
    /// Ciphertext that waits for the connection to come back from the pool.
    private var waiting: ByteBuffer?
    private var context: ChannelHandlerContext?
    private var isReadHeldBack = false
    /// The server's part of the handshake is sent.
    private var hasAnswered = false

    init(_ connection: TLSConnection, pool: BlockingPool, early: ByteBuffer?) {
        self.connection = connection
        self.pool = pool
        waiting = early
    }

    /// What both ends of the connection can tell that is theirs alone; `nil` before the handshake is done.
    func channelBinding(_ type: ChannelBinding) -> [UInt8]? {
        if case .open = state { connection.channelBinding(type) } else { nil }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    /// Once, when the handler is in the pipeline.
    func begin() {
        guard let context else { return }
        if waiting != nil { step() } else { context.read() }
    }

    // MARK: inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        switch state {
        case .closed:
            return
        case .handshaking(let isOut):
            if waiting == nil { waiting = buffer } else { waiting?.writeBuffer(&buffer) }
            if waiting?.readableBytes ?? 0 > Self.maximumEarlyInput {
                fail("too much in a handshake")
            } else if !isOut {
                step()
            }
        case .open:
            decrypt(buffer)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .handshaking(let isOut) = state {
            // The session reads nothing meanwhile: the handshake asks by itself.
            if !isOut { context.read() }
        }
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .handshaking = state { fail("the client closed the connection in the handshake") }
        state = .closed
        context.fireChannelInactive()
    }

    /// A client can make TLS itself answer (renewal of keys): one that does not take our octets gets no more of its own read.
    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable { context.read() } else { isReadHeldBack = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if isReadHeldBack, context.channel.isWritable {
            isReadHeldBack = false
            context.read()
        }
        context.fireChannelWritabilityChanged()
    }

    // MARK: handshake

    /// One step on a pool thread.
    private func step() {
        guard let context else { return }
        state = .handshaking(isOut: true)
        let input = waiting
        waiting = nil
        // Sound: while `isOut`, nobody but that thread uses the connection.
        let work = HandshakeStep(connection: connection)
        if hasAnswered, let input, input.readableBytes <= Self.maximumConfirmation, connection.awaitsConfirmation {
            stepped(work.run(input))
            return
        }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        pool.submit {
            let outcome = work.run(input)
            eventLoop.execute { bound.value.stepped(outcome) }
        }
    }

    private func stepped(_ outcome: HandshakeStep.Outcome) {
        guard let context, case .handshaking = state else { return }
        state = .handshaking(isOut: false)
        if !outcome.output.isEmpty {
            hasAnswered = true
            context.writeAndFlush(
                wrapOutboundOut(context.channel.allocator.buffer(bytes: outcome.output)), promise: nil)
        }
        if let failure = outcome.failure { return fail(failure) }
        guard outcome.isEstablished, let info = connection.session else {
            if waiting != nil { step() } else { context.read() }
            return
        }
        state = .open
        context.fireUserInboundEventTriggered(Event.established(info))
        // What came with the last octets of the handshake.
        let rest = waiting ?? ByteBuffer()
        waiting = nil
        decrypt(rest)
        context.fireChannelReadComplete()
        context.read()
    }

    // MARK: data

    private func decrypt(_ ciphertext: ByteBuffer) {
        guard let context, case .open = state else { return }
        do throws(TLSFailure) {
            var failure: TLSFailure?
            ciphertext.withUnsafeReadableBytes { octets in
                do throws(TLSFailure) { try connection.receive(octets) } catch { failure = error }
            }
            if let failure { throw failure }
            while true {
                var plain = context.channel.allocator.buffer(capacity: Self.chunk)
                var count = 0
                plain.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.chunk) { space in
                    do throws(TLSFailure) { count = try connection.read(into: space) } catch { failure = error }
                    return count
                }
                if let failure { throw failure }
                guard count > 0 else { break }
                context.fireChannelRead(wrapInboundOut(plain))
                guard case .open = state else { return }
                if count < Self.chunk, !connection.hasFailed { break }
            }
            sendOutput()
            if connection.isClosedByPeer { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        } catch {
            sendOutput()
            fail(error.description)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .open = state else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        var failure: TLSFailure?
        unwrapOutboundIn(data).withUnsafeReadableBytes { octets in
            do throws(TLSFailure) { try connection.write(octets) } catch { failure = error }
        }
        if let failure {
            promise?.fail(failure)
            fail(failure.description)
        } else {
            promise?.succeed(())
        }
    }

    func flush(context: ChannelHandlerContext) {
        if case .open = state { sendOutput() } else { context.flush() }
    }

    private func sendOutput() {
        guard let context else { return }
        let output = connection.takeOutput()
        guard !output.isEmpty else { return }
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: output)), promise: nil)
    }

    // MARK: the end

    private func fail(_ reason: String) {
        guard let context else { return }
        state = .closed
        context.fireUserInboundEventTriggered(Event.failed(reason))
        context.close(promise: nil)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if case .open = state {
            connection.close()
            sendOutput()
            if mode != .input { state = .closed }
        }
        context.close(mode: mode, promise: promise)
    }
}

@available(*, unavailable)
extension TLSHandler: Sendable {}

/// A step of a handshake on its way to another thread and back.
///
/// Sound as `@unchecked Sendable`: the handler that made it does not touch the connection until the outcome is there.
private struct HandshakeStep: @unchecked Sendable {
    struct Outcome: Sendable {
        var output: [UInt8] = []
        var isEstablished = false
        var failure: String?
    }

    let connection: TLSConnection

    func run(_ input: ByteBuffer?) -> Outcome {
        var outcome = Outcome()
        do throws(TLSFailure) {
            var failure: TLSFailure?
            input?.withUnsafeReadableBytes { octets in
                do throws(TLSFailure) { try connection.receive(octets) } catch { failure = error }
            }
            if let failure { throw failure }
            switch try connection.handshake() {
            case .needInput: break
            case .established: outcome.isEstablished = true
            case .closed: outcome.failure = "the client closed the connection in the handshake"
            }
        } catch {
            outcome.failure = error.description
        }
        outcome.output = connection.takeOutput()
        return outcome
    }
}
