/// A milter has broken the protocol. Nothing that it has said about the message is used.
public enum MilterProtocolError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The length of a packet is 0 or above ``MilterPacketDecoder/maximumLength``.
    case packetLength(Int)
    case unknownResponse(UInt8)
    /// The data of a response is not what it should be.
    case malformed(response: UInt8, reason: String)
    /// A response that has no place there.
    case unexpected(response: UInt8, stage: MilterStage)
    /// Valid are 2...6.
    case version(UInt32)
    /// Bits that were not offered.
    case notOffered(actions: MilterActions, steps: MilterSteps)
    /// A change that the milter has not asked for in its negotiation.
    case notNegotiated(response: UInt8)
    /// More than ``MilterSession/maximumModifications``.
    case tooManyModifications

    public var description: String {
        switch self {
        case .packetLength(let length):
            "a packet of \(length) octets; valid are 1 to \(MilterPacketDecoder.maximumLength)"
        case .unknownResponse(let octet): "unknown response \(Self.name(octet))"
        case .malformed(let octet, let reason): "response \(Self.name(octet)): \(reason)"
        case .unexpected(let octet, let stage): "response \(Self.name(octet)) has no place at \(stage.rawValue)"
        case .version(let version): "speaks version \(version); valid are \(MilterOptions.oldestVersion) to 6"
        case .notOffered(let actions, let steps):
            "wants what was not offered: actions 0x\(String(actions.rawValue, radix: 16)),"
                + " steps 0x\(String(steps.rawValue, radix: 16))"
        case .notNegotiated(let octet): "response \(Self.name(octet)) needs an action that was not negotiated"
        case .tooManyModifications: "more than \(MilterSession.maximumModifications) changes of one message"
        }
    }

    private static func name(_ octet: UInt8) -> String {
        (0x21...0x7e).contains(octet) ? "'\(UnicodeScalar(octet))'" : "0x\(String(octet, radix: 16))"
    }
}
