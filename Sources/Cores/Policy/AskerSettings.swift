import MailModel

/// What an asker (smtpserver) says once, before its first question, about how it wants to be answered:
/// `settings[\tkey=value]…` (docs/protocols.md §2).
public struct AskerSettings: Hashable, Sendable {
    /// Where the policy comes from (`PARAM policydb TYPE PATH`).
    public enum Database: Hashable, Sendable {
        /// No policydb: the text files of `$MAILVAR/db` (`smtp-policy.src` or the built-in boilerplate, `localnames`,
        /// `smtp-policy.relay`, …), merged in memory as policy-builder.sh does.
        case files
        /// Base name; `.gdbm` is appended.
        case gdbm(String)
    }
    /// Reject when the SPF level is below: fail 1, softfail 2, none 3, neutral 4, pass 5 (policy.md §11).
    public enum SPFThreshold: String, Hashable, Sendable, CaseIterable {
        case fail
        case softfail
        case none
        case neutral
        case pass
    }
    public var database = Database.files
    /// `MaxSameIpSource`, `MaxParallelConnections`.
    public var limits = ConnectionLimits()
    /// Nothing is rejected because of SPF below `softfail`; the default `fail` therefore only records.
    public var spfThreshold = SPFThreshold.fail
    /// `spf-received`.
    public var addsReceivedSPF = false
    /// `spf-localpolicy`: terms put in front of the final `all` of every record (ZMailer); empty: none.
    public var spfLocalPolicy = ""
    /// `reject-percent-kludge`.
    public var rejectsPercentKludge = true
    /// `auth-failrate`: failed logins of one address in an hour, from which on it may not try again. At least
    /// ``minimumAuthFailureRate``.
    public var authFailureRate = standardAuthFailureRate
    /// `account-ratelimit`: messages of an account of this host in an hour, from which on it must wait; 0: none.
    public var accountRateLimit = 0
    /// `smtp-auth-senders`: the table that says which addresses a login may use; empty: any.
    public var senderTable = ""
    /// `contactpointer`: a line of the connect-time rejection.
    public var contactPointer = ""
    /// Our name, for SPF's `%{r}`, Received-SPF and replies.
    public var hostName = ""

    public static let standardAuthFailureRate = 20
    public static let minimumAuthFailureRate = 3

    public init() {}

    public var line: String {
        var text = "settings"
        func add(_ key: String, _ value: String) {
            if !value.isEmpty { text += "\t\(key)=\(Octets.cleaned(value))" }
        }
        switch database {
        case .files: break
        case .gdbm(let path): add("policydb", "gdbm:\(path)")
        }
        add("same-source", limits.perAddress == 0 ? "" : "\(limits.perAddress)")
        add("parallel", limits.total == 0 ? "" : "\(limits.total)")
        add("spf-threshold", spfThreshold.rawValue)
        add("spf-received", addsReceivedSPF ? "+" : "")
        add("spf-localpolicy", spfLocalPolicy)
        add("percent-kludge", rejectsPercentKludge ? "" : "-")
        add("auth-failrate", authFailureRate == Self.standardAuthFailureRate ? "" : "\(authFailureRate)")
        add("account-ratelimit", accountRateLimit == 0 ? "" : "\(accountRateLimit)")
        add("senders", senderTable)
        add("contact", contactPointer)
        add("host", hostName)
        return text
    }

    /// `nil` if it is no settings line, or a value makes no sense; unknown keys are ignored.
    public init?(line: some StringProtocol) {
        let fields = Octets.split(Array(line.utf8)[...], at: 0x09)
        guard let word = fields.first, Octets.equal(word, "settings") else { return nil }
        for field in fields.dropFirst() {
            guard let equals = Octets.index(of: UInt8(ascii: "="), in: field) else { return nil }
            guard take(Octets.text(field[..<equals]), Octets.text(field[(equals + 1)...])) else { return nil }
        }
    }

    private mutating func take(_ key: String, _ value: String) -> Bool {
        switch key {
        case "policydb":
            guard value.hasPrefix("gdbm:"), value.utf8.count > 5 else { return false }
            database = .gdbm(String(value.dropFirst(5)))
        case "same-source":
            guard let number = Int(value), number >= 0 else { return false }
            limits.perAddress = number
        case "parallel":
            guard let number = Int(value), number >= 0 else { return false }
            limits.total = number
        case "spf-threshold":
            guard let threshold = SPFThreshold(rawValue: value) else { return false }
            spfThreshold = threshold
        case "spf-received": addsReceivedSPF = true
        case "spf-localpolicy": spfLocalPolicy = value
        case "percent-kludge": rejectsPercentKludge = false
        case "auth-failrate":
            guard let number = Int(value), number >= Self.minimumAuthFailureRate else { return false }
            authFailureRate = number
        case "account-ratelimit":
            guard let number = Int(value), number >= 0 else { return false }
            accountRateLimit = number
        case "senders":
            guard value.hasPrefix("/") else { return false }
            senderTable = value
        case "contact": contactPointer = value
        case "host": hostName = value
        default: break
        }
        return true
    }
}
