/// A path with `%u` (user), `%h` (home directory), `%D` (domain of the recipient), `%%`.
struct PathTemplate: Hashable, Sendable {
    let text: String

    /// Throws for an unknown letter or a relative path.
    init(_ text: String) throws(SettingsError) {
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            let behind = rest[rest.index(after: percent)...]
            guard let letter = behind.first, "uhD%".contains(letter) else {
                throw SettingsError("'\(text)': after % comes u (user), h (home), D (domain) or %")
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

    var usesHome: Bool { text.replacing("%%", with: "").contains("%h") }
    /// Whether every user gets a path of their own.
    var dependsOnUser: Bool { usesHome || text.replacing("%%", with: "").contains("%u") }

    func path(user: String, home: String, domain: String) -> String {
        var result = ""
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            result += rest[..<percent]
            let letter = rest.index(after: percent)
            switch rest[letter] {
            case "u": result += user
            case "h": result += home
            case "D": result += domain
            default: result += "%"
            }
            rest = rest[rest.index(after: letter)...]
        }
        return result + rest
    }
}

/// What is wrong with the command line or zmailer.conf.
struct SettingsError: Error, Hashable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
