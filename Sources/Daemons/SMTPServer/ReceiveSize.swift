import NIOCore

/// How much one read of a session may bring: little between messages, much inside one. NIO keeps no buffer for a channel
/// beyond the first small one, so that an idle session holds almost nothing.
///
/// Sound as `@unchecked Sendable`: the channel and its handler are confined to one event loop, and only they use it.
final class ReceiveSize: @unchecked Sendable {
    static let first = 512
    static let commands = 4 << 10
    static let message = 16 << 10
    static let largeMessage = 64 << 10

    var octets = ReceiveSize.first
}

struct SessionReceiveAllocator: RecvByteBufferAllocator {
    let size: ReceiveSize

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: size.octets) }
    /// "The next buffer is larger": NIO then asks for a new one instead of keeping the last.
    mutating func record(actualReadBytes: Int) -> Bool { true }
    func nextBufferSize() -> Int? { nil }
}
