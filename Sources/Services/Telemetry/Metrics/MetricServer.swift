import CPosix
import Glibc

/// Tells metrics at a socket, on threads of its own: whoever asks slowly, or never reads, keeps one of them for four seconds at most,
/// and nothing else of the program.
public final class MetricServer: Sendable {
    /// The name of a program's socket in POSTOFFICE.
    public static func path(_ postoffice: String, _ program: String) -> String { "\(postoffice)/.metrics.\(program)" }

    private let listener: Int32
    private let text: @Sendable () -> String
    /// The uid that may ask beside our own and root; `nil`: everybody who gets here.
    private let owner: uid_t?

    /// Serves a listening socket for the life of the process. - Returns: whether its threads could be started.
    @discardableResult
    public static func serve(
        _ listener: Int32, threads: Int = 1, owner: uid_t?, _ text: @escaping @Sendable () -> String
    ) -> Bool {
        let server = MetricServer(listener, owner: owner, text)
        return (0..<threads).allSatisfy { _ in server.start() }
    }

    /// Serves `.metrics.<program>` in POSTOFFICE, of mode 0600, with `owner` as its owner. `false`, with errno: it cannot be made, which
    /// is no reason not to do anything else.
    public static func serve(
        _ metrics: Metrics, of program: String, in postoffice: String
    ) -> Bool {
        let path = path(postoffice, program)
        let listener = cposix_unix_listen(path, Int32(SOCK_STREAM.rawValue), 0o600, 16)
        guard listener >= 0 else { return false }
        _ = cposix_set_nonblocking(listener, 0)
        var info = stat()
        let owner = stat(postoffice, &info) == 0 ? info.st_uid : geteuid()
        if geteuid() == 0, owner != 0 { _ = lchown(path, info.st_uid, info.st_gid) }
        return serve(listener, owner: owner) { metrics.text }
    }

    private init(_ listener: Int32, owner: uid_t?, _ text: @escaping @Sendable () -> String) {
        self.listener = listener
        self.owner = owner
        self.text = text
    }

    private func start() -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 512 << 10)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { pthread_attr_destroy(&attributes) }
        var thread: pthread_t = 0
        let context = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, &attributes,
            { raw in
                guard let raw else { return nil }
                Unmanaged<MetricServer>.fromOpaque(raw).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if code != 0 { context.release() }
        return code == 0
    }

    private func run() {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else {
                switch errno {
                case EINTR, ECONNABORTED, EPROTO: continue
                // Out of descriptors: they come back.
                case EMFILE, ENFILE, ENOBUFS, ENOMEM: usleep(200_000)
                default: return
                }
                continue
            }
            _ = cposix_set_cloexec(client, 1)
            guard isAllowed(client) else {
                close(client)
                continue
            }
            MetricConnection.serve(client, text)
        }
    }

    private func isAllowed(_ client: Int32) -> Bool {
        guard let owner else { return true }
        var uid: uid_t = 0
        var pid: pid_t = 0
        guard cposix_peer_credentials(client, &uid, &pid) == 0 else { return false }
        return uid == 0 || uid == owner || uid == geteuid()
    }
}
