import COpenSSL

/// What a client keeps of a connection to resume it later, in this process. Opaque; it holds secrets of the session.
///
/// Soundness of `@unchecked Sendable`: the `SSL_SESSION` is not changed after it is made but for its reference count, which is
/// atomic, and flags that the library locks.
public final class TLSClientSession: @unchecked Sendable {
    /// What the server was checked against: a session is offered again only where the check would be the same.
    struct Scope: Hashable, Sendable {
        let serverName: String?
        let verification: TLSVerification
    }

    let pointer: OpaquePointer
    let scope: Scope

    init(owning pointer: OpaquePointer, scope: Scope) {
        self.pointer = pointer
        self.scope = scope
    }

    deinit { SSL_SESSION_free(pointer) }
}
