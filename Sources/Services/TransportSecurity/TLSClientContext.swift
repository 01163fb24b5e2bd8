import COpenSSL

/// The client's end of connections: what is trusted, an own certificate, settings. Immutable and shared like
/// ``TLSServerContext``.
public final class TLSClientContext: Sendable {
    let base: SSLContext

    /// `material`: trusted certificates and, if the client has one, its own certificate.
    public init(_ material: TLSMaterial, _ settings: TLSClientSettings) throws(TLSFailure) {
        let context = try SSLContext(method: TLS_client_method())
        try context.setProtocols(settings.minimumProtocol, settings.maximumProtocol)
        try context.setCiphers(list: settings.cipherList, suites: settings.cipherSuites)
        try context.setGroups()
        let authorities = try material.trustedCertificates()
        try context.trust(authorities, folder: settings.authoritiesFolder)
        if settings.isSystemStoreTrusted {
            try context.check(SSL_CTX_set_default_verify_paths(context.pointer), "the system's trusted certificates")
        }
        for identity in [material.identity, material.secondIdentity].compactMap(\.self) {
            try context.use(identity, authorities: authorities)
        }
        SSL_CTX_set_verify_depth(context.pointer, Int32(clamping: settings.verifyDepth))
        SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        SSL_CTX_set_cert_verify_callback(context.pointer, judgeServer, nil)
        // Sessions are handed to the connection; the library keeps none.
        cossl_set_session_cache(
            context.pointer, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL), 1)
        SSL_CTX_sess_set_new_cb(context.pointer, keepSession)
        base = context
    }
}
