import MailModel

/// What is wrong with a command line, and where.
public struct CommandSyntaxError: Error, Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// `octets` counts the whole line, line end included, the discarded part too.
        case lineTooLong(octets: Int)
        /// Bare LF as line end in strict mode.
        case missingCRLF
        case nulCharacter
        case eightBitCharacter
        case controlCharacter
        case unknownVerb
        /// No `FROM:` or `TO:`.
        case missingKeyword
        case missingArgument
        /// Something follows a verb that takes nothing.
        case unexpectedArgument
        /// Blanks where strict mode allows none, or not exactly one.
        case spacing
        case address(AddressSyntaxError.Kind)
        case unknownParameter(String)
        case duplicateParameter(String)
        /// The value, or its absence, is not what the named parameter allows.
        case parameterValue(String)
        /// BDAT without a number; `discard` counts the octets of a chunk whose size could be read nevertheless,
        /// `nil` if it could not and what follows cannot be told from commands.
        case chunkSize(discard: Int?)
    }

    public let kind: Kind
    /// `nil` if the line did not get that far.
    public let verb: Verb?
    /// Octets from the start of the line: the column a caret should point at.
    public let offset: Int

    public init(_ kind: Kind, verb: Verb? = nil, at offset: Int = 0) {
        self.kind = kind
        self.verb = verb
        self.offset = offset
    }
}
