/// A path made of what is known of a recipient: `%u` user, `%h` home directory, `%a` address, `%U` the user's full name, `%d` and
/// `%D` first element and whole of the domain, `%x` and `%X` the next letter of a hash of the user, `%%` (transport-agents.md §3).
struct PathTemplate: Hashable, Sendable {
    let text: String
    /// Directories in front of the last component (`-D`, `-P`, `-X`).
    var hashing = DirectoryHashing()

    /// What a path is made of.
    struct Values {
        var user: String
        var home: String = ""
        var domain: String = ""
        /// `user+detail@domain`.
        var address: String = ""
        /// Empty: the user's name stands for it.
        var fullName: String = ""
    }

    /// Throws for an unknown letter or a relative path.
    init(_ text: String) throws(SettingsError) {
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            let behind = rest[rest.index(after: percent)...]
            guard let letter = behind.first, "uhaUdDxX%".contains(letter) else {
                throw SettingsError(
                    "'\(text)': after % comes u (user), h (home), a (address), U (full name), d or D (domain), x or X (hash "
                        + "letters) or %")
            }
            rest = behind.dropFirst()
        }
        guard text.hasPrefix("/") || text.hasPrefix("%h") else {
            throw SettingsError("'\(text)': the path must be absolute or begin with %h")
        }
        self.text = text
    }

    private init(checked text: String) { self.text = text }
    /// Stands in while other mistakes are looked for.
    static let anywhere = PathTemplate(checked: "/%u")

    var usesHome: Bool { letters.contains("h") }
    /// Whether every user gets a path of their own.
    var dependsOnUser: Bool { !letters.isDisjoint(with: "uha") }
    /// Whether what a sender has written becomes part of the path.
    var usesAddress: Bool { letters.contains("a") }

    private var letters: Set<Character> {
        var letters: Set<Character> = []
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            let letter = rest.index(after: percent)
            letters.insert(rest[letter])
            rest = rest[rest.index(after: letter)...]
        }
        return letters
    }

    func path(_ values: Values) -> String {
        var result = ""
        var rest = text[...]
        var pjw = NameHash.pjw(values.user)
        var crc = NameHash.crc(values.user)
        while let percent = rest.firstIndex(of: "%") {
            result += rest[..<percent]
            let letter = rest.index(after: percent)
            switch rest[letter] {
            case "u": result += values.user
            case "h": result += values.home
            case "a": result += Self.component(values.address)
            case "U": result += Self.component(values.fullName.isEmpty ? values.user : values.fullName)
            case "d": result += values.domain.prefix { $0 != "." }
            case "D": result += values.domain
            case "x": result += NameHash.nextLetter(&pjw)
            case "X": result += NameHash.nextLetter(&crc)
            default: result += "%"
            }
            rest = rest[rest.index(after: letter)...]
        }
        return hashing.path(result + rest)
    }

    /// What others have chosen names one file and nothing above it.
    private static func component(_ text: String) -> String {
        let name = text.replacing("/", with: "_")
        return name.hasPrefix(".") ? "_\(name.dropFirst())" : name
    }
}

/// What is wrong with the command line or zmailer.conf.
struct SettingsError: Error, Hashable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
