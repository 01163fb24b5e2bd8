import COpenSSL

// What the library calls in the midst of a call of ours. Soundness: each gets the `SSL` of that call, by which it reaches the
// `ConnectionState` that the `SSL` keeps alive; nothing else is touched, and no pointer is kept but the session that is handed over.

/// Chooses the certificate by the name that the client asks for. An unknown name gets the default certificate and never an
/// alert: a sender that checks names will decide, one that does not still gets encryption.
func selectContext(
    _ ssl: OpaquePointer?, _: UnsafeMutablePointer<Int32>?, _: UnsafeMutableRawPointer?
) -> Int32 {
    guard let ssl, let text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), let state = ConnectionState.of(ssl)
    else { return SSL_TLSEXT_ERR_NOACK }
    let name = ServerNames.normalized(String(cString: text))
    guard ServerNames.isName(name) else { return SSL_TLSEXT_ERR_NOACK }
    state.serverName = name
    if let context = state.serverNames?.context(for: name) { SSL_set_SSL_CTX(ssl, context.pointer) }
    // Taken note of even if no certificate has it: TLS 1.2 then keeps the name with the session.
    return SSL_TLSEXT_ERR_OK
}

/// Judges the certificate of a server by the connection's ``TLSVerification``; 1: go on.
func judgeServer(_ store: OpaquePointer?, _: UnsafeMutableRawPointer?) -> Int32 {
    guard let store,
        let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
        let state = ConnectionState.of(OpaquePointer(ssl)), let leaf = X509_STORE_CTX_get0_cert(store)
    else { return 0 }
    return ServerJudgement(store: store, leaf: leaf, verification: state.verification).decide()
}

/// Takes over a client's session (the answer 1 says so).
func keepSession(_ ssl: OpaquePointer?, _ session: OpaquePointer?) -> Int32 {
    guard let ssl, let session, let state = ConnectionState.of(ssl) else { return 0 }
    let scope = TLSClientSession.Scope(serverName: state.serverName, verification: state.verification)
    state.session = TLSClientSession(owning: session, scope: scope)
    return 1
}
