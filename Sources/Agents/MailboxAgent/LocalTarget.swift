import MailModel
import SpoolFormat

/// What a recipient of channel `local` names. The router alone makes files and programs, from tables whose owner it has checked,
/// and marks them by their host; an address that a stranger sent is never one, whatever it looks like.
enum LocalTarget: Hashable {
    /// Without its `|`.
    case program(String)
    case file(String)
    case user(String, detail: String?, domain: String)

    init(_ quad: Quad) {
        let user = quad.user
        if quad.host == "pipe" || quad.host.hasPrefix("pipe."), user.hasPrefix("|") {
            self = .program(String(user.dropFirst().drop { $0 == " " || $0 == "\t" }))
        } else if quad.host == "file" || quad.host.hasPrefix("file."), user.hasPrefix("/") {
            self = .file(user)
        } else {
            self = Self.parse(user)
        }
    }

    /// `user`, `\user`, `user+detail`, `"quoted user"@domain`.
    private static func parse(_ text: String) -> LocalTarget {
        var rest = text[...]
        if rest.first == "\\" { rest = rest.dropFirst() }
        var local = ""
        if rest.first == "\"" {
            rest = rest.dropFirst()
            while let character = rest.popFirst(), character != "\"" {
                if character == "\\", let quoted = rest.popFirst() {
                    local.append(quoted)
                } else {
                    local.append(character)
                }
            }
        } else {
            let end = rest.lastIndex(of: "@") ?? rest.endIndex
            local = String(rest[..<end])
            rest = rest[end...]
        }
        // It may become part of a path: a name or nothing.
        let domain = rest.first == "@" ? DomainName(rest.dropFirst())?.key ?? "" : ""
        guard let plus = local.firstIndex(of: "+"), plus != local.startIndex else {
            return .user(local, detail: nil, domain: domain)
        }
        return .user(
            String(local[..<plus]), detail: String(local[local.index(after: plus)...]), domain: domain)
    }
}
