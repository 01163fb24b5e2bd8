import Configuration
import MailModel
import SMTPProtocol

/// What the patterns of `smtpserver.conf` say about a HELO argument, before the policy is asked (smtpserver.md §4).
public enum HelloRule: Hashable, Sendable {
    /// To be asked; `style` is the pattern's, `nil` where none matches.
    case ask(style: Style?)
    case refuse(Reply, reason: String)

    /// - Parameter isLoadAbove: whether the load average is above a number.
    public init(
        _ argument: String, client literal: String, _ configuration: SMTPServerConfiguration,
        isLoadAbove: (Int) -> Bool
    ) {
        guard let pattern = configuration.pattern(for: argument) else {
            self = .ask(style: nil)
            return
        }
        if let load = pattern.maximumLoad, isLoadAbove(load) {
            let text = "The system is too busy now, try later"
            self = .refuse(Reply(450, EnhancedStatusCode(4, 3, 2), text), reason: "load above \(load)")
            return
        }
        switch pattern.effect {
        case .refuse(let text):
            let words = text.isEmpty ? "access denied." : text
            self = .refuse(
                Reply(501, EnhancedStatusCode(5, 7, 1), "Sorry \(literal), \(words)"),
                reason: "HELO pattern \(pattern.pattern)")
        case .style(let flags):
            // -s on the command line holds for clients that no pattern matches. The text was checked when it was read.
            self = .ask(style: Style(flags) ?? [])
        }
    }
}
