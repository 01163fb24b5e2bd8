import MailModel

/// Texts of others, as logs and trace lines can hold them.
enum PeerText {
    /// Octets of any such text that is kept.
    static let maximumLength = 255

    /// Without blanks at both ends, printable US-ASCII, all else a `?`, cut at ``maximumLength`` octets.
    static func cleaned(_ octets: ArraySlice<UInt8>) -> String {
        // The cut may leave a blank at the end.
        let text = trimmed(trimmed(octets).prefix(maximumLength))
        return String(decoding: text.map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }

    /// UTF-8 of 1...``maximumLength`` octets without control characters, as it came; `nil` for anything else.
    static func exact(_ octets: ArraySlice<UInt8>) -> String? {
        guard (1...maximumLength).contains(octets.count), let text = String(validating: octets, as: UTF8.self),
            text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else { return nil }
        return text
    }

    static func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 }

    /// Without blanks at both ends.
    static func trimmed(_ octets: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var view = octets.drop(while: isBlank)
        while let last = view.last, isBlank(last) { view.removeLast() }
        return view
    }

    /// A TCP port: decimal digits without needless zeros.
    static func port(_ octets: ArraySlice<UInt8>) -> UInt16? {
        guard octets.count == 1 || octets.first != UInt8(ascii: "0"), let number = Octets.unsigned(octets) else {
            return nil
        }
        return UInt16(exactly: number)
    }
}
