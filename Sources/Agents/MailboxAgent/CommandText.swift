/// How a `|command` of a table is started (transport-agents.md §3). The text comes from the table's owner; nothing of a message
/// becomes part of it.
struct CommandText: Hashable {
    let path: String
    let arguments: [String]

    /// Executed directly when it begins with `/` and holds nothing that only a shell understands, else by `/bin/sh -c`.
    init(_ text: String) {
        if text.hasPrefix("/"), text.utf8.allSatisfy({ !Self.shellOctets.contains($0) }) {
            let words = text.split { $0 == " " || $0 == "\t" }.map(String.init)
            path = words[0]
            arguments = Array(words.dropFirst())
        } else {
            path = "/bin/sh"
            arguments = ["-c", text]
        }
    }

    private static let shellOctets = Set("$<>|;&`\\\"'*?()[]{}~#!\n".utf8)
}
