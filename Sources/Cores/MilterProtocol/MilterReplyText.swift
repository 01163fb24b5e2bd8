import MailModel

/// The text of `SMFIR_REPLYCODE`: an SMTP reply, lines separated by CRLF, as `smfi_setreply` and `smfi_setmlreply` make it.
enum MilterReplyText {
    /// Octets of one line's text (RFC 5321 §4.5.3.1.5 allows 512 with code and line end).
    static let maximumLine = 480
    /// A content filter's answer has no more.
    static let maximumLines = 17

    /// `nil` unless it is a reply of class 4 or 5 with the same code in each line.
    static func parse(_ text: ArraySlice<UInt8>) -> Reply? {
        var code: Int?
        var status: EnhancedStatusCode?
        var lines: [String] = []
        for raw in Octets.split(text, at: 0x0a) {
            var line = raw
            while line.last == 0x0d { line.removeLast() }
            if line.isEmpty, code != nil { continue }
            guard line.count >= 3, let number = Octets.decimal(line.prefix(3)), (400...599).contains(number),
                code == nil || code == number
            else { return nil }
            line = line.dropFirst(3)
            if let separator = line.first {
                guard separator == 0x20 || separator == UInt8(ascii: "-") else { return nil }
                line = line.dropFirst()
            }
            let word = line.prefix { $0 != 0x20 }
            if let found = EnhancedStatusCode(octets: word), found.class == number / 100 {
                status = status ?? found
                line = line.dropFirst(word.count).drop { $0 == 0x20 }
            }
            code = number
            if lines.count < maximumLines { lines.append(printable(line.prefix(maximumLine))) }
        }
        return code.map { Reply($0, status, lines) }
    }

    /// Replies are ASCII (RFC 5321 §4.2).
    private static func printable(_ line: ArraySlice<UInt8>) -> String {
        Octets.text(line.map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }[...])
    }
}
