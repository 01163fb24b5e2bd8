/// The command line of vacation(1), as Debian's and FreeBSD's have it.
public struct VacationArguments: Hashable, Sendable {
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// `-i`, `-I`: an empty database.
    public var initializes = false
    /// `-l`: who has been told is listed.
    public var lists = false
    /// `-x`: addresses that are never told come on standard input, a line each.
    public var excludes = false
    /// `-a`
    public var aliases: [String] = []
    /// `-r`, `-t`: seconds until the same sender is told again; 0: each time; `nil`: as the database has it, else a week.
    public var interval: Int64?
    /// `-j`: To and Cc are not looked at.
    public var answersUnaddressed = false
    /// `-s`: the sender, instead of the `From ` line's.
    public var sender: String?
    /// `-f`
    public var databaseFile: String?
    /// `-m`
    public var messageFile: String?
    /// `-d`, `-v`: why somebody is told or not, on standard output.
    public var isVerbose = false
    /// `-Z`
    public var environmentFile: String?
    public var onlyPrintsHelp = false
    /// The login that is away.
    public var user: String?

    public static let standardInterval: Int64 = 7 * 86_400
    /// `-r infinite`: a sender is told once.
    public static let forever: Int64 = 100 * 366 * 86_400
    public static let maximumAliases = 1000

    private static let valid = "valid are -i -a -r -t -j -s -f -m -l -x -d -v -Z"

    public init() {}

    /// - Parameter arguments: without the program's name.
    public init(_ arguments: [String]) throws(Failure) {
        var rest = arguments[...]
        while let word = rest.first, word.hasPrefix("-"), word != "-" {
            rest = rest.dropFirst()
            if word == "--" { break }
            if word == "--help" {
                onlyPrintsHelp = true
                return
            }
            var letters = word.dropFirst()
            while let letter = letters.first {
                letters = letters.dropFirst()
                if takeFlag(letter) { continue }
                guard ["a", "r", "t", "s", "f", "m", "Z", "C", "R"].contains(letter) else {
                    throw Failure(description: "unknown option '-\(letter)'; \(Self.valid)")
                }
                guard let value = letters.isEmpty ? rest.popFirst() : String(letters) else {
                    throw Failure(description: "option '-\(letter)' needs a value")
                }
                letters = ""
                try take(letter, value)
            }
        }
        guard rest.count <= 1 else {
            throw Failure(description: "one login is told of at a time; remove '\(rest.last ?? "")'")
        }
        user = rest.first
        if user?.isEmpty == true { throw Failure(description: "the login is empty") }
    }

    private mutating func takeFlag(_ letter: Character) -> Bool {
        switch letter {
        case "i", "I": initializes = true
        case "l": lists = true
        case "x": excludes = true
        case "j": answersUnaddressed = true
        case "d", "v": isVerbose = true
        // -z: the reply's sender is <>, which it is in any case; -n, -U: of other systems.
        case "z", "n", "U": break
        default: return false
        }
        return true
    }

    private mutating func take(_ letter: Character, _ value: String) throws(Failure) {
        switch letter {
        case "a":
            guard aliases.count < Self.maximumAliases else {
                throw Failure(description: "more than \(Self.maximumAliases) aliases")
            }
            aliases.append(value)
        case "r": interval = try Self.days(value)
        case "t": interval = try Self.time(value)
        case "s": sender = value
        case "f": databaseFile = value
        case "m": messageFile = value
        case "Z": environmentFile = value
        case "R":
            throw Failure(
                description:
                    "-R: a reply has the sender <>, so that nothing comes back (RFC 3834); write From: into the message"
            )
        default: throw Failure(description: "-\(letter): not known here; \(Self.valid)")
        }
    }

    private static func days(_ value: String) throws(Failure) -> Int64 {
        if value.lowercased() == "infinite" { return forever }
        guard let days = Int64(value), (0...36_600).contains(days) else {
            throw Failure(description: "-r '\(value)': valid is a number of days, 0 to 36600, or infinite")
        }
        return days * 86_400
    }

    private static func time(_ value: String) throws(Failure) -> Int64 {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
        let unit = value.last.flatMap { units[$0] }
        guard let number = Int64(unit == nil ? value : String(value.dropLast())), number >= 0,
            number <= forever / (unit ?? 86_400)
        else {
            throw Failure(
                description: "-t '\(value)': valid is a number of days, or one with s, m, h, d or w behind it")
        }
        return number * (unit ?? 86_400)
    }
}
