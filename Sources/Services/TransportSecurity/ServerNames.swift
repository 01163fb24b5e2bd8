import MailModel

/// Which context a name that a client asks for belongs to: what is named exactly goes before what a wildcard covers, and in
/// both the first certificate that has the name.
struct ServerNames: Sendable {
    private var exact: [String: SSLContext] = [:]
    /// By what follows `*.`.
    private var wildcard: [String: SSLContext] = [:]

    /// Names of a certificate: only a `*` that is the whole first label is a wildcard (RFC 6125 §6.4.3).
    mutating func add(_ names: [String], _ context: SSLContext) {
        for name in names {
            let name = Self.normalized(name)
            if name.hasPrefix("*.") {
                let parent = String(name.dropFirst(2))
                if !parent.contains("*"), wildcard[parent] == nil { wildcard[parent] = context }
            } else if !name.contains("*"), !name.isEmpty, exact[name] == nil {
                exact[name] = context
            }
        }
    }

    /// `name` is ``normalized(_:)``. `nil`: no certificate has it.
    func context(for name: String) -> SSLContext? {
        if let context = exact[name] { return context }
        guard let dot = name.utf8.firstIndex(of: UInt8(ascii: ".")), dot != name.utf8.startIndex else { return nil }
        return wildcard[String(name[name.utf8.index(after: dot)...])]
    }

    /// Whether it has only characters that names of hosts have, and the length of a name.
    static func isName(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count)
            && text.utf8.allSatisfy { octet in
                switch octet {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// Lower case, without a final dot.
    static func normalized(_ name: String) -> String {
        let lowercased = asciiLowercased(name)
        return lowercased.hasSuffix(".") ? String(lowercased.dropLast()) : lowercased
    }
}
