/// The name under which somebody authenticates: 1 to ``maximumLength`` octets of UTF-8, none of whose characters SASLprep prohibits.
///
/// *Deviates:* what RFC 4013 §2.1 maps (other spaces than U+0020, invisible characters) is refused, and names are not normalized:
/// two names are the same if their octets are.
public struct UserName: Hashable, Sendable, CustomStringConvertible {
    /// Octets.
    public static let maximumLength = 256

    public let text: String

    /// `nil`: no name that anybody can have here.
    public init?(_ octets: some Collection<UInt8>) {
        guard (1...Self.maximumLength).contains(octets.count), let text = String(validating: octets, as: UTF8.self),
            text.unicodeScalars.allSatisfy({ SASLPreparation.isAllowed($0) && !SASLPreparation.isMapped($0) })
        else { return nil }
        self.text = text
    }

    /// The same of a text.
    public init?(_ text: String) { self.init(Array(text.utf8)) }

    public var octets: [UInt8] { Array(text.utf8) }
    public var description: String { text }

    // Strings are equal where Unicode says that they look alike; whoever verifies compares octets.
    public static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }
    public func hash(into hasher: inout Hasher) {
        for octet in text.utf8 { hasher.combine(octet) }
        hasher.combine(text.utf8.count)
    }
}
