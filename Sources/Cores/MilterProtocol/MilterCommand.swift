import MailModel

/// What the mail system says to a milter (`SMFIC_…`, libmilter/mfdef.h).
public enum MilterCommand: Hashable, Sendable {
    case negotiate(MilterOptions)
    /// In front of the command that the macros are for.
    case macros(for: UInt8, [MilterMacro])
    case connect(name: String, MilterEndpoint)
    case hello(String)
    /// The path in angle brackets, then the parameters of the command.
    case mail([String])
    case recipient([String])
    case data
    case field(name: [UInt8], value: [UInt8])
    case endOfHeader
    case body([UInt8])
    case endOfMessage
    case abort
    case quit

    /// Octets of data in one packet, as milters have room for (`MILTER_CHUNK_SIZE`).
    public static let maximumData = 65535

    /// The octet in front of the data.
    public var code: UInt8 {
        switch self {
        case .negotiate: UInt8(ascii: "O")
        case .macros: UInt8(ascii: "D")
        case .connect: UInt8(ascii: "C")
        case .hello: UInt8(ascii: "H")
        case .mail: UInt8(ascii: "M")
        case .recipient: UInt8(ascii: "R")
        case .data: UInt8(ascii: "T")
        case .field: UInt8(ascii: "L")
        case .endOfHeader: UInt8(ascii: "N")
        case .body: UInt8(ascii: "B")
        case .endOfMessage: UInt8(ascii: "E")
        case .abort: UInt8(ascii: "A")
        case .quit: UInt8(ascii: "Q")
        }
    }

    public var packet: MilterPacket { MilterPacket(code, data) }

    private var data: [UInt8] {
        var data: [UInt8] = []
        switch self {
        case .negotiate(let options):
            for number in [options.version, options.actions.rawValue, options.steps.rawValue] {
                Self.append(number, to: &data)
            }
        case .macros(let command, let macros):
            data.append(command)
            for macro in macros {
                Self.append(macro.name, to: &data)
                Self.append(macro.value, to: &data)
            }
        case .connect(let name, let endpoint):
            Self.append(name, to: &data)
            Self.append(endpoint, to: &data)
        case .hello(let name): Self.append(name, to: &data)
        case .mail(let words), .recipient(let words):
            for word in words { Self.append(word, to: &data) }
        case .field(let name, let value):
            data += name
            data.append(0)
            data += value
            data.append(0)
        case .body(let octets): data = octets
        case .data, .endOfHeader, .endOfMessage, .abort, .quit: break
        }
        return data
    }

    /// Ended by NUL, so that none may be inside; other control octets become blanks with it.
    private static func append(_ text: String, to data: inout [UInt8]) {
        for octet in text.utf8 { data.append(octet < 0x20 || octet == 0x7f ? 0x20 : octet) }
        data.append(0)
    }

    private static func append(_ endpoint: MilterEndpoint, to data: inout [UInt8]) {
        switch endpoint.address {
        case .v4: data.append(UInt8(ascii: "4"))
        case .v6: data.append(UInt8(ascii: "6"))
        }
        data.append(UInt8(truncatingIfNeeded: endpoint.port >> 8))
        data.append(UInt8(truncatingIfNeeded: endpoint.port))
        append(endpoint.address.description, to: &data)
    }

    static func append(_ number: UInt32, to data: inout [UInt8]) {
        for shift in [UInt32(24), 16, 8, 0] { data.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }
}
