import AgentProtocol
import ChildProcesses
import Configuration
import Digests
import MailModel
import NIOCore
import NIOPosix

/// ETRN on behalf of a client (smtpserver.md §8): asks our own scheduler, or those of a cluster.
enum QueueStarter {
    /// Seconds for one scheduler.
    static let deadline: Int64 = 10

    /// The scheduler of this host, over its queue socket (docs/protocols.md §5). `nil`: it is not there, or takes it not.
    static func askOwn(
        _ loop: any EventLoop, socket: String, _ target: ETRNTarget, remark: String
    ) -> EventLoopFuture<LocalETRN.Answer?> {
        talk(loop, OwnExchange(target: target, remark: remark), nil) { bootstrap in
            bootstrap.connect(unixDomainSocketPath: SocketPath.reachable(socket))
        }
    }

    /// One scheduler of the cluster, over its mailq port.
    static func ask(
        _ loop: any EventLoop, _ node: SMTPServerConfiguration.ClusterNode, _ target: ETRNTarget, remark: String
    ) -> EventLoopFuture<Result<MailqClientSession.Answer, MailqClientSession.Failure>> {
        let session = MailqClientSession(
            user: node.user, password: node.password, target: target, remark: remark, digest: { Digest.md5($0) })
        return talk(loop, ClusterExchange(session), .failure(.unreachable("no connection in time"))) { bootstrap in
            bootstrap.connect(host: node.host, port: node.port)
        }
    }

    private static func talk<Exchange: LineExchange>(
        _ loop: any EventLoop, _ exchange: Exchange, _ failure: Exchange.Outcome,
        _ connect: (ClientBootstrap) -> EventLoopFuture<any Channel>
    ) -> EventLoopFuture<Exchange.Outcome> {
        let promise = loop.makePromise(of: Exchange.Outcome.self)
        let timer = loop.scheduleTask(in: .seconds(deadline)) { promise.succeed(failure) }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(deadline))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ExchangeHandler(exchange, promise))
                }
            }
        connect(bootstrap).whenComplete { result in
            switch result {
            case .success(let channel): promise.futureResult.whenComplete { _ in channel.close(promise: nil) }
            case .failure: promise.succeed(failure)
            }
        }
        return promise.futureResult
    }
}

/// A dialogue with one outcome.
private protocol LineExchange: Sendable {
    associatedtype Outcome: Sendable
    /// What is said first.
    var opening: [UInt8] { get }
    /// Octets to be sent, and the outcome when it is there.
    mutating func received(_ octets: [UInt8]) -> ([UInt8], Outcome?)
    mutating func ended() -> Outcome
}

private struct OwnExchange: LineExchange {
    let target: ETRNTarget
    let remark: String
    private var answer: [UInt8] = []

    init(target: ETRNTarget, remark: String) {
        self.target = target
        self.remark = remark
    }

    var opening: [UInt8] { Array(LocalETRN.request(target, remark: remark).utf8) }

    mutating func received(_ octets: [UInt8]) -> ([UInt8], LocalETRN.Answer??) {
        answer += octets.prefix(4096 - min(4096, answer.count))
        return ([], nil)
    }

    mutating func ended() -> LocalETRN.Answer? { try? LocalETRN.answer(answer.prefix { $0 != 0x0a }) }
}

private struct ClusterExchange: LineExchange {
    private var session: MailqClientSession

    init(_ session: MailqClientSession) { self.session = session }

    var opening: [UInt8] { [] }

    mutating func received(
        _ octets: [UInt8]
    ) -> ([UInt8], Result<MailqClientSession.Answer, MailqClientSession.Failure>?) {
        var output: [UInt8] = []
        for action in session.received(octets) {
            switch action {
            case .send(let octets): output += octets
            // It asks for no list.
            case .line: continue
            case .finished(let result): return (output, result)
            }
        }
        return (output, nil)
    }

    mutating func ended() -> Result<MailqClientSession.Answer, MailqClientSession.Failure> {
        guard case .finished(let result)? = session.ended() else { return .failure(.closed(.banner)) }
        return result
    }
}

private final class ExchangeHandler<Exchange: LineExchange>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var exchange: Exchange
    private let promise: EventLoopPromise<Exchange.Outcome>

    init(_ exchange: Exchange, _ promise: EventLoopPromise<Exchange.Outcome>) {
        self.exchange = exchange
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) { send(exchange.opening, context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let (output, outcome) = exchange.received(Array(unwrapInboundIn(data).readableBytesView))
        send(output, context)
        if let outcome { promise.succeed(outcome) }
    }

    func channelInactive(context: ChannelHandlerContext) { promise.succeed(exchange.ended()) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func send(_ octets: [UInt8], _ context: ChannelHandlerContext) {
        guard !octets.isEmpty else { return }
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: octets)), promise: nil)
    }
}
