import MailModel

/// The parts of a SCRAM message (RFC 5802 §7): attributes between commas.
enum SCRAMMessage {
    static let comma = UInt8(ascii: ",")

    /// The value of a field that must be the attribute `name`; an attribute has a value.
    static func value(_ field: ArraySlice<UInt8>?, of name: UInt8) -> ArraySlice<UInt8>? {
        guard let field, field.count >= 3, field[field.startIndex] == name,
            field[field.startIndex + 1] == UInt8(ascii: "=")
        else { return nil }
        return field.dropFirst(2)
    }

    /// `saslname`: `,` and `=` are written `=2C` and `=3D`, and no other `=` may be there (RFC 5802 §5.1).
    static func name(_ value: ArraySlice<UInt8>) throws(SASLFailure) -> UserName {
        var octets: [UInt8] = []
        var index = value.startIndex
        while index < value.endIndex {
            if value[index] == UInt8(ascii: "=") {
                let code = value[(index + 1)...].prefix(2)
                if Octets.equal(code, "2C") {
                    octets.append(comma)
                } else if Octets.equal(code, "3D") {
                    octets.append(UInt8(ascii: "="))
                } else {
                    throw .malformed(.userNameField)
                }
                index += 3
            } else {
                octets.append(value[index])
                index += 1
            }
        }
        guard let name = UserName(octets) else { throw .userNameRefused }
        return name
    }

    /// Extensions that nobody has defined are passed over (RFC 5802 §7); `m`, which may not be, and attributes in the wrong place
    /// are not.
    static func checkExtensions(_ fields: some Collection<ArraySlice<UInt8>>) throws(SASLFailure) {
        for field in fields {
            guard let name = field.first, (0x41...0x5a).contains(name) || (0x61...0x7a).contains(name),
                let value = value(field, of: name), String(validating: value, as: UTF8.self) != nil, !value.contains(0)
            else { throw .malformed(.extensionField) }
            if name == UInt8(ascii: "m") { throw .malformed(.mandatoryExtension) }
            guard !"anrcspiev".utf8.contains(name) else { throw .malformed(.extensionField) }
        }
    }

    /// `printable`: U+0021 to U+007E without comma.
    static func isNonce(_ value: ArraySlice<UInt8>) -> Bool {
        value.allSatisfy { (0x21...0x7e).contains($0) && $0 != comma }
    }
}
