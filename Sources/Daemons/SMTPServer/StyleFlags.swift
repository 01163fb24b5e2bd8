import Configuration
import SMTPProtocol

/// Style letters as configuration and command line give them.
enum StyleFlags {
    static func problem(_ text: String) -> String? { HelloPattern.styleProblem(text) }

    /// A text that was checked before; a wrong one has no flags.
    static func style(_ text: String) -> Style { Style(text) ?? [] }
}
