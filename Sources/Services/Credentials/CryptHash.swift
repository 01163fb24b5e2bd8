import CCrypt
import CPosix
import Glibc
import SASL

/// Hashes of crypt(3).
enum CryptHash {
    /// Octets of a password that libcrypt takes (`CRYPT_MAX_PASSPHRASE_SIZE` and its NUL).
    static let maximumPassword = 511

    /// Whether `secret` is the password behind `hash`. A hash whose method the library does not know matches nothing.
    static func matches(_ secret: Secret, _ hash: String) -> Bool {
        guard secret.count <= maximumPassword, let made = make(secret, setting: hash) else { return false }
        return made.withUnsafeBytes { made in Array(hash.utf8).withUnsafeBytes { equalInConstantTime(made, $0) } }
    }

    /// A new hash, with salt of its own.
    /// - Parameter method: its prefix; yescrypt is what Debian's own passwords have.
    /// - Returns: `nil` if the library cannot, or the password is too long for it.
    static func make(_ secret: Secret, method: String = "$y$") -> String? {
        guard secret.count <= maximumPassword else { return nil }
        var setting = [CChar](repeating: 0, count: Int(CRYPT_GENSALT_OUTPUT_SIZE))
        // No octets of ours: the library takes them from the kernel.
        let text = setting.withUnsafeMutableBufferPointer { buffer in
            crypt_gensalt_rn(method, 0, nil, 0, buffer.baseAddress, Int32(buffer.count)).map { String(cString: $0) }
        }
        return text.flatMap { make(secret, setting: $0) }.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func make(_ secret: Secret, setting: String) -> [UInt8]? {
        let size = Int(ccrypt_data_size())
        guard let data = calloc(1, size) else { return nil }
        defer {
            explicit_bzero(data, size)
            free(data)
        }
        return secret.withCString { password, _ in
            guard let made = crypt_rn(password, setting, data, Int32(size)) else { return nil }
            return Array(UnsafeRawBufferPointer(start: made, count: strlen(made)))
        }
    }
}
