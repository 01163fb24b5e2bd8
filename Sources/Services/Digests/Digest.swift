import COpenSSL

/// Message digests of protocols that name one, by OpenSSL.
public enum Digest {
    /// The 16 octets of MD5 (RFC 1321); `nil` where the system's crypto policy forbids it. For challenges of old protocols: it
    /// is no protection against a collision, and for nothing new.
    public static func md5(_ octets: [UInt8]) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard EVP_Digest(octets, octets.count, &digest, &count, EVP_md5(), nil) == 1 else {
            // What was wrong is said by `nil`; the next call must not find it in the thread's queue.
            ERR_clear_error()
            return nil
        }
        return Array(digest.prefix(Int(count)))
    }

    /// Takes as long whatever the octets are, so that time tells nothing of them; lengths may differ in time.
    public static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }
}
