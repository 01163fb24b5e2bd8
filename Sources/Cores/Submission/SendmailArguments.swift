/// The command line of sendmail(1), as thirty years of programs write it.
///
/// Options are letters, each with its value attached or in the next word, and stand in front of the recipients. What only sendmail's
/// own configuration could mean is passed over; what would change where mail goes, and cannot be done, is refused.
public struct SendmailArguments: Hashable, Sendable {
    public enum Mode: Hashable, Sendable {
        /// `-bm`: a message on standard input.
        case submit
        /// `-bs`: SMTP on standard input and output.
        case dialogue
        /// `-bp`
        case listQueue
        /// `-bi`
        case rebuildAliases
        /// `-bv`
        case verify
        /// `-q`
        case runQueue
    }

    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public var mode = Mode.submit
    /// `-t`: the header names recipients too.
    public var takesRecipientsOfHeader = false
    /// Not `-i`, `-oi`: a line with nothing but a dot ends the message.
    public var endsAtDot = true
    /// `-f`, `-r`: the reverse-path, empty for `<>`; `nil`: that of the account.
    public var sender: String?
    /// `-F`
    public var fullName: String?
    /// `-N`: the words of NOTIFY (RFC 3461 §4.1), in upper case.
    public var notify: [String]?
    /// `-R`: true for `full`, false for `hdrs` (RFC 3461 §4.3).
    public var returnsFull: Bool?
    /// `-V`, as it was given (RFC 3461 §4.4).
    public var envelopeID: String?
    /// `-B 8BITMIME`
    public var isEightBit = false
    /// `-v`
    public var isVerbose = false
    /// `-Z`: the instance's zmailer.conf.
    public var environmentFile: String?
    public var onlyPrintsHelp = false
    public var recipients: [String] = []

    public init() {}

    /// How an option takes its value.
    private enum Shape {
        case flag
        case value
        /// Attached or not at all.
        case attached
    }

    private static func shape(_ letter: Character) -> Shape? {
        switch letter {
        case "t", "i", "v", "n", "G", "U", "m", "s", "c", "E": .flag
        case "b", "f", "r", "F", "N", "R", "V", "B", "o", "O", "p", "C", "X", "Z", "A", "L", "h", "M", "D": .value
        case "q", "d", "e": .attached
        default: nil
        }
    }

    /// - Parameter arguments: without the program's name.
    public init(_ arguments: [String]) throws(Failure) {
        var rest = arguments[...]
        while let word = rest.first {
            if word == "--" {
                rest = rest.dropFirst()
                break
            }
            guard word.hasPrefix("-"), word != "-" else { break }
            rest = rest.dropFirst()
            if word == "--help" {
                onlyPrintsHelp = true
                return
            }
            var letters = word.dropFirst()
            while let letter = letters.first {
                letters = letters.dropFirst()
                guard let shape = Self.shape(letter) else {
                    throw Failure(
                        description: "unknown option '-\(letter)'; valid are -t -i -f -F -N -R -V -B -b -q -v -Z")
                }
                switch shape {
                case .flag:
                    try take(letter, "")
                case .attached:
                    try take(letter, String(letters))
                    letters = ""
                case .value where !letters.isEmpty:
                    try take(letter, String(letters))
                    letters = ""
                case .value:
                    guard let value = rest.popFirst() else {
                        throw Failure(description: "option '-\(letter)' needs a value")
                    }
                    try take(letter, value)
                }
            }
        }
        recipients = Array(rest)
    }

    private mutating func take(_ letter: Character, _ value: String) throws(Failure) {
        switch letter {
        case "t": takesRecipientsOfHeader = true
        case "i": endsAtDot = false
        case "v": isVerbose = true
        case "f", "r": sender = Self.withoutBrackets(value)
        case "F": fullName = value
        case "N": notify = try Self.notify(value)
        case "R":
            switch value.lowercased() {
            case "full": returnsFull = true
            case "hdrs": returnsFull = false
            default: throw Failure(description: "-R '\(value)': valid are full and hdrs")
            }
        case "V": envelopeID = value
        case "B":
            switch value.uppercased() {
            case "7BIT": isEightBit = false
            case "8BITMIME": isEightBit = true
            default: throw Failure(description: "-B '\(value)': valid are 7BIT and 8BITMIME")
            }
        case "b": try takeMode(value)
        case "q": mode = .runQueue
        case "o": takeSetting(value)
        case "O": takeLongSetting(value)
        case "Z": environmentFile = value
        case "C":
            throw Failure(description: "-C: there is no sendmail.cf here; -Z FILE names an instance's zmailer.conf")
        case "X": throw Failure(description: "-X: no log of the session is written to a file; -v shows it")
        case "M", "D":
            throw Failure(description: "-\(letter): not known here; valid are -t -i -f -F -N -R -V -B -b -q -v -Z")
        // -n, -G, -U, -m, -s, -c, -E, -A, -L, -h, -p, -d, -e: nothing here depends on them.
        default: break
        }
    }

    private mutating func takeMode(_ value: String) throws(Failure) {
        switch value {
        case "m": mode = .submit
        case "s": mode = .dialogue
        case "p": mode = .listQueue
        case "i": mode = .rebuildAliases
        case "v": mode = .verify
        case "d", "D":
            throw Failure(description: "-b\(value): the daemons are started by zmailer start")
        case "h", "H", "t", "a":
            throw Failure(description: "-b\(value): not known here; zmailer explain shows what becomes of an address")
        default: throw Failure(description: "-b '\(value)': valid are m, s, p, i and v")
        }
    }

    /// `-oi`; all others say how sendmail itself would work.
    private mutating func takeSetting(_ value: String) {
        if value == "i" { endsAtDot = false }
    }

    private mutating func takeLongSetting(_ value: String) {
        let parts = value.lowercased().split(separator: "=", maxSplits: 1)
        if parts.first == "ignoredots", parts.count < 2 || parts[1] == "true" { endsAtDot = false }
    }

    private static func notify(_ value: String) throws(Failure) -> [String] {
        let words = value.uppercased().split(separator: ",").map(String.init)
        let known: Set<String> = ["SUCCESS", "FAILURE", "DELAY"]
        let isValid = words == ["NEVER"] || (!words.isEmpty && words.allSatisfy(known.contains))
        guard isValid else {
            throw Failure(
                description: "-N '\(value)': valid are never, or success, failure and delay with commas between")
        }
        return words
    }

    private static func withoutBrackets(_ value: String) -> String {
        guard let open = value.firstIndex(of: "<"), let close = value.lastIndex(of: ">"), open < close else {
            return value
        }
        return String(value[value.index(after: open)..<close])
    }
}
