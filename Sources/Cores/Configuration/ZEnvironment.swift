import MailModel

/// A mistake in a configuration file.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// 1-based; 0 for the file as a whole.
    public let line: Int
    public let key: String
    /// What is wrong and what would be valid.
    public let reason: String

    public init(file: String, line: Int, key: String, reason: String) {
        self.file = file
        self.line = line
        self.key = key
        self.reason = reason
    }

    public var description: String {
        "\(file)\(line > 0 ? ":\(line)" : "")\(key.isEmpty ? "" : ": \(key)"): \(reason)"
    }
}

/// All mistakes of one reading, reported together.
public struct ConfigurationErrors: Error, Hashable, Sendable, CustomStringConvertible {
    public let errors: [ConfigurationError]
    public init(_ errors: [ConfigurationError]) { self.errors = errors }
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// `zmailer.conf` (ZENV): shell-style assignments `NAME=value`, one a line (spool.md §9).
public struct ZEnvironment: Hashable, Sendable {
    public private(set) var values: [String: String]

    public init(values: [String: String] = [:]) { self.values = values }

    /// Reads `NAME=value`, `NAME="value"`, `NAME='value'`, an optional `export `, `#` comments. `$NAME`, `${NAME}` are
    /// replaced by earlier assignments outside single quotes; an unknown name is an error.
    public static func parse(_ text: String, file: String) throws(ConfigurationErrors) -> ZEnvironment {
        var environment = ZEnvironment()
        var errors: [ConfigurationError] = []
        // By octets: as Characters, CRLF is one and no newline.
        let octets = Array(text.utf8)
        let lines = Octets.split(octets.starts(with: [0xef, 0xbb, 0xbf]) ? octets[3...] : octets[...], at: 0x0a)
        for (index, rawLine) in lines.enumerated() {
            var line = trimmed(Octets.text(rawLine))
            if line.isEmpty || line.hasPrefix("#") { continue }
            if line.hasPrefix("export ") || line.hasPrefix("export\t") { line = trimmed(line.dropFirst(7)) }
            func fail(_ key: String, _ reason: String) {
                errors.append(ConfigurationError(file: file, line: index + 1, key: key, reason: reason))
            }
            guard let equals = line.utf8.firstIndex(of: UInt8(ascii: "=")) else {
                fail("", "'\(line)' is no assignment; valid is NAME=value")
                continue
            }
            let name = line[..<equals]
            guard let first = name.utf8.first, isNameByte(first), !(48...57).contains(first),
                name.utf8.allSatisfy(isNameByte)
            else {
                fail(String(name), "a name holds letters, digits and '_' and does not begin with a digit")
                continue
            }
            switch value(line[line.utf8.index(after: equals)...], environment) {
            case .success(let value): environment.values[String(name)] = value
            case .failure(let problem): fail(String(name), problem.reason)
            }
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
        return environment
    }

    public subscript(name: String) -> String? {
        get { values[name] }
        set { values[name] = newValue }
    }

    /// Replaces `$NAME`, `${NAME}`, `$(NAME)` by values; `$$` is a literal `$`; unknown names stay (smtpserver.md §2).
    public func expanding(_ text: some StringProtocol) -> String {
        Self.expand(text) { values[$0] }
    }

    struct Problem: Error { let reason: String }

    private static func value(_ raw: Substring, _ environment: ZEnvironment) -> Result<String, Problem> {
        var out = ""
        var rest = raw
        while let character = rest.first {
            switch character {
            case "'", "\"":
                rest.removeFirst()
                guard let close = rest.firstIndex(of: character) else {
                    return .failure(Problem(reason: "the quote \(character) is not closed"))
                }
                if character == "'" {
                    out += rest[..<close]
                } else {
                    switch expandKnown(rest[..<close], environment) {
                    case .success(let text): out += text
                    case .failure(let problem): return .failure(problem)
                    }
                }
                rest = rest[rest.index(after: close)...]
            case " ", "\t":
                let tail = trimmed(rest)
                guard tail.isEmpty || tail.hasPrefix("#") else {
                    return .failure(Problem(reason: "a value with blanks needs quotes"))
                }
                return .success(out)
            default:
                let end = rest.firstIndex { " \t'\"".contains($0) } ?? rest.endIndex
                switch expandKnown(rest[..<end], environment) {
                case .success(let text): out += text
                case .failure(let problem): return .failure(problem)
                }
                rest = rest[end...]
            }
        }
        return .success(out)
    }

    private static func expandKnown(_ text: Substring, _ environment: ZEnvironment) -> Result<String, Problem> {
        var unknown: String?
        let out = expand(text) { name in
            if let value = environment.values[name] { return value }
            unknown = name
            return nil
        }
        if let unknown { return .failure(Problem(reason: "$\(unknown) is not set above this line")) }
        return .success(out)
    }

    private static func expand(_ text: some StringProtocol, _ lookup: (String) -> String?) -> String {
        var out = ""
        var rest = Substring(text)
        while let dollar = rest.firstIndex(of: "$") {
            out += rest[..<dollar]
            var tail = rest[rest.index(after: dollar)...]
            if tail.first == "$" {
                out += "$"
                rest = tail.dropFirst()
                continue
            }
            let close: Character? = tail.first == "{" ? "}" : tail.first == "(" ? ")" : nil
            if close != nil { tail = tail.dropFirst() }
            let name = tail.prefix { $0.utf8.count == 1 && isNameByte($0.utf8.first ?? 0) }
            let behind = tail[name.endIndex...]
            let isClosed = close == nil || behind.first == close
            if !name.isEmpty, isClosed, let value = lookup(String(name)) {
                out += value
                rest = close == nil ? behind : behind.dropFirst()
            } else {
                out += "$"
                rest = rest[rest.index(after: dollar)...]
            }
        }
        return out + rest
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 0x5f
    }

    private static func trimmed(_ text: some StringProtocol) -> Substring {
        var view = Substring(text)
        while let last = view.last, last == " " || last == "\t" || last == "\r" { view.removeLast() }
        return view.drop { $0 == " " || $0 == "\t" }
    }
}

extension ZEnvironment {
    /// The spool (default `/var/spool/postoffice`).
    public var postoffice: String { values["POSTOFFICE"] ?? "/var/spool/postoffice" }
    /// Programs; agents are in `ta/` below (default `/usr/libexec/zmailer`).
    public var mailbin: String { values["MAILBIN"] ?? "/usr/libexec/zmailer" }
    /// Configuration files and `forms/` (default `/etc/zmailer`).
    public var mailshare: String { values["MAILSHARE"] ?? "/etc/zmailer" }
    /// Tables under `db/` and lists (default `/var/lib/zmailer`).
    public var mailvar: String { values["MAILVAR"] ?? "/var/lib/zmailer" }
    /// Log files (default `/var/log/zmailer`).
    public var logdir: String { values["LOGDIR"] ?? "/var/log/zmailer" }
    /// Where smtpserver takes mail of this host's users, and sendmail(1) gives it (default `$MAILVAR/submission`).
    public var submissionSocket: String { values["SUBMISSIONSOCKET"] ?? "\(mailvar)/submission" }
    /// What compiled-in programs read without `-Z`.
    public static let defaultPath = "/etc/zmailer/zmailer.conf"
}
