import MailModel

/// An MX record (RFC 1035 §3.3.9).
public struct MXRecord: Hashable, Sendable {
    /// Lower is better; 0...65535.
    public let preference: Int
    /// Presentation form without the final dot; `.` for the root, the null MX of RFC 7505 §3.
    public let exchange: String

    public init(preference: Int, exchange: String) {
        self.preference = preference
        self.exchange = exchange
    }

    init?(recordData: [UInt8]) {
        guard recordData.count >= 3, let exchange = RecordData.name(recordData[2...]) else { return nil }
        self.init(preference: Int(recordData[0]) << 8 | Int(recordData[1]), exchange: exchange)
    }
}

/// Readers of record data in wire form. Hostile input: every length is checked, `nil` means unreadable.
enum RecordData {
    static func address4(_ data: [UInt8]) -> IPAddress? { data.count == 4 ? IPAddress(octets: data) : nil }
    static func address6(_ data: [UInt8]) -> IPAddress? { data.count == 16 ? IPAddress(octets: data) : nil }

    static func name(_ data: [UInt8]) -> String? { name(data[...]) }

    /// A name that fills `data` (RFC 1035 §3.1): labels of 1...63 octets, 255 in all, no compression pointers. Octets outside
    /// `!`...`~`, dots and backslashes inside labels are escaped as in master files (RFC 1035 §5.1).
    static func name(_ data: ArraySlice<UInt8>) -> String? {
        guard data.count <= 255 else { return nil }
        var text: [UInt8] = []
        var index = data.startIndex
        while index < data.endIndex {
            let length = Int(data[index])
            index += 1
            if length == 0 {
                guard index == data.endIndex else { return nil }
                return text.isEmpty ? "." : String(decoding: text, as: UTF8.self)
            }
            guard length <= 63, data.endIndex - index >= length else { return nil }
            if !text.isEmpty { text.append(UInt8(ascii: ".")) }
            for octet in data[index..<(index + length)] { append(octet, to: &text) }
            index += length
        }
        return nil
    }

    private static func append(_ octet: UInt8, to text: inout [UInt8]) {
        switch octet {
        case UInt8(ascii: "."), UInt8(ascii: "\\"):
            text += [UInt8(ascii: "\\"), octet]
        case 0x21...0x7e:
            text.append(octet)
        default:
            text += [UInt8(ascii: "\\"), 48 + octet / 100, 48 + octet / 10 % 10, 48 + octet % 10]
        }
    }

    /// The character-strings of a TXT record, joined (RFC 1035 §3.3.14).
    static func text(_ data: [UInt8]) -> [UInt8]? {
        guard !data.isEmpty else { return nil }
        var text: [UInt8] = []
        var index = 0
        while index < data.count {
            let length = Int(data[index])
            index += 1
            guard data.count - index >= length else { return nil }
            text += data[index..<(index + length)]
            index += length
        }
        return text
    }
}

extension IPAddress {
    /// The name that PTR lookups ask for: `1.2.0.192.in-addr.arpa` (RFC 1035 §3.5), nibbles under `ip6.arpa` (RFC 3596 §2.5).
    public var reverseName: String {
        switch self {
        case .v4:
            return octets.reversed().map(String.init).joined(separator: ".") + ".in-addr.arpa"
        case .v6:
            let nibbles = octets.reversed().flatMap { [$0 & 15, $0 >> 4] }
            return nibbles.map { String($0, radix: 16) }.joined(separator: ".") + ".ip6.arpa"
        }
    }
}
