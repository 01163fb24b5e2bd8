import Glibc

/// The directories of POSTOFFICE (docs/spool.md).
public enum SpoolDirectory: String, CaseIterable, Sendable {
    case `public`
    case router
    case queue
    case transport
    case deferred
    case freezer
    case postman

    /// Permission bits. Only the daemon's user writes anywhere.
    var mode: mode_t {
        switch self {
        case .public, .router: 0o700
        case .queue, .transport, .deferred, .freezer, .postman: 0o750
        }
    }
}

/// Why a spool operation failed. Every kind is temporary for whoever sends mail: 4xx, nothing lost.
public struct PostofficeError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// No space, no inodes, or over quota.
        case full
        case readOnly
        /// Wrong owner or permissions.
        case notOwner
        /// A directory of the spool is missing.
        case missing
        /// The name is taken.
        case exists
        /// The file is gone.
        case notFound
        case system
    }
    public let kind: Kind
    public let path: String
    /// errno, 0 if none applies.
    public let code: Int32
    private let detail: String

    init(_ path: String, code: Int32, missing: Kind = .notFound) {
        self.path = path
        self.code = code
        detail = String(cString: strerror(code))
        kind =
            switch code {
            case ENOSPC, EDQUOT, EFBIG: .full
            case EROFS: .readOnly
            case EACCES, EPERM: .notOwner
            case EEXIST: .exists
            case ENOENT: missing
            default: .system
            }
    }

    /// Trouble that no system call has reported.
    public init(_ kind: Kind, _ path: String, _ detail: String) {
        self.kind = kind
        self.path = path
        self.detail = detail
        code = 0
    }

    public var description: String { "\(path): \(detail)" }
}
