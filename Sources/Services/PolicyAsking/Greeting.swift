import Configuration
import ProgramKit

/// Lines of the greeting, with the meta tags of `PARAM hdr220` (smtpserver.md §3.3).
public enum Greeting {
    public static let usual = "%H ZMailer Server %V ESMTP%I ready at %T"

    /// - Parameters:
    ///   - peer: the client's address literal.
    ///   - localPort: 0 where there is none.
    ///   - date: RFC 5322 §3.3.
    ///   - asksIdent: `-a`
    public static func lines(
        _ configuration: SMTPServerConfiguration, hostName: String, peer: String, localPort: Int, date: String,
        asksIdent: Bool = false
    ) -> [String] {
        let templates = configuration.greeting.isEmpty ? [usual] : configuration.greeting
        return templates.map { template in
            var text = ""
            var rest = Substring(template)
            while let percent = rest.firstIndex(of: "%") {
                text += rest[..<percent]
                let tag = rest[rest.index(after: percent)...]
                switch tag.first {
                case "%": text += "%"
                case "H": text += hostName
                case "V": text += Program.version
                case "T": text += date
                case "i": text += peer
                case "p": text += String(localPort)
                case "I": text += asksIdent ? "+IDENT" : ""
                default: break  // Unknown tags vanish, as %X does without translation.
                }
                rest = tag.dropFirst()
            }
            return text + rest
        }
    }
}
