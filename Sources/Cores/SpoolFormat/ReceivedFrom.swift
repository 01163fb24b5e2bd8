import MailModel

/// What `rcvdfrom` of an envelope tells about the client (docs/spool.md §2), as smtpserver writes it:
/// `mx.example ([192.0.2.1]:4711 "EHLO mx.example" rhost-flags-OK-OK-OK-OK)`.
public struct ReceivedFrom: Hashable, Sendable {
    /// The confirmed name of the client, else its address literal; `stdin` for a local program.
    public var name: String
    /// `nil`: no network client.
    public var address: IPAddress?
    /// 0: not known.
    public var port: UInt16 = 0
    /// The argument of HELO, EHLO or LHLO, which may be anything but control characters.
    public var hello: String?

    public init(name: String, address: IPAddress?, port: UInt16 = 0, hello: String? = nil) {
        self.name = name
        self.address = address
        self.port = port
        self.hello = hello
    }

    /// `nil` unless the text has that form to its end: what decides about trust is not guessed. Words that are not known are
    /// passed over.
    public init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        func take(_ octet: UInt8) -> Bool {
            guard rest.first == octet else { return false }
            rest.removeFirst()
            return true
        }
        let isBlank = { (octet: UInt8) in octet == 0x20 }
        let name = rest.prefix { $0 > 0x20 && $0 != 0x28 && $0 != 0x7f }
        rest = rest.dropFirst(name.count)
        guard !name.isEmpty, name.count <= 512, take(0x20), take(0x28) else { return nil }
        self.name = Octets.text(name)
        if rest.first == UInt8(ascii: "[") {
            let literal = rest.prefix { $0 != UInt8(ascii: "]") }
            rest = rest.dropFirst(literal.count)
            guard take(UInt8(ascii: "]")), let address = AddressLiteral.address(in: Octets.text(literal) + "]") else {
                return nil
            }
            self.address = address
            if take(UInt8(ascii: ":")) {
                let digits = rest.prefix { (0x30...0x39).contains($0) }
                rest = rest.dropFirst(digits.count)
                guard let port = Octets.unsigned(digits).flatMap({ UInt16(exactly: $0) }) else { return nil }
                self.port = port
            }
        } else {
            let place = rest.prefix { $0 > 0x20 && $0 != 0x28 && $0 != 0x29 && $0 != 0x22 }
            rest = rest.dropFirst(place.count)
            guard !place.isEmpty else { return nil }
        }
        var isLabelled = false
        while take(0x20) {
            rest = rest.drop(while: isBlank)
            if take(0x22) {
                guard let quoted = Self.unquoted(&rest) else { return nil }
                if !isLabelled, hello == nil { hello = Self.helloArgument(quoted) }
                isLabelled = false
            } else {
                let word = rest.prefix { $0 > 0x20 && $0 != 0x22 && $0 != 0x28 && $0 != 0x29 && $0 != 0x7f }
                guard !word.isEmpty else { return nil }
                rest = rest.dropFirst(word.count)
                isLabelled = word.last == UInt8(ascii: ":")
            }
        }
        guard take(0x29), rest.isEmpty else { return nil }
    }

    /// Up to the closing quote; `\ooo` and `\c` are the octets they stand for.
    private static func unquoted(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        var octets: [UInt8] = []
        while let octet = rest.popFirst() {
            switch octet {
            case 0x22: return octets
            case 0x5c:
                let digits = rest.prefix(3)
                if digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) {
                    guard let value = UInt8(Octets.text(digits), radix: 8) else { return nil }
                    octets.append(value)
                    rest = rest.dropFirst(3)
                } else {
                    guard let escaped = rest.popFirst(), !(0x30...0x39).contains(escaped) else { return nil }
                    octets.append(escaped)
                }
            // A parenthesis that stands for itself would end the comment.
            case 0x28, 0x29: return nil
            default: octets.append(octet)
            }
        }
        return nil
    }

    private static func helloArgument(_ quoted: [UInt8]) -> String? {
        for verb: StaticString in ["EHLO", "HELO", "LHLO"] where Octets.hasPrefix(quoted[...], verb, anyCase: true) {
            let argument = quoted.dropFirst(4)
            guard argument.isEmpty || argument.first == 0x20 else { return nil }
            return Octets.cleaned(Octets.text(argument.dropFirst()))
        }
        return nil
    }
}
