import Glibc

/// An account of this host, from the name service (passwd(5), LDAP, …).
public struct SystemAccount: Hashable, Sendable {
    public let name: String
    public let uid: uid_t
    public let gid: gid_t
    /// The home directory.
    public let home: String
    /// The account's comment up to its first comma; may be empty.
    public let fullName: String

    public init(name: String, uid: uid_t, gid: gid_t, home: String, fullName: String = "") {
        self.name = name
        self.uid = uid
        self.gid = gid
        self.home = home
        self.fullName = fullName
    }

    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        /// `errno`.
        public let code: Int32

        public init(code: Int32) { self.code = code }

        public var description: String { "accounts cannot be read: \(String(cString: strerror(code)))" }
    }

    /// `nil`: there is none. A failure says nothing about the account: try again later.
    public static func named(_ name: String) throws(Failure) -> SystemAccount? {
        try find { getpwnam_r(name, $0, $1, $2, $3) }
    }

    /// `nil`: there is none.
    public static func with(uid: uid_t) throws(Failure) -> SystemAccount? {
        try find { getpwuid_r(uid, $0, $1, $2, $3) }
    }

    private typealias Call = (
        UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
        UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
    ) -> Int32

    private static func find(_ call: Call) throws(Failure) -> SystemAccount? {
        var size = 1024
        while true {
            let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
            defer { buffer.deallocate() }
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let code = call(&entry, buffer, size, &found)
            switch code {
            case 0:
                guard found != nil else { return nil }
                return SystemAccount(
                    name: String(cString: entry.pw_name), uid: entry.pw_uid, gid: entry.pw_gid,
                    home: String(cString: entry.pw_dir),
                    fullName: String(String(cString: entry.pw_gecos).prefix { $0 != "," }))
            case ERANGE where size < 1 << 20: size *= 4
            case EINTR: continue
            // What getpwnam(3) lists as "not found" of various name services.
            case ENOENT, ESRCH: return nil
            default: throw Failure(code: code)
            }
        }
    }
}
