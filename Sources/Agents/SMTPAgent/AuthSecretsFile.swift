import Configuration
import Glibc
import SASL

/// The secrets file on the disk: read only where nobody else can.
enum AuthSecretsFile {
    /// Octets.
    private static let maximumSize = 1 << 20
    /// What others may do, and writing by the group.
    private static let forbiddenMode: mode_t = 0o027

    static func read(_ path: String) throws(ConfigurationErrors) -> AuthSecrets {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else { throw error(path, "cannot be read: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            throw error(path, "is no regular file")
        }
        guard information.st_mode & forbiddenMode == 0 else {
            throw error(path, "others may read it, or the group may write it: chmod 600")
        }
        guard information.st_uid == 0 || information.st_uid == geteuid() else {
            throw error(path, "belongs to uid \(information.st_uid); valid are root and \(geteuid())")
        }
        guard information.st_size <= maximumSize else { throw error(path, "is larger than \(maximumSize) octets") }
        var octets = [UInt8](repeating: 0, count: Int(information.st_size))
        defer { Secret.wipe(&octets) }
        var count = 0
        while count < octets.count {
            let got = octets.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { throw error(path, "cannot be read to its end") }
            count += got
        }
        return try AuthSecrets(parsing: octets, file: path)
    }

    private static func error(_ path: String, _ reason: String) -> ConfigurationErrors {
        ConfigurationErrors([ConfigurationError(file: path, line: 0, key: "", reason: reason)])
    }
}
