/// Reads the one line that a service answers with (ident, whoson). The same line however the octets are split.
public struct PeerLineDecoder: Sendable {
    public enum Result: Hashable, Sendable {
        case needMore
        /// Without its line end, CRLF or LF.
        case line([UInt8])
        case tooLong
    }

    /// Octets, line end included.
    private let limit: Int
    private var octets: [UInt8] = []
    private var end: Result?

    public init(limit: Int) { self.limit = limit }

    /// Takes octets up to the line's end; what stands behind it is not read. Later calls repeat the result.
    public mutating func decode(_ input: UnsafeRawBufferPointer) -> Result {
        if let end { return end }
        for octet in input {
            guard octets.count < limit else { return finish(.tooLong) }
            guard octet == 0x0a else {
                octets.append(octet)
                continue
            }
            return finish(.line(octets.last == 0x0d ? octets.dropLast() : octets))
        }
        return .needMore
    }

    /// The other side has closed, or its datagram is over: what has come is the line.
    public mutating func endOfInput() -> Result { end ?? finish(.line(octets)) }

    private mutating func finish(_ result: Result) -> Result {
        octets = []
        end = result
        return result
    }
}
