import COpenSSL

/// Reads PEM text (RFC 7468). Errors are texts that a file's name goes before.
enum PEM {
    struct Fault: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    /// All certificates in their order, other blocks skipped; none is no error.
    static func certificates(_ octets: [UInt8]) throws(Fault) -> [Certificate] {
        let bio = try memory(octets)
        defer { BIO_free(bio) }
        var certificates: [Certificate] = []
        while true {
            ERR_clear_error()
            guard let pointer = PEM_read_bio_X509(bio, nil, { PEM.refusePassword($0, $1, $2, $3) }, nil) else {
                let entries = OpenSSL.drainErrors()
                if let last = entries.last, last.library == ERR_LIB_PEM, last.reason == PEM_R_NO_START_LINE {
                    return certificates
                }
                let texts = entries.map(\.text).joined(separator: "; ")
                throw Fault("certificate \(certificates.count + 1) in it is damaged: \(texts)")
            }
            certificates.append(Certificate(owning: pointer))
        }
    }

    /// The first private key.
    static func privateKey(_ octets: [UInt8]) throws(Fault) -> PrivateKey {
        guard has("PRIVATE KEY-----", octets) else {
            throw Fault("no PEM private key in it (-----BEGIN PRIVATE KEY-----)")
        }
        let bio = try memory(octets)
        defer { BIO_free(bio) }
        ERR_clear_error()
        guard let pointer = PEM_read_bio_PrivateKey(bio, nil, { PEM.refusePassword($0, $1, $2, $3) }, nil) else {
            let entries = OpenSSL.drainErrors()
            func has(_ library: Int32, _ reason: Int32) -> Bool {
                entries.contains { $0.library == library && $0.reason == reason }
            }
            if has(ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ) || has(ERR_LIB_CRYPTO, Int32(ERR_R_INTERRUPTED_OR_CANCELLED)) {
                throw Fault("the key needs a password; store it without one (openssl pkey -in FILE -out FILE)")
            }
            throw Fault("the private key is damaged: \(entries.map(\.text).joined(separator: "; "))")
        }
        return PrivateKey(owning: pointer)
    }

    private static func has(_ text: String, _ octets: [UInt8]) -> Bool {
        let text = Array(text.utf8)
        guard octets.count >= text.count else { return false }
        return (0...octets.count - text.count).contains { start in
            octets[start] == text[0] && octets[start..<start + text.count].elementsEqual(text)
        }
    }

    /// Diffie-Hellman parameters (`openssl dhparam`).
    static func dhParameters(_ octets: [UInt8]) throws(Fault) -> PrivateKey {
        let bio = try memory(octets)
        defer { BIO_free(bio) }
        ERR_clear_error()
        guard let pointer = PEM_read_bio_Parameters(bio, nil) else {
            throw Fault("no DH parameters in it (-----BEGIN DH PARAMETERS-----): \(OpenSSL.drainTexts())")
        }
        let parameters = PrivateKey(owning: pointer)
        let type = EVP_PKEY_get_base_id(pointer)
        guard type == EVP_PKEY_DH || type == EVP_PKEY_DHX else {
            throw Fault("it holds parameters of another kind; -----BEGIN DH PARAMETERS----- is valid")
        }
        return parameters
    }

    /// OpenSSL's default would ask on the terminal.
    fileprivate static func refusePassword(
        _: UnsafeMutablePointer<CChar>?, _: Int32, _: Int32, _: UnsafeMutableRawPointer?
    ) -> Int32 { -1 }

    /// A BIO over a copy of the octets.
    private static func memory(_ octets: [UInt8]) throws(Fault) -> OpaquePointer {
        guard let bio = BIO_new(BIO_s_mem()) else { throw Fault("out of memory") }
        // An empty text would otherwise be "try again" and not the end.
        _ = BIO_ctrl(bio, BIO_C_SET_BUF_MEM_EOF_RETURN, 0, nil)
        guard octets.isEmpty || BIO_write(bio, octets, Int32(octets.count)) == octets.count else {
            BIO_free(bio)
            throw Fault("out of memory")
        }
        return bio
    }
}
