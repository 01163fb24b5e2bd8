import MailModel

/// What the server stores of a SCRAM password (RFC 5802 §3, RFC 7677): it proves who knows the password, and does not reveal it.
public struct SCRAMVerifier: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    public static let scheme = "{SCRAM-SHA-256}"

    public let parameters: SCRAMParameters
    /// 32 octets.
    public let storedKey: [UInt8]
    /// 32 octets: with it one could play the server.
    public let serverKey: [UInt8]

    public init?(_ parameters: SCRAMParameters, storedKey: [UInt8], serverKey: [UInt8]) {
        guard storedKey.count == CredentialLine.digestLength, serverKey.count == CredentialLine.digestLength else {
            return nil
        }
        self.parameters = parameters
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    /// `iterations:salt:storedKey:serverKey`, the last three in base64; without the scheme.
    init?(_ text: ArraySlice<UInt8>) {
        let fields = Octets.split(text, at: UInt8(ascii: ":"))
        guard fields.count == 4, let iterations = Octets.decimal(fields[0]), let salt = Base64.decode(fields[1]),
            let storedKey = Base64.decode(fields[2]), let serverKey = Base64.decode(fields[3]),
            let parameters = SCRAMParameters(salt: salt, iterations: iterations)
        else { return nil }
        self.init(parameters, storedKey: storedKey, serverKey: serverKey)
    }

    /// As a table holds it.
    public var text: String {
        "\(Self.scheme)\(parameters.iterations):\(Base64.encode(parameters.salt)):"
            + "\(Base64.encode(storedKey)):\(Base64.encode(serverKey))"
    }

    public var description: String { "\(Self.scheme)\(parameters.iterations)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
