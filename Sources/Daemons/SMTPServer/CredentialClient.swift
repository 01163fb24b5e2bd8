import ChildProcesses
import MailModel
import NIOCore
import NIOPosix
import SASL

/// Asks the password checker: a connection for each question (docs/protocols.md §7).
enum CredentialClient {
    /// Seconds for an answer; the checker itself is ended before that.
    static let deadline: Int64 = 40

    /// Calls `body` once, on `loop`, later.
    static func ask(
        _ loop: any EventLoop, path: String, _ request: CredentialRequest,
        then body: @escaping @Sendable (CredentialAnswer) -> Void
    ) {
        let promise = loop.makePromise(of: CredentialAnswer.self)
        promise.futureResult.whenSuccess(body)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(CredentialAnswerHandler(request, promise))
                }
            }
            .connect(unixDomainSocketPath: SocketPath.reachable(path))
            .whenFailure { promise.succeed(.unavailable(reason: "password checker: \($0)")) }
    }
}

private final class CredentialAnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: CredentialRequest
    private let promise: EventLoopPromise<CredentialAnswer>
    private var line: [UInt8] = []
    private var deadline: Scheduled<Void>?
    private var isDone = false

    init(_ request: CredentialRequest, _ promise: EventLoopPromise<CredentialAnswer>) {
        self.request = request
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        var octets = request.line
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: octets)), promise: nil)
        Secret.wipe(&octets)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: .seconds(CredentialClient.deadline)) {
            bound.value.0.finish(.unavailable(reason: "password checker: no answer in time"), bound.value.1)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        line += unwrapInboundIn(data).readableBytesView
        if line.count > CredentialLine.maximumLength {
            finish(.unavailable(reason: "password checker: answer too long"), context)
        } else if line.last == 0x0a {
            finish(CredentialAnswer(line: line) ?? .unavailable(reason: "password checker: no answer of ours"), context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(.unavailable(reason: "password checker: ended without an answer"), context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(.unavailable(reason: "password checker: \(error)"), context)
    }

    private func finish(_ answer: CredentialAnswer, _ context: ChannelHandlerContext) {
        guard !isDone else { return }
        isDone = true
        deadline?.cancel()
        promise.succeed(answer)
        context.close(promise: nil)
    }
}
