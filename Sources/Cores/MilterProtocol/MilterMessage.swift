import MailModel

/// A macro of Sendmail: its name (`i`, `{auth_authen}`) and its value.
public struct MilterMacro: Hashable, Sendable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Where a client is.
public struct MilterEndpoint: Hashable, Sendable {
    public let address: IPAddress
    /// 0: not known.
    public let port: UInt16

    public init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }
}

/// A header field as a milter sees it.
public struct MilterField: Hashable, Sendable {
    public let name: [UInt8]
    /// What follows the colon, blanks at its beginning included; lines end in LF, without the last one.
    public let value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }

    public init(_ field: HeaderSection.Field, of section: HeaderSection) {
        name = Array(field.name.utf8)
        var value: [UInt8] = []
        value.reserveCapacity(field.bodyRange.count)
        for index in field.bodyRange {
            let octet = section.octets[index]
            let next = index + 1 < field.bodyRange.upperBound ? section.octets[index + 1] : 0
            if octet == 0x0d, next == 0x0a { continue }
            value.append(octet)
        }
        if value.last == 0x0a { value.removeLast() }
        self.value = value
    }

    /// Without regard to case.
    func isNamed(_ other: [UInt8]) -> Bool {
        name.count == other.count && zip(name, other).allSatisfy { Self.lowercased($0) == Self.lowercased($1) }
    }

    static func lowercased(_ octet: UInt8) -> UInt8 { (0x41...0x5a).contains(octet) ? octet | 0x20 : octet }
}

/// All that a milter is told about a message, but for its body.
public struct MilterMessage: Hashable, Sendable {
    /// The confirmed name of the client, or its address literal.
    public var clientName: String
    public var client: MilterEndpoint
    /// The argument of HELO, EHLO or LHLO; `nil`: nothing was said.
    public var hello: String?
    /// `nil`: the null return path.
    public var sender: String?
    /// Parameters of MAIL: `BODY=8BITMIME`.
    public var senderParameters: [String] = []
    public var recipients: [String]
    /// In the order of the message.
    public var fields: [MilterField]
    /// Macros that are known from the connection on.
    public var connectionMacros: [MilterMacro] = []
    /// Macros that come with MAIL.
    public var mailMacros: [MilterMacro] = []
    /// `i`: also with every later command.
    public var queueID: String

    public init(
        clientName: String, client: MilterEndpoint, queueID: String, sender: String?, recipients: [String],
        fields: [MilterField] = []
    ) {
        self.clientName = clientName
        self.client = client
        self.queueID = queueID
        self.sender = sender
        self.recipients = recipients
        self.fields = fields
    }

    /// Why a milter cannot be given this header.
    public enum Obstacle: Hashable, Sendable, CustomStringConvertible {
        /// It does not fit into one packet.
        case fieldTooLarge(String)
        /// Texts of the protocol end at a NUL.
        case nul(String)

        public var description: String {
            switch self {
            case .fieldTooLarge(let name): "header field \(name) is larger than \(MilterMessage.maximumField) octets"
            case .nul(let name): "header field \(name) holds a NUL"
            }
        }
    }

    /// Octets of a field's name and value together.
    public static let maximumField = MilterCommand.maximumData - 2

    /// The first field that a milter cannot be given.
    public var obstacle: Obstacle? {
        for field in fields {
            let name = String(decoding: field.name.prefix(64), as: UTF8.self)
            if field.name.count + field.value.count > Self.maximumField { return .fieldTooLarge(name) }
            if field.value.contains(0) { return .nul(name) }
        }
        return nil
    }
}
