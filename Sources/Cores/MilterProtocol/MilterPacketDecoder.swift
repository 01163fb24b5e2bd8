/// One packet: a command or response and its data.
public struct MilterPacket: Hashable, Sendable {
    public let command: UInt8
    public let data: [UInt8]

    public init(_ command: UInt8, _ data: [UInt8] = []) {
        self.command = command
        self.data = data
    }

    /// As it goes over the connection: a length of 4 octets in network order, the command, the data.
    public var encoded: [UInt8] {
        var octets: [UInt8] = []
        octets.reserveCapacity(data.count + 5)
        MilterCommand.append(UInt32(data.count + 1), to: &octets)
        octets.append(command)
        octets.append(contentsOf: data)
        return octets
    }
}

/// Cuts what a milter sends into packets, the same however it is split.
public struct MilterPacketDecoder: Sendable {
    /// Octets of command and data. A milter's packets are of 64 KiB at most; a changed field may need a little more.
    public static let maximumLength = 128 << 10

    private var buffer: [UInt8] = []
    private var start = 0

    public init() {}

    /// Octets that wait for the rest of their packet.
    public var buffered: Int { buffer.count - start }

    public mutating func append(_ octets: some Collection<UInt8>) {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: octets)
    }

    /// The next packet that is complete. After an error the connection is of no use.
    public mutating func next() throws(MilterProtocolError) -> MilterPacket? {
        guard buffer.count - start >= 4 else { return nil }
        let length = Int(MilterResponse.number(buffer[start..<(start + 4)]))
        guard (1...Self.maximumLength).contains(length) else { throw .packetLength(length) }
        guard buffer.count - start >= 4 + length else { return nil }
        let packet = MilterPacket(buffer[start + 4], Array(buffer[(start + 5)..<(start + 4 + length)]))
        start += 4 + length
        return packet
    }
}
