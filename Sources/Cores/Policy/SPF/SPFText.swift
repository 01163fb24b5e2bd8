/// Words of strangers in texts of ours.
enum SPFText {
    /// Printable US-ASCII: everything else becomes `?`; what is longer than `limit` octets ends in `...`.
    static func plain(_ octets: some Sequence<UInt8>, limit: Int = 255) -> String {
        var out: [UInt8] = []
        for octet in octets {
            guard out.count < limit else {
                out += Array("...".utf8)
                break
            }
            out.append((0x20...0x7e).contains(octet) ? octet : UInt8(ascii: "?"))
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func plain(_ text: String, limit: Int = 255) -> String { plain(text.utf8, limit: limit) }

    static func isLetter(_ octet: UInt8) -> Bool { (0x61...0x7a).contains(octet | 0x20) }

    static func isDigit(_ octet: UInt8) -> Bool { (0x30...0x39).contains(octet) }

    static func isLetterOrDigit(_ octet: UInt8) -> Bool { isLetter(octet) || isDigit(octet) }

    static func lowercased(_ octet: UInt8) -> UInt8 { (65...90).contains(octet) ? octet | 0x20 : octet }
}
