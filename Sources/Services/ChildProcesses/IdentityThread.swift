import CPosix
import Glibc

/// Blocking work under another user, inside this process (docs/architecture.md): a thread of its own takes the identity with raw
/// system calls, works, and ends; no other thread is touched and nothing can be left with the wrong identity.
public enum IdentityThread {
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let identity: ChildRequest.Identity
        /// `errno`.
        public let code: Int32
        public var description: String {
            "cannot work as uid \(identity.uid), gid \(identity.gid): \(String(cString: strerror(code)))"
        }
    }

    /// Octets of the thread's stack.
    private static let stackSize = 512 * 1024

    /// Runs `body` and waits for its end. `body` is not called if the identity cannot be had. It may use what the caller
    /// owns, as the caller waits.
    public static func run(as identity: ChildRequest.Identity, _ body: () -> Void) throws(Failure) {
        let code = withoutActuallyEscaping(body) { body in
            let work = Work(identity, body)
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            pthread_attr_setstacksize(&attributes, stackSize)
            defer { pthread_attr_destroy(&attributes) }
            var thread = pthread_t()
            let argument = Unmanaged.passUnretained(work).toOpaque()
            let error = pthread_create(&thread, &attributes, { runWork($0) }, argument)
            guard error == 0 else { return error }
            pthread_join(thread, nil)
            return work.code
        }
        guard code == 0 else { throw Failure(identity: identity, code: code) }
    }

    fileprivate final class Work {
        let identity: ChildRequest.Identity
        let body: () -> Void
        var code: Int32 = 0

        init(_ identity: ChildRequest.Identity, _ body: @escaping () -> Void) {
            self.identity = identity
            self.body = body
        }
    }
}

private func runWork(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    // Not retained: the starting thread holds it until this one has ended.
    let work = Unmanaged<IdentityThread.Work>.fromOpaque(argument).takeUnretainedValue()
    work.code = cposix_thread_identity(work.identity.uid, work.identity.gid)
    if work.code == 0 { work.body() }
    return nil
}
