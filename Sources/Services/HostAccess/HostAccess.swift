import Glibc

/// May a client connect? As TCP wrappers say: `hosts.allow` and `hosts.deny` (hosts_access(5), `PARAM use-tcp-wrapper`).
///
/// libwrap reads its tables anew for each check, may block while it does, and keeps all it knows in globals. So one thread of this
/// process calls it, for one client after the other, and another one watches the time: who waits longer than allowed gets an
/// answer, whatever libwrap does. Options of rules that would start programs or change this process are not carried out.
public enum HostAccess {
    public enum Verdict: Hashable, Sendable {
        case allowed
        case denied
        /// It cannot be told now, and why, for the log: the client shall come again (4xx).
        case unavailable(String)
    }

    /// The tables to look into. One that is not there has no rules.
    public struct Tables: Hashable, Sendable {
        public var allow: String
        public var deny: String

        public init(allow: String, deny: String) {
            self.allow = allow
            self.deny = deny
        }

        public static let system = Tables(allow: "/etc/hosts.allow", deny: "/etc/hosts.deny")
    }

    /// Who connects to what.
    public struct Request: Hashable, Sendable {
        /// The name in front of the colon: `smtp-receiver`.
        public var service: String
        /// The confirmed name of the client; `nil`: it has none, or it is not known.
        public var clientName: String?
        /// IPv4 or IPv6 without brackets; IPv4-mapped addresses as IPv4.
        public var address: String
        /// What ident says; `nil`: it was not asked, or did not answer.
        public var user: String?

        public init(service: String, clientName: String? = nil, address: String, user: String? = nil) {
            self.service = service
            self.clientName = clientName
            self.address = address
            self.user = user
        }
    }

    /// Waiting for others included.
    public static let timeLimit: Duration = .seconds(5)
    /// Checks that wait at once; more are answered ``Verdict/unavailable(_:)``.
    public static let maximumWaiting = 1000

    /// Calls `then` once: on a thread of this module, where it must not stay, or, if too many wait, before this returns.
    public static func check(
        _ request: Request, tables: Tables = .system, timeLimit: Duration = Self.timeLimit,
        then: @escaping @Sendable (Verdict) -> Void
    ) {
        CheckQueue.shared.add(Check(request, tables, timeLimit, then))
    }

    /// The same for programs that have nothing else to do; never from a thread that may not block.
    public static func verdict(
        _ request: Request, tables: Tables = .system, timeLimit: Duration = Self.timeLimit
    ) -> Verdict {
        let answer = Answer()
        check(request, tables: tables, timeLimit: timeLimit) { answer.give($0) }
        return answer.wait()
    }
}

/// A verdict that one thread gives and another waits for.
///
/// Sound as `@unchecked Sendable`: the value is written before the semaphore is raised and read after it was taken.
private final class Answer: @unchecked Sendable {
    private let isThere = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private var verdict = HostAccess.Verdict.unavailable("not checked")

    init() { sem_init(isThere, 0, 0) }

    deinit {
        sem_destroy(isThere)
        isThere.deallocate()
    }

    func give(_ verdict: HostAccess.Verdict) {
        self.verdict = verdict
        sem_post(isThere)
    }

    func wait() -> HostAccess.Verdict {
        while sem_wait(isThere) != 0, errno == EINTR {}
        return verdict
    }
}
