import COpenSSL

extension Digest {
    /// Octets of SHA-256 (RFC 6234), and of what is made with it.
    public static let sha256Length = 32

    /// `nil`: the library has failed.
    public static func sha256(_ octets: [UInt8]) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: sha256Length)
        var count: UInt32 = 0
        guard EVP_Digest(octets, octets.count, &digest, &count, EVP_sha256(), nil) == 1, count == UInt32(sha256Length)
        else { return nil }
        return digest
    }

    /// RFC 2104 with SHA-256; `nil`: the library has failed.
    public static func hmacSHA256(_ key: [UInt8], _ octets: [UInt8]) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: sha256Length)
        var count: UInt32 = 0
        guard HMAC(EVP_sha256(), key, Int32(key.count), octets, octets.count, &digest, &count) != nil,
            count == UInt32(sha256Length)
        else { return nil }
        return digest
    }

    /// PBKDF2 (RFC 8018 §5.2) with HMAC-SHA-256, one block: `Hi` of RFC 5802 §2.2. `nil`: the library has failed.
    public static func pbkdf2SHA256(_ password: UnsafeRawBufferPointer, salt: [UInt8], iterations: Int) -> [UInt8]? {
        var key = [UInt8](repeating: 0, count: sha256Length)
        let isDone = PKCS5_PBKDF2_HMAC(
            password.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(password.count), salt, Int32(salt.count),
            Int32(iterations), EVP_sha256(), Int32(sha256Length), &key)
        return isDone == 1 ? key : nil
    }
}
