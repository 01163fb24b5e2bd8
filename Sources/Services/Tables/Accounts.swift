import CPosix
import Glibc
import MailModel

/// Who has a mailbox here: `ACCOUNTS` of zmailer.conf. Confined to one thread.
public final class Accounts {
    public enum Source: Hashable, Sendable {
        /// The accounts of the system: `passwd` (or `system`).
        case passwd
        /// One name a line.
        case file(String)

        /// `nil`: the setting is neither `passwd` nor `file:/path`.
        public init?(_ setting: String?) {
            switch setting ?? "" {
            case "", "passwd", "system": self = .passwd
            case let text where text.hasPrefix("file:/"): self = .file(String(text.dropFirst(5)))
            default: return nil
            }
        }

        public static let validSettings = "valid are passwd and file:/path"
    }

    public struct Account: Hashable, Sendable {
        /// As the system or the file spells it.
        public let name: String
        /// Where it was found: `file:line`, or `passwd`.
        public let origin: String
    }

    /// Milliseconds for which an answer of the system is believed.
    public static let lifetime: Int64 = 10_000
    /// Answers kept at most: strangers choose the names.
    public static let cacheLimit = 10_000

    private let source: Source
    private let file: TableFile<NameTable>?
    private var cache: [String: Account?] = [:]
    private var cacheBorn: Int64 = 0
    private let lookUp: (String) -> Int32

    /// The MINUID of a zmailer.conf that says nothing.
    public static let standardMinimumUID: uid_t = 100

    /// `minimumUID`: accounts of the system below it have no mailbox (MINUID). `lookUp` asks the system for a name: 0, ENOENT, or
    /// an errno that means "not now".
    public init(
        _ source: Source, minimumUID: uid_t = 0, report: @escaping (TableEvent) -> Void,
        lookUp: ((String) -> Int32)? = nil
    ) {
        self.source = source
        self.lookUp = lookUp ?? { Self.systemAccount($0, minimumUID: minimumUID) }
        switch source {
        case .passwd: file = nil
        case .file(let path):
            // Without the file nobody would have a mailbox: that is trouble, not an answer.
            file = TableFile(path: path, empty: nil, parse: NameTable.parse, report: report)
        }
    }

    private static func systemAccount(_ name: String, minimumUID: uid_t) -> Int32 {
        var uid: uid_t = 0
        var gid: gid_t = 0
        var home = [CChar](repeating: 0, count: 4096)
        let code = cposix_account(name, &uid, &gid, &home, home.count)
        return code == 0 && uid < minimumUID ? ENOENT : code
    }

    /// The account of that name, exactly or in lower case; `nil` if there is none.
    public func account(_ name: String, now: Int64) throws(TableTrouble) -> Account? {
        if let file {
            return try file.current(now: now).table.lookup(name).map {
                Account(name: $0.name, origin: "\(file.path):\($0.line)")
            }
        }
        guard NameTable.isValid(name) else { return nil }
        if now - cacheBorn >= Self.lifetime || now < cacheBorn || cache.count >= Self.cacheLimit {
            cache.removeAll(keepingCapacity: true)
            cacheBorn = now
        }
        if let known = cache[name] { return known }
        let account = try system(name)
        cache[name] = .some(account)
        return account
    }

    private func system(_ name: String) throws(TableTrouble) -> Account? {
        let lower = asciiLowercased(name)
        for spelling in lower == name ? [name] : [name, lower] {
            let code = lookUp(spelling)
            if code == 0 { return Account(name: spelling, origin: "passwd") }
            guard code == ENOENT else {
                throw TableTrouble("account '\(spelling)': \(String(cString: strerror(code)))")
            }
        }
        return nil
    }

    /// Who gets the postmaster's mail when neither an alias nor an account has that name: the first name of the file;
    /// of the system's accounts `root`, if MINUID lets it have mail.
    public func postmasterOfLastResort(now: Int64) throws(TableTrouble) -> Account? {
        guard let file else { return try account("root", now: now) }
        return try file.current(now: now).table.names.first.map {
            Account(name: $0.name, origin: "\(file.path):\($0.line)")
        }
    }

    public func lookAgain() {
        file?.lookAgain()
        cache.removeAll()
    }
}
