import COpenSSL
import MailModel

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
                secretBits: Int(SSL_CIPHER_get_bits(cipher, nil)), serverName: serverName,
                isResumed: SSL_session_reused(ssl) == 1, peer: peer,
                isPeerVerified: peer != nil && SSL_get_verify_result(ssl) == X509_V_OK,
                verifyError: peer == nil ? nil : verifyError)
        }
    }

    /// The name that the client asked for, if it has only characters of domain names.
    private var serverName: String? {
        guard isServer else { return state.serverName }
        guard let text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return nil }
        let name = String(cString: text)
        let isName = name.utf8.allSatisfy { octet in
            switch octet {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
            default: false
            }
        }
        return isName && (1...255).contains(name.utf8.count) ? asciiLowercased(name) : nil
    }

    /// Why the peer's certificate did not pass; `nil` if it did.
    var verifyError: String? {
        let result = SSL_get_verify_result(ssl)
        return result == X509_V_OK ? nil : String(cString: X509_verify_cert_error_string(Int(result)))
    }
}
