import COpenSSL

extension TLSConnection {
    /// What was agreed on; `nil` before the end of the handshake and after a failure.
    public var session: TLSSessionInfo? {
        guard (try? checkEstablished()) != nil, let cipher = SSL_get_current_cipher(ssl) else { return nil }
        return withExtendedLifetime(self) {
            var peer: TLSSessionInfo.Peer?
            if let pointer = SSL_get1_peer_certificate(ssl) {
                let certificate = Certificate(owning: pointer)
                peer = certificate.fingerprint.map {
                    TLSSessionInfo.Peer(
                        commonName: certificate.commonName ?? "", subject: certificate.subject,
                        issuer: certificate.issuer, fingerprint: $0)
                }
            }
            return TLSSessionInfo(
                protocolName: String(cString: SSL_get_version(ssl)),
                cipher: String(cString: SSL_CIPHER_get_name(cipher)),
                secretBits: Int(SSL_CIPHER_get_bits(cipher, nil)), serverName: state.serverName,
                isResumed: SSL_session_reused(ssl) == 1, peer: peer,
                isPeerVerified: peer != nil && SSL_get_verify_result(ssl) == X509_V_OK,
                verifyError: peer == nil ? nil : verifyError)
        }
    }

    /// Why the peer's certificate did not pass; `nil` if it did.
    var verifyError: String? {
        let result = SSL_get_verify_result(ssl)
        return result == X509_V_OK ? nil : String(cString: X509_verify_cert_error_string(Int(result)))
    }
}
