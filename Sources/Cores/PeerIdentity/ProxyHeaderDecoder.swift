import MailModel

/// Reads a PROXY header, version 1 or 2, out of the first octets of a connection (HAProxy's proxy-protocol.txt §2).
///
/// The same result however the octets are split. It holds no more than a header, fails at the first octet that cannot belong
/// to one, and takes nothing of what stands behind it.
public struct ProxyHeaderDecoder: Sendable {
    /// Octets of a line of version 1, CRLF included (§2.1).
    public static let maximumTextLength = 107
    /// Octets of a header of version 2, the first 16 included. Real ones have some hundred, with certificates' names and all.
    public static let defaultMaximumBinaryLength = 4096
    /// What to wait for a header before the connection is closed: it comes in the first segment, which may be lost and sent
    /// again (§2 asks for 3 s at least). Nothing is said to the client before it is there.
    public static let timeLimit: Duration = .seconds(5)

    static let textPrefix = Array("PROXY ".utf8)
    static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
    /// Octets in front of the addresses of version 2.
    static let binaryHead = 16

    public enum Result: Hashable, Sendable {
        case needMore
        case header(ProxyHeader)
        case failure(ProxyHeaderError)
    }

    private let maximumBinaryLength: Int
    private var octets: [UInt8] = []
    /// Of a header of version 2, known from its head.
    private var announced = 0
    private var end: Result?

    public init(maximumBinaryLength: Int = Self.defaultMaximumBinaryLength) {
        self.maximumBinaryLength = maximumBinaryLength
    }

    /// Takes octets up to the end of the header, or to the one that is wrong. Later calls take nothing and repeat the result.
    public mutating func decode(_ input: UnsafeRawBufferPointer) -> (consumed: Int, result: Result) {
        if let end { return (0, end) }
        for (index, octet) in input.enumerated() {
            octets.append(octet)
            do throws(ProxyHeaderError) {
                guard let header = try advance() else { continue }
                end = .header(header)
            } catch {
                end = .failure(error)
            }
            octets = []
            return (index + 1, end ?? .needMore)
        }
        return (input.count, .needMore)
    }

    /// Looks at the octet that came last; `nil`: more are needed.
    private mutating func advance() throws(ProxyHeaderError) -> ProxyHeader? {
        switch octets[0] {
        case Self.textPrefix[0]: try advanceText()
        case Self.signature[0]: try advanceBinary()
        default: throw .notAHeader
        }
    }

    private func advanceText() throws(ProxyHeaderError) -> ProxyHeader? {
        let last = octets.count - 1
        if last < Self.textPrefix.count {
            guard octets[last] == Self.textPrefix[last] else { throw .notAHeader }
            return nil
        }
        let isBehindCR = octets[last - 1] == 0x0d
        guard isBehindCR == (octets[last] == 0x0a) else { throw .lineEnd }
        if isBehindCR { return try Self.header(line: octets.dropLast(2)) }
        guard octets.count < Self.maximumTextLength else { throw .lineTooLong }
        return nil
    }

    private mutating func advanceBinary() throws(ProxyHeaderError) -> ProxyHeader? {
        let last = octets.count - 1
        switch last {
        case ..<Self.signature.count:
            guard octets[last] == Self.signature[last] else { throw .notAHeader }
        case 12:
            guard octets[last] >> 4 == 2 else { throw .unsupportedVersion(octets[last] >> 4) }
            guard octets[last] & 15 <= 1 else { throw .unknownCommand(octets[last] & 15) }
        case 13:
            guard octets[last] >> 4 <= 3, octets[last] & 15 <= 2 else { throw .unknownFamily(octets[last]) }
        case 15:
            announced = Self.binaryHead + (Int(octets[14]) << 8 | Int(octets[15]))
            guard announced <= maximumBinaryLength else { throw .tooLong(announced, limit: maximumBinaryLength) }
        default: break
        }
        guard octets.count == announced else { return nil }
        return try Self.header(binary: octets)
    }
}
