/// sm.conf (transport-agents.md §4): the programs that mail is given to.
public struct StreamConfiguration: Hashable, Sendable {
    /// In the order of the file.
    public let mailers: [StreamMailer]

    public func mailer(_ name: String) -> StreamMailer? { mailers.first { $0.name == name } }
}

/// One line of sm.conf.
public struct StreamMailer: Hashable, Sendable {
    /// What `sm` is told to use, and by default the channel.
    public let name: String
    /// 1-based.
    public let line: Int
    public let flags: StreamMailerFlags
    /// Absolute. `/dev/null`: the mail is thrown away, and no program is run.
    public let program: String
    /// Without the program's own name, which is the first word of them in the file.
    public let arguments: [StreamArgument]

    public init(
        name: String, line: Int = 0, flags: StreamMailerFlags = [], program: String, arguments: [StreamArgument] = []
    ) {
        self.name = name
        self.line = line
        self.flags = flags
        self.program = program
        self.arguments = arguments
    }

    /// The same with flags 8 and 9.
    public var takingEightBit: StreamMailer {
        StreamMailer(
            name: name, line: line, flags: flags.union([.takesEightBit, .decodesQuotedPrintable]), program: program,
            arguments: arguments)
    }

    /// The program that stands for none.
    public static let nowhere = "/dev/null"
}

/// One word of a mailer's arguments. It stays one word, whatever an address holds: no shell sees it.
public struct StreamArgument: Hashable, Sendable {
    public enum Part: Hashable, Sendable {
        case text(String)
        /// `$g`.
        case sender
        /// `$h`.
        case host
        /// `$u`; the word is repeated for each recipient of the run.
        case recipient
        /// `$U`: the same in lower case.
        case lowercasedRecipient
    }

    public let parts: [Part]

    public init(_ parts: [Part]) { self.parts = parts }

    /// The word is given once for each recipient.
    public var namesRecipient: Bool { parts.contains { $0 == .recipient || $0 == .lowercasedRecipient } }
}
