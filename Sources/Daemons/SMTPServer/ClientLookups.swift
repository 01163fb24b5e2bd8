import MailModel
import NIOCore
import NIOPosix
import PeerIdentity

/// What other hosts say about a client: its own ident service, and whoson.
enum ClientLookups {
    /// What is asked, and where.
    struct Plan: Sendable {
        var asksIdent = false
        /// Where the whoson service is; `nil`: it is not asked.
        var whoson: PeerEndpoint?
    }

    struct Findings: Sendable {
        /// `nil`: not asked, or no answer.
        var ident: String?
        /// `nil`: not asked.
        var whoson: WhosonReply?
    }

    /// Calls `body` once, on `loop`, later; within the time that the protocols allow.
    static func run(
        _ loop: any EventLoop, _ plan: Plan, client: PeerEndpoint, own: PeerEndpoint,
        then body: @escaping @Sendable (Findings) -> Void
    ) {
        let ident = plan.asksIdent ? askIdent(loop, client: client, own: own) : loop.makeSucceededFuture(nil)
        let whoson =
            plan.whoson.map { server in askWhoson(loop, server, client.address).map { Optional($0) } }
            ?? loop.makeSucceededFuture(nil)
        ident.and(whoson).whenSuccess { body(Findings(ident: $0, whoson: $1)) }
    }

    private static func askIdent(
        _ loop: any EventLoop, client: PeerEndpoint, own: PeerEndpoint
    ) -> EventLoopFuture<String?> {
        let query = IdentQuery(peerPort: client.port, ownPort: own.port)
        return askLine(
            loop, PeerEndpoint(client.address, port: IdentQuery.port), from: own.address, query.request,
            limit: IdentQuery.maximumReplyLength, timeLimit: IdentQuery.timeLimit
        ).map { line in
            guard let line, case .user(let user)? = try? query.reply(line) else { return nil }
            return user.name
        }
    }

    private static func askWhoson(
        _ loop: any EventLoop, _ server: PeerEndpoint, _ client: IPAddress
    ) -> EventLoopFuture<WhosonReply> {
        askLine(
            loop, server, from: nil, WhosonQuery(client).request, limit: WhosonQuery.maximumReplyLength,
            timeLimit: WhosonQuery.timeLimit
        ).map { $0.map { WhosonReply(line: $0) } ?? .unavailable }
    }

    /// One line of a TCP service; `nil`: there was none in time.
    private static func askLine(
        _ loop: any EventLoop, _ server: PeerEndpoint, from own: IPAddress?, _ request: [UInt8], limit: Int,
        timeLimit: Duration
    ) -> EventLoopFuture<[UInt8]?> {
        let promise = loop.makePromise(of: [UInt8]?.self)
        let amount = TimeAmount.milliseconds(
            timeLimit.components.seconds * 1000 + timeLimit.components.attoseconds / 1_000_000_000_000_000)
        let timer = loop.scheduleTask(in: amount) { promise.succeed(nil) }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        guard let address = socketAddress(server) else {
            promise.succeed(nil)
            return promise.futureResult
        }
        var bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(amount)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(LineHandler(request, limit: limit, promise))
                }
            }
        if let own, let local = socketAddress(PeerEndpoint(own, port: 0)) { bootstrap = bootstrap.bind(to: local) }
        bootstrap.connect(to: address).whenComplete { result in
            switch result {
            case .success(let channel): promise.futureResult.whenComplete { _ in channel.close(promise: nil) }
            case .failure: promise.succeed(nil)
            }
        }
        return promise.futureResult
    }

    private static func socketAddress(_ endpoint: PeerEndpoint) -> SocketAddress? {
        try? SocketAddress(ipAddress: endpoint.address.description, port: Int(endpoint.port))
    }
}

private final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: [UInt8]
    private let promise: EventLoopPromise<[UInt8]?>
    private var decoder: PeerLineDecoder

    init(_ request: [UInt8], limit: Int, _ promise: EventLoopPromise<[UInt8]?>) {
        self.request = request
        self.promise = promise
        decoder = PeerLineDecoder(limit: limit)
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: request)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        finish(unwrapInboundIn(data).withUnsafeReadableBytes { decoder.decode($0) })
    }

    func channelInactive(context: ChannelHandlerContext) { finish(decoder.endOfInput()) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.succeed(nil) }

    private func finish(_ result: PeerLineDecoder.Result) {
        switch result {
        case .needMore: break
        case .line(let line): promise.succeed(line)
        case .tooLong: promise.succeed(nil)
        }
    }
}
