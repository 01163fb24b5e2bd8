import MailModel
import Policy

/// `smtp-auth-senders`: which sender addresses a login may use, `login: address, @domain, …` (smtp-auth-senders(5)).
public struct SenderTable: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        let patterns: Set<Pattern>
        /// `-<>` takes it away; it is everybody's otherwise, because reports of user agents come from it (RFC 8098 §3).
        public let allowsNullSender: Bool
        /// 1-based.
        public let line: Int
    }

    enum Pattern: Hashable, Sendable {
        /// `*`
        case any
        /// `@example.org`; as ``MailDomain/lookupName``.
        case domain(String)
        /// Local part in lower case, domain as ``MailDomain/lookupName``.
        case address(String, String)
        /// `%u`: the login is an address.
        case login
        /// `%u@example.org`
        case loginAt(String)
    }

    /// `*`: the line for logins that have none.
    private static let standardKey = Array("*".utf8)

    /// By octets: logins that look the same may be two for who checks the password.
    private var entries: [[UInt8]: Entry] = [:]

    public init() {}

    public static func parse(_ octets: [UInt8], file: String) throws(TableErrors) -> SenderTable {
        let text = TableText(octets, file: file)
        var errors = text.errors
        var table = SenderTable()
        for (line, content) in AliasTable.joined(text.lines, file, &errors) {
            let (login, rest, problem) = AliasTable.key(content)
            func fail(_ reason: String) {
                errors.append(TableError(file: file, line: line, key: login, reason: reason))
            }
            guard problem == nil else {
                fail("is no line; valid is: login: address, @domain")
                continue
            }
            if let earlier = table.entries[Array(login.utf8)] {
                fail("stands on line \(earlier.line) too")
                continue
            }
            var patterns: Set<Pattern> = []
            var allowsNullSender = true
            let list = TargetList.split(rest)
            if let problem = list.problem {
                fail(problem)
                continue
            }
            for word in list.targets {
                if word == "-<>" {
                    allowsNullSender = false
                } else if let pattern = Pattern(word) {
                    patterns.insert(pattern)
                } else {
                    fail(
                        "'\(word)' is no address; valid are user@example.org, @example.org, *, %u, %u@example.org, -<>")
                }
            }
            if list.targets.isEmpty { fail("has no address; valid is: login: address, @domain") }
            table.entries[Array(login.utf8)] = Entry(patterns: patterns, allowsNullSender: allowsNullSender, line: line)
        }
        guard errors.isEmpty else { throw TableErrors(errors.sorted { $0.line < $1.line }) }
        return table
    }

    /// The line of the login, exactly as it is spelled, or the one for those without; `nil`: none.
    public func entry(of login: String) -> Entry? { entries[Array(login.utf8)] ?? entries[Self.standardKey] }
}

extension SenderTable.Entry {
    /// Whether the login may use the address; `nil`: the null sender. Local parts are compared without regard to ASCII case, as
    /// mail for them is delivered, and `user+detail` is `user`.
    public func allows(_ sender: Mailbox?, as login: String) -> Bool {
        guard let sender else { return allowsNullSender }
        if patterns.contains(.any) || patterns.contains(.domain(sender.domain.lookupName)) { return true }
        let (localPart, domain) = Self.key(sender)
        let base = localPart.utf8.firstIndex(of: UInt8(ascii: "+")).map { String(localPart[..<$0]) }
        let names = [localPart] + (base.map { $0.isEmpty ? [] : [$0] } ?? [])
        func allows(_ address: (localPart: String, domain: String)?) -> Bool {
            guard let address else { return false }
            return address.domain == domain && names.contains(address.localPart)
        }
        if names.contains(where: { patterns.contains(.address($0, domain)) }) { return true }
        if patterns.contains(.login), allows(Mailbox(login).map(Self.key)) { return true }
        return patterns.contains(.loginAt(domain)) && names.contains(asciiLowercased(login))
    }

    fileprivate static func key(_ mailbox: Mailbox) -> (localPart: String, domain: String) {
        (asciiLowercased(mailbox.localPart.text), mailbox.domain.lookupName)
    }
}

extension SenderTable.Pattern {
    fileprivate init?(_ word: String) {
        if word == "*" {
            self = .any
        } else if word == "%u" {
            self = .login
        } else if word.hasPrefix("%u@") {
            guard let domain = MailDomain(word.dropFirst(3)) else { return nil }
            self = .loginAt(domain.lookupName)
        } else if word.hasPrefix("@") {
            guard let domain = MailDomain(word.dropFirst()) else { return nil }
            self = .domain(domain.lookupName)
        } else {
            guard let mailbox = Mailbox(word) else { return nil }
            let (localPart, domain) = SenderTable.Entry.key(mailbox)
            self = .address(localPart, domain)
        }
    }
}
