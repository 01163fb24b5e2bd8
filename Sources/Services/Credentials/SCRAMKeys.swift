import COpenSSL
import SASL

/// The cryptography of SCRAM-SHA-256 (RFC 5802 §3, RFC 7677). `nil` is a failure of the library.
enum SCRAMKeys {
    private static let length = 32

    /// What is stored of a password.
    static func verifier(of secret: Secret, _ parameters: SCRAMParameters) -> SCRAMVerifier? {
        guard var salted = salted(secret, parameters) else { return nil }
        defer { Secret.wipe(&salted) }
        guard var client = hmac(salted, Array("Client Key".utf8)), let server = hmac(salted, Array("Server Key".utf8)),
            let stored = hash(client)
        else { return nil }
        Secret.wipe(&client)
        return SCRAMVerifier(parameters, storedKey: stored, serverKey: server)
    }

    /// Whether `secret` is the password behind `verifier`.
    static func matches(_ secret: Secret, _ verifier: SCRAMVerifier) -> Bool? {
        guard let own = Self.verifier(of: secret, verifier.parameters) else { return nil }
        return equal(own.storedKey, verifier.storedKey)
    }

    /// Whether the client that made `proof` knows `ClientKey`.
    static func accepts(_ proof: [UInt8], _ authMessage: [UInt8], _ verifier: SCRAMVerifier) -> Bool? {
        guard let signature = hmac(verifier.storedKey, authMessage), proof.count == signature.count,
            let stored = hash(zip(proof, signature).map { $0 ^ $1 })
        else { return nil }
        return equal(stored, verifier.storedKey)
    }

    /// `ServerSignature`
    static func signature(_ authMessage: [UInt8], _ verifier: SCRAMVerifier) -> [UInt8]? {
        hmac(verifier.serverKey, authMessage)
    }

    static func hmac(_ key: [UInt8], _ octets: [UInt8]) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: length)
        var count: UInt32 = 0
        guard HMAC(EVP_sha256(), key, Int32(key.count), octets, octets.count, &digest, &count) != nil,
            count == UInt32(length)
        else { return nil }
        return digest
    }

    private static func hash(_ octets: [UInt8]) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: length)
        var count: UInt32 = 0
        guard EVP_Digest(octets, octets.count, &digest, &count, EVP_sha256(), nil) == 1, count == UInt32(length) else {
            return nil
        }
        return digest
    }

    /// `Hi(password, salt, i)`: PBKDF2.
    private static func salted(_ secret: Secret, _ parameters: SCRAMParameters) -> [UInt8]? {
        var key = [UInt8](repeating: 0, count: length)
        let isDone = secret.withOctets { password in
            PKCS5_PBKDF2_HMAC(
                password.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(password.count), parameters.salt,
                Int32(parameters.salt.count), Int32(parameters.iterations), EVP_sha256(), Int32(length), &key)
        }
        return isDone == 1 ? key : nil
    }

    private static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.withUnsafeBytes { left in right.withUnsafeBytes { equalInConstantTime(left, $0) } }
    }
}
