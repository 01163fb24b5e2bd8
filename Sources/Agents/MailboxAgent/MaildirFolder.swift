import Glibc

/// The folder of a Maildir++ that a detail names: `user+lists.swift` goes to `.lists.swift` if it is there. A stranger makes no folder
/// and reaches nothing but folders.
enum MaildirFolder {
    /// Octets.
    private static let maximumName = 200
    /// Names of a Maildir that are looked through for one in other letters.
    private static let maximumEntries = 10_000

    /// `maildir` itself where there is no such folder.
    static func path(in maildir: String, detail: String?, _ passage: Passage = Passage()) -> String {
        guard let detail, isName(detail) else { return maildir }
        let wanted = ".\(detail)"
        if isFolder("\(maildir)/\(wanted)") { return "\(maildir)/\(wanted)" }
        guard let stream = opendir(maildir) else { return maildir }
        defer { closedir(stream) }
        var left = maximumEntries
        while left > 0, let entry = readdir(stream) {
            left -= 1
            passage.advance()
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            // Addresses are often written in small letters.
            if name.utf8.count == wanted.utf8.count, strcasecmp(name, wanted) == 0, isFolder("\(maildir)/\(name)") {
                return "\(maildir)/\(name)"
            }
        }
        return maildir
    }

    /// Words between single dots, of printable ASCII without what IMAP's folder names give a meaning to.
    static func isName(_ detail: String) -> Bool {
        !detail.isEmpty && detail.utf8.count <= maximumName
            && detail.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"/\\&*%\"".utf8.contains($0) }
            && !detail.split(separator: ".", omittingEmptySubsequences: false).contains("")
    }

    /// A directory that no link leads to, with a place for new mail.
    private static func isFolder(_ path: String) -> Bool {
        ["", "/new"].allSatisfy { name in
            var information = stat()
            return lstat("\(path)\(name)", &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
        }
    }
}
