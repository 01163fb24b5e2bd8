import CPosix
import Glibc
import SASL

/// The key from which users who do not exist get a salt: the same each time, as that of one who does (RFC 5802 §9 leaves it open).
struct SaltKey {
    /// The file cannot be used, and why.
    struct Trouble: Error, Hashable, CustomStringConvertible {
        let path: String
        let reason: String
        var description: String { "\(path): \(reason)" }

        init(_ path: String, _ reason: String = String(cString: strerror(errno))) {
            self.path = path
            self.reason = reason
        }
    }

    private static let length = 32
    private let key: [UInt8]

    /// Reads the key, or makes one. Of several processes that find none, all use what the fastest has made.
    init(path: String) throws(Trouble) {
        for _ in 0..<3 {
            if let key = try Self.read(path) {
                self.key = key
                return
            }
            try Self.make(path)
        }
        throw Trouble(path, "vanishes again and again")
    }

    /// A number for `user` that says nothing to whoever has not the key.
    func seed(_ user: UserName) -> UInt64 {
        derive("kind", user).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// At most 64 octets.
    func salt(_ user: UserName, length: Int) -> [UInt8] {
        Array((derive("salt", user) + derive("more", user)).prefix(length))
    }

    private func derive(_ purpose: String, _ user: UserName) -> [UInt8] {
        SCRAMKeys.hmac(key, Array("\(purpose):".utf8) + user.octets) ?? key
    }

    /// `nil`: there is no file.
    private static func read(_ path: String) throws(Trouble) -> [UInt8]? {
        let descriptor = cposix_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw Trouble(path)
        }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw Trouble(path) }
        guard information.st_mode & S_IFMT == S_IFREG, information.st_uid == geteuid(),
            information.st_mode & 0o077 == 0
        else {
            throw Trouble(path, "must be a file of uid \(geteuid()) with mode 0600; remove it, and a new one is made")
        }
        var octets = [UInt8](repeating: 0, count: length + 1)
        guard Glibc.read(descriptor, &octets, octets.count) == length else {
            throw Trouble(path, "has not \(length) octets; remove it, and a new one is made")
        }
        octets.removeLast()
        return octets
    }

    /// A complete file gets the name, or none.
    private static func make(_ path: String) throws(Trouble) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = cposix_tmpfile(folder, 0o600)
        guard descriptor >= 0 else {
            throw Trouble(path, "making it in \(folder): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        // The system's generator, which is the kernel's.
        let octets = (0..<length).map { _ in UInt8.random(in: .min ... .max) }
        guard fchmod(descriptor, 0o600) == 0,
            write(descriptor, octets, length) == length, fsync(descriptor) == 0,
            cposix_link_fd(descriptor, path) == 0 || errno == EEXIST
        else { throw Trouble(path) }
    }
}
