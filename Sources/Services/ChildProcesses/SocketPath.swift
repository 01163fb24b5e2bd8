import CPosix
import Glibc
import Synchronization

/// Names of Unix sockets in folders whose path is longer than the 107 octets of a socket address.
public enum SocketPath {
    private static let capacity = 108
    /// Folders that were opened; they stay open, one descriptor a folder.
    private static let folders = Mutex<[String: Int32]>([:])

    /// `path` itself if it fits into an address, otherwise a name for it through the open folder (proc(5)), valid in this
    /// process as long as it lives. A path that cannot be shortened comes back as it is: bind and connect say why it fails.
    public static func reachable(_ path: String) -> String {
        guard path.utf8.count >= capacity, let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        let folder = String(path[..<slash])
        let descriptor = folders.withLock { folders -> Int32 in
            if let open = folders[folder] { return open }
            let descriptor = cposix_open(folder, O_RDONLY | O_DIRECTORY, 0)
            if descriptor >= 0 { folders[folder] = descriptor }
            return descriptor
        }
        return descriptor < 0 ? path : "/proc/self/fd/\(descriptor)\(path[slash...])"
    }
}
