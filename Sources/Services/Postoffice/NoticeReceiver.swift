import AgentProtocol
import CPosix
import Glibc

/// The receiving end: a bound datagram socket of mode 0600.
public final class NoticeReceiver {
    /// Readable when there are notices.
    public let descriptor: Int32
    private let path: String

    public init(socketPath: String) throws(PostofficeError) {
        path = socketPath
        let socket = cposix_unix_listen(socketPath, Int32(SOCK_DGRAM.rawValue), 0o600, 0)
        guard socket >= 0 else { throw PostofficeError(socketPath, code: errno, missing: .missing) }
        // Whoever runs as root listens to programs that run as the spool's owner.
        let directory = socketPath.lastIndex(of: "/").map { String(socketPath[..<$0]) } ?? "."
        do throws(PostofficeError) {
            try Postoffice.giveToOwner(of: directory.isEmpty ? "/" : directory) { lchown(socketPath, $0, $1) }
        } catch {
            close(socket)
            throw error
        }
        descriptor = socket
    }

    deinit { close(descriptor) }

    /// All notices that are there now, at most 64 at once.
    public func receive() -> [SpoolNotice] {
        var notices: [SpoolNotice] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while notices.count < 64 {
            // MSG_TRUNC: the length it had. A name cut in the middle would be another one.
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT | MSG_TRUNC))
            guard count >= 0 else { break }
            notices.append(count <= buffer.count ? SpoolNotice(octets: buffer[0..<count]) : .scan)
        }
        return notices
    }
}
