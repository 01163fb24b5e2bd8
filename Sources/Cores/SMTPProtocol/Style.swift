/// How strictly commands are read: the letters of `-s` and of a HELO pattern line (smtpserver(8), `-s`).
public struct Style: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// `f`: ask the router about the sender.
    public static let checksSender = Style(rawValue: 1 << 0)
    /// `t`: ask the router about each recipient.
    public static let checksRecipient = Style(rawValue: 1 << 1)
    /// `v`: VRFY is answered by the router.
    public static let verifies = Style(rawValue: 1 << 2)
    /// `e`: EXPN is answered by the router.
    public static let expands = Style(rawValue: 1 << 3)
    /// `R`: each address needs a domain, `<postmaster>` as recipient excepted.
    public static let requiresDomain = Style(rawValue: 1 << 4)
    /// `S`: missing brackets, blanks inside them and tabs between parameters are accepted. Overrides `R`.
    public static let sloppyAddresses = Style(rawValue: 1 << 5)
    /// `F`: no router check of the sender.
    public static let skipsSenderCheck = Style(rawValue: 1 << 6)
    /// `T`: no router check of recipients.
    public static let skipsRecipientCheck = Style(rawValue: 1 << 7)
    /// `h`: the router's `hello` function is asked.
    public static let checksHello = Style(rawValue: 1 << 8)
    /// `D`: aborted spool files are kept.
    public static let keepsAborted = Style(rawValue: 1 << 9)
    /// `-s strict`: the letter of RFC 5321 everywhere.
    public static let strict = Style(rawValue: 1 << 10)
    /// `-s sloppy`: as `S`, and HELO is not required.
    public static let sloppy = Style(rawValue: 1 << 11)

    /// What `-s` means when it is not given.
    public static let `default`: Style = [.verifies, .expands]

    /// Reads `strict`, `sloppy` or letters out of `ftveRSFThD`; `-` stands for none. `nil` on any other letter.
    public init?(_ text: some StringProtocol) {
        switch String(text) {
        case "strict": self = [.strict, .requiresDomain]
        case "sloppy": self = [.sloppy, .sloppyAddresses]
        case "-": self = []
        default:
            var style: Style = []
            for letter in text {
                switch letter {
                case "f": style.insert(.checksSender)
                case "t": style.insert(.checksRecipient)
                case "v": style.insert(.verifies)
                case "e": style.insert(.expands)
                case "R": style.insert(.requiresDomain)
                case "S": style.insert(.sloppyAddresses)
                case "F": style.insert(.skipsSenderCheck)
                case "T": style.insert(.skipsRecipientCheck)
                case "h": style.insert(.checksHello)
                case "D": style.insert(.keepsAborted)
                default: return nil
                }
            }
            self = style
        }
    }

    var isStrict: Bool { contains(.strict) }
    var isSloppy: Bool { contains(.sloppyAddresses) || contains(.sloppy) }
    var needsDomain: Bool { (contains(.requiresDomain) || isStrict) && !isSloppy }
}
