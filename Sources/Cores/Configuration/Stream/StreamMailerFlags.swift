/// The flags of a mailer (transport-agents.md §4): a letter each, `BB` one of its own.
public struct StreamMailerFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    private init(bit: UInt32) { rawValue = 1 << bit }

    /// `7`: the eighth bit of the body is stripped.
    public static let stripsEighthBit = StreamMailerFlags(bit: 0)
    /// `8`: the program takes 8-bit content.
    public static let takesEightBit = StreamMailerFlags(bit: 1)
    /// `9`: it does, and quoted-printable text is decoded for it.
    public static let decodesQuotedPrintable = StreamMailerFlags(bit: 2)
    /// `b`: SMTP commands around the message (BSMTP), lines beginning with a dot stuffed.
    public static let batch = StreamMailerFlags(bit: 3)
    /// `B`: the same with SIZE, BODY and SMTPUTF8 (RFC 1870, 6152, 6531).
    public static let extendedBatch = StreamMailerFlags(bit: 4)
    /// `BB`: the same with ENVID, RET, NOTIFY and ORCPT (RFC 3461).
    public static let notaryBatch = StreamMailerFlags(bit: 5)
    /// `e`: Envelope-Id, X-Envelope-To and Original-Recipient are added to the header.
    public static let addsEnvelopeFields = StreamMailerFlags(bit: 6)
    /// `E`: lines of the body that begin with `From ` get a `>`.
    public static let quotesSeparators = StreamMailerFlags(bit: 7)
    /// `f`: arguments `-f sender` in front of the others.
    public static let namesSenderByF = StreamMailerFlags(bit: 8)
    /// `H`: HELO or EHLO in front of the SMTP commands, QUIT behind them.
    public static let greets = StreamMailerFlags(bit: 9)
    /// `m`: many recipients in one run.
    public static let takesManyRecipients = StreamMailerFlags(bit: 10)
    /// `n`: no `From ` line.
    public static let omitsSeparator = StreamMailerFlags(bit: 11)
    /// `O`: Original-Recipient is added to the header.
    public static let addsOriginalRecipient = StreamMailerFlags(bit: 12)
    /// `P`: Return-Path is added to the header.
    public static let addsReturnPath = StreamMailerFlags(bit: 13)
    /// `r`: arguments `-r sender` in front of the others.
    public static let namesSenderByR = StreamMailerFlags(bit: 14)
    /// `R`: lines end in CRLF.
    public static let endsLinesInCRLF = StreamMailerFlags(bit: 15)
    /// `S`: the program keeps the identity of the agent; without it an agent that is root becomes the owner of the spool.
    public static let keepsIdentity = StreamMailerFlags(bit: 16)
    /// `s`: quotes around a local part are taken off in arguments.
    public static let stripsQuotes = StreamMailerFlags(bit: 17)
    /// `U`: the `From ` line ends in `remote from <host>`.
    public static let addsRemoteFrom = StreamMailerFlags(bit: 18)
    /// `X`: lines beginning with a dot are stuffed, without SMTP commands.
    public static let stuffsDots = StreamMailerFlags(bit: 19)

    /// The message goes to another mail system, which tells the sender of its own results or not at all: nothing here is
    /// a delivery (RFC 3461 §5.2).
    public var isRelay: Bool { !isDisjoint(with: [.batch, .addsRemoteFrom]) }

    private static let letters: [UInt8: StreamMailerFlags] = [
        UInt8(ascii: "7"): .stripsEighthBit, UInt8(ascii: "8"): .takesEightBit,
        UInt8(ascii: "9"): [.takesEightBit, .decodesQuotedPrintable], UInt8(ascii: "b"): .batch,
        UInt8(ascii: "B"): [.batch, .extendedBatch], UInt8(ascii: "e"): .addsEnvelopeFields,
        UInt8(ascii: "E"): .quotesSeparators, UInt8(ascii: "f"): .namesSenderByF, UInt8(ascii: "H"): .greets,
        UInt8(ascii: "m"): .takesManyRecipients, UInt8(ascii: "n"): .omitsSeparator,
        UInt8(ascii: "O"): .addsOriginalRecipient, UInt8(ascii: "P"): .addsReturnPath,
        UInt8(ascii: "r"): .namesSenderByR, UInt8(ascii: "R"): .endsLinesInCRLF, UInt8(ascii: "S"): .keepsIdentity,
        UInt8(ascii: "s"): .stripsQuotes, UInt8(ascii: "U"): .addsRemoteFrom, UInt8(ascii: "X"): .stuffsDots,
    ]

    /// Those of sendmail's that mean nothing here: what they ask for is always so, or belongs to the router.
    private static let ignored = Set("aAcCdDFgGhiIjJkKlLMNopqQtTuvVwWxyYzZ0123456/:|%*@<>=-".utf8)

    static let valid = "7 8 9 b B BB e E f H m n O P r R S s U X, and - for none"

    /// What is wrong with the word of flags, and what would be valid.
    struct Problem: Error, Hashable {
        let reason: String
    }

    /// A word of letters, or `-`.
    init(_ word: some StringProtocol) throws(Problem) {
        var flags: StreamMailerFlags = []
        for letter in word.utf8 {
            if let flag = Self.letters[letter] {
                if letter == UInt8(ascii: "B"), flags.contains(.extendedBatch) { flags.insert(.notaryBatch) }
                flags.formUnion(flag)
            } else if !Self.ignored.contains(letter) {
                let text = (0x21...0x7e).contains(letter) ? "'\(Unicode.Scalar(letter))'" : "octet \(letter)"
                throw Problem(reason: "\(text) is no flag; valid are \(Self.valid)")
            }
        }
        self = flags
        if contains(.stripsEighthBit), contains(.takesEightBit) {
            throw Problem(reason: "7 and 8 (or 9) exclude each other")
        }
        if contains(.namesSenderByF), contains(.namesSenderByR) {
            throw Problem(reason: "f and r exclude each other")
        }
        if contains(.greets), !contains(.batch) {
            throw Problem(reason: "H needs b or B: there is no SMTP to greet in")
        }
        if contains(.batch), contains(.addsRemoteFrom) {
            throw Problem(reason: "U and b (or B) exclude each other: SMTP has no 'From ' line")
        }
    }
}
