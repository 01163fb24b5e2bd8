import MailModel
import SpoolFormat

/// What agents write of an envelope into the copies that stay here: one line each, bounded, without control characters.
public enum EnvelopeText {
    /// `rfc822;xtext` as `rfc822; address` (RFC 3798 §2.3).
    public static func originalRecipient(_ original: String) -> String {
        guard let semicolon = original.utf8.firstIndex(of: UInt8(ascii: ";")) else {
            return ReportText.cleaned(original)
        }
        let encoded = original[original.utf8.index(after: semicolon)...]
        return ReportText.cleaned("\(original[..<semicolon]); \(decoded(encoded))")
    }

    /// ENVID, which is xtext (RFC 3461 §4.4).
    public static func envelopeID(_ id: String) -> String { ReportText.cleaned(decoded(id[...])) }

    /// The line that begins a message in mbox files, for programs and for UUCP, without its line end. `sender`: `nil` for `<>`;
    /// `time`: seconds since 1970.
    public static func separator(sender: String?, time: Int64) -> String {
        let address = ReportText.cleaned(sender ?? "").split(separator: " ").joined(separator: "_")
        return "From \(address.isEmpty ? "MAILER-DAEMON" : address) \(CalendarDate(unixTime: time).ctime)"
    }

    private static func decoded(_ xtext: Substring) -> String {
        XText.decode(xtext).map { Octets.text($0[...]) } ?? String(xtext)
    }
}
