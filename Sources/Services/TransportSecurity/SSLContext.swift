import COpenSSL

/// An `SSL_CTX` and what server and client have in common in setting it up.
///
/// Soundness of `@unchecked Sendable`: it is changed only by its maker before it is shared; OpenSSL takes its own locks for
/// what a context changes later (references, session cache). Freed with the last reference; each `SSL` holds one of its own.
final class SSLContext: @unchecked Sendable {
    let pointer: OpaquePointer

    init(method: OpaquePointer?) throws(TLSFailure) {
        OpenSSL.start()
        ERR_clear_error()
        guard let pointer = SSL_CTX_new(method) else {
            throw TLSFailure(.configuration, "no TLS context: \(OpenSSL.drainTexts())")
        }
        self.pointer = pointer
        cossl_set_safe_options(pointer)
        cossl_set_modes(pointer)
        // Two ends of equal right: the default of the library is far above what mail needs.
        SSL_CTX_set_max_early_data(pointer, 0)
        SSL_CTX_set_recv_max_early_data(pointer, 0)
    }

    deinit { SSL_CTX_free(pointer) }

    /// Throws with the library's texts if `result` is not 1.
    func check(_ result: Int32, file: String? = nil, _ what: String) throws(TLSFailure) {
        guard result != 1 else { return }
        throw TLSFailure(.configuration, file: file, "\(what): \(OpenSSL.drainTexts())")
    }

    func setProtocols(_ minimum: TLSProtocolVersion, _ maximum: TLSProtocolVersion) throws(TLSFailure) {
        guard minimum <= maximum else {
            throw TLSFailure(.configuration, "protocols from \(minimum) to \(maximum) are none")
        }
        try check(cossl_set_min_protocol(pointer, minimum.wireValue), "protocol \(minimum)")
        try check(cossl_set_max_protocol(pointer, maximum.wireValue), "protocol \(maximum)")
        // Their handshakes are signed with SHA-1, which levels above 0 refuse.
        if minimum < .tls12 { SSL_CTX_set_security_level(pointer, 0) }
    }

    func setCiphers(list: String?, suites: String?) throws(TLSFailure) {
        if let list {
            try check(SSL_CTX_set_cipher_list(pointer, list), "cipher list \"\(list)\"")
        }
        if let suites {
            try check(SSL_CTX_set_ciphersuites(pointer, suites), "TLS 1.3 cipher suites \"\(suites)\"")
        }
    }

    /// P-521 comes last: peers whose certificates have such keys need it.
    func setGroups() throws(TLSFailure) {
        try check(cossl_set_groups(pointer, "X25519:P-256:P-384:P-521"), "groups")
    }

    /// Takes over an identity; at most one for each type of key. What the chain lacks is looked for in `authorities`.
    func use(_ identity: TLSMaterial.Identity, authorities: [Certificate]) throws(TLSFailure) {
        let parsed = try identity.parsed()
        try check(
            SSL_CTX_use_certificate(pointer, parsed.certificate.pointer), file: identity.certificateFile,
            "the certificate cannot be used")
        try check(
            SSL_CTX_use_PrivateKey(pointer, parsed.key.pointer), file: identity.keyFile, "the key cannot be used")
        var chain = parsed.chain
        if chain.isEmpty { chain = Self.issuers(of: parsed.certificate, in: authorities) }
        for certificate in chain {
            try check(
                cossl_add_chain_certificate(pointer, certificate.pointer), file: identity.certificateFile,
                "a certificate of the chain cannot be used")
        }
    }

    /// Without the root, which the peer has or does not believe. Found now, so that no handshake has to search.
    private static func issuers(of certificate: Certificate, in authorities: [Certificate]) -> [Certificate] {
        var chain: [Certificate] = []
        var last = certificate
        while chain.count < 10, !last.isSelfIssued,
            let issuer = authorities.first(where: { $0.isIssuer(of: last) }), !issuer.isSelfIssued
        {
            chain.append(issuer)
            last = issuer
        }
        return chain
    }

    /// Trusts the certificates, and those that are in the folder under their hashes.
    func trust(_ authorities: [Certificate], folder: String?) throws(TLSFailure) {
        let store = SSL_CTX_get_cert_store(pointer)
        for certificate in authorities {
            try check(X509_STORE_add_cert(store, certificate.pointer), "a trusted certificate cannot be used")
        }
        if let folder {
            try check(SSL_CTX_load_verify_dir(pointer, folder), file: folder, "is no folder of certificates")
        }
    }

    func setDHParameters(_ texts: [TLSMaterial.Text]) throws(TLSFailure) {
        var strongest: (bits: Int, text: TLSMaterial.Text)?
        for text in texts {
            guard let bits = text.dhBits, bits >= TLSMaterial.minimumDHBits, bits > strongest?.bits ?? 0 else {
                continue
            }
            strongest = (bits, text)
        }
        guard let text = strongest?.text else {
            cossl_set_dh_auto(pointer)
            return
        }
        let parameters = try TLSMaterial.pem(text.file) { () throws(PEM.Fault) in try PEM.dhParameters(text.octets) }
        ERR_clear_error()
        EVP_PKEY_up_ref(parameters.pointer)
        guard SSL_CTX_set0_tmp_dh_pkey(pointer, parameters.pointer) == 1 else {
            EVP_PKEY_free(parameters.pointer)
            throw TLSFailure(.configuration, file: text.file, "DH parameters: \(OpenSSL.drainTexts())")
        }
    }
}

extension TLSMaterial {
    func trustedCertificates() throws(TLSFailure) -> [Certificate] {
        guard let authorities else { return [] }
        OpenSSL.start()
        return try Self.pem(authorities.file) { () throws(PEM.Fault) in try PEM.certificates(authorities.octets) }
    }
}

extension TLSMaterial.Text {
    /// Of Diffie-Hellman parameters; `nil` if they cannot be read.
    var dhBits: Int? {
        OpenSSL.start()
        return (try? PEM.dhParameters(octets)).map { Int(EVP_PKEY_get_bits($0.pointer)) }
    }
}
