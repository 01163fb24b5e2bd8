import COpenSSL

/// What ties an authentication to this very connection (RFC 5056).
public enum ChannelBinding: String, Hashable, Sendable, CaseIterable {
    /// RFC 9266.
    case tlsExporter = "tls-exporter"
    /// RFC 5929 §3; not defined for TLS 1.3.
    case tlsUnique = "tls-unique"
    /// RFC 5929 §4.
    case tlsServerEndPoint = "tls-server-end-point"
}

extension TLSConnection {
    /// The binding's octets, the same at both ends; `nil` before the end of the handshake, and where the connection has no
    /// binding of the type that is safe.
    public func channelBinding(_ type: ChannelBinding) -> [UInt8]? {
        guard (try? checkEstablished()) != nil else { return nil }
        return withExtendedLifetime(self) {
            defer { ERR_clear_error() }
            switch type {
            case .tlsExporter: return exporter
            case .tlsUnique: return unique
            case .tlsServerEndPoint: return serverEndPoint
            }
        }
    }

    private var isTLS13: Bool { SSL_version(ssl) == TLS1_3_VERSION }

    /// Below TLS 1.3 only with RFC 7627: without it two connections can be given the same secret (RFC 9266 §4.2, and the same
    /// attack on tls-unique).
    private var hasUniqueSecret: Bool { isTLS13 || cossl_has_extended_master_secret(ssl) == 1 }

    private var exporter: [UInt8]? {
        guard hasUniqueSecret else { return nil }
        let label = "EXPORTER-Channel-Binding"
        var octets = [UInt8](repeating: 0, count: 32)
        // The context is there and empty, which is not the same as none (RFC 9266 §2, RFC 5705 §4).
        guard SSL_export_keying_material(ssl, &octets, octets.count, label, label.utf8.count, [], 0, 1) == 1 else {
            return nil
        }
        return octets
    }

    /// The first Finished message of the handshake: the client's, but the server's where a session was resumed.
    private var unique: [UInt8]? {
        guard !isTLS13, hasUniqueSecret else { return nil }
        let isOurs = isServer == (SSL_session_reused(ssl) == 1)
        var octets = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        let count = octets.withUnsafeMutableBytes {
            isOurs
                ? SSL_get_finished(ssl, $0.baseAddress, $0.count) : SSL_get_peer_finished(ssl, $0.baseAddress, $0.count)
        }
        guard (1...octets.count).contains(count) else { return nil }
        return Array(octets.prefix(count))
    }

    /// The digest of the server's certificate by the hash function of its signature, SHA-256 for MD5 and SHA-1. Signatures
    /// without such a function (EdDSA) have no binding.
    private var serverEndPoint: [UInt8]? {
        guard let certificate = isServer ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl) else { return nil }
        var hash: Int32 = 0
        guard OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &hash, nil) == 1, hash != NID_undef else {
            return nil
        }
        let isOld = hash == NID_md5 || hash == NID_sha1
        guard let digest = isOld ? EVP_sha256() : EVP_get_digestbyname(OBJ_nid2sn(hash)) else { return nil }
        var octets = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(certificate, digest, &octets, &count) == 1 else { return nil }
        return Array(octets.prefix(Int(count)))
    }
}
