import COpenSSL
import MailModel

/// The server's end of connections: certificates, keys and settings. Immutable; any number of threads and connections share it,
/// and connections that began with it keep it alive after it was replaced.
public final class TLSServerContext: Sendable {
    /// The certificate of one identity.
    private struct Shown: Sendable {
        let file: String
        let names: [String]
        let keyType: String
        let notAfter: Int64?
        let summary: String
    }

    let base: SSLContext
    let serverNames: ServerNames
    private let shown: [Shown]

    /// Forward secrecy only; what has authenticated encryption first. The older ones keep senders from falling back to clear text.
    static let defaultCipherList =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
        + "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
        + "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305:"
        + "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"
        + "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:"
        + "DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256"
    /// Behind them, if there is a DSA certificate.
    private static let dsaCipherList = ":DHE-DSS-AES128-GCM-SHA256:DHE-DSS-AES256-GCM-SHA384:DHE-DSS-AES128-SHA256"
    /// Behind them, for protocols below TLS 1.2: what their peers have.
    private static let oldCipherList = ":DHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:AES128-SHA:AES256-SHA"

    /// Throws what is wrong with the files or the settings; nothing is read but the folder of authorities.
    public init(_ material: TLSMaterial, _ settings: TLSServerSettings) throws(TLSFailure) {
        guard let identity = material.identity else {
            throw TLSFailure(.configuration, "a server needs a certificate and its key")
        }
        let authorities = try material.trustedCertificates()
        let identities = material.identities
        var facts: [(shown: Shown, type: Int32)] = []
        for each in identities {
            let parsed = try each.parsed()
            facts.append((Self.shown(each, parsed.certificate), EVP_PKEY_get_base_id(parsed.key.pointer)))
        }
        var ciphers = settings.cipherList ?? Self.defaultCipherList
        if settings.cipherList == nil {
            if facts.contains(where: { $0.type == EVP_PKEY_DSA }) { ciphers += Self.dsaCipherList }
            if settings.minimumProtocol < .tls12 { ciphers += Self.oldCipherList }
        }
        let scope = Self.sessionScope(material, settings)
        var first: SSLContext?
        func make() throws(TLSFailure) -> SSLContext {
            let context = try SSLContext(method: TLS_server_method())
            try Self.configure(context, settings, ciphers, material.dhParameters, scope)
            if let first {
                cossl_share_store(context.pointer, first.pointer)
            } else {
                try context.trust(authorities, folder: settings.authoritiesFolder)
                first = context
            }
            try Self.ask(context, settings, authorities)
            return context
        }

        base = try make()
        try base.use(identity, authorities: authorities)
        var names = ServerNames()
        names.add(facts[0].shown.names, base)
        var rest = Array(zip(identities, facts)).dropFirst()
        if material.secondIdentity != nil, let (second, fact) = rest.popFirst() {
            guard fact.type != facts[0].type else {
                throw TLSFailure(
                    .configuration, file: second.certificateFile,
                    "the second certificate's key must be of another type than the first one's, \(facts[0].shown.keyType)"
                )
            }
            try base.use(second, authorities: authorities)
            names.add(fact.shown.names, base)
        }
        var named: [(context: SSLContext, names: Set<String>, types: Set<Int32>)] = []
        for (each, fact) in rest {
            let set = Set(fact.shown.names.map(ServerNames.normalized))
            // The same names with keys of two types: one context, and the client's abilities decide.
            if let index = named.firstIndex(where: { $0.names == set && !$0.types.contains(fact.type) }) {
                try named[index].context.use(each, authorities: authorities)
                named[index].types.insert(fact.type)
                continue
            }
            let context = try make()
            try context.use(each, authorities: authorities)
            names.add(fact.shown.names, context)
            named.append((context, set, [fact.type]))
        }
        if settings.isResumptionOn, !material.ticketKey.isEmpty {
            try base.check(
                cossl_set_ticket_keys(base.pointer, material.ticketKey, material.ticketKey.count), "ticket key")
        }
        cossl_set_server_name_callback(base.pointer, selectContext)
        serverNames = names
        shown = facts.map(\.shown)
    }

    /// A line for each certificate, for the log.
    public var summaries: [String] { shown.map(\.summary) }

    /// Seconds since 1970, of the certificate that ends first.
    public var notAfter: Int64? { shown.compactMap(\.notAfter).min() }

    // MARK: Setting up

    private static func configure(
        _ context: SSLContext, _ settings: TLSServerSettings, _ ciphers: String, _ dhParameters: [TLSMaterial.Text],
        _ scope: [UInt8]
    ) throws(TLSFailure) {
        let pointer = context.pointer
        try context.setProtocols(settings.minimumProtocol, settings.maximumProtocol)
        try context.setCiphers(list: ciphers, suites: settings.cipherSuites)
        try context.setGroups()
        try context.setDHParameters(dhParameters)
        cossl_prefer_server_ciphers(pointer)
        try context.check(SSL_CTX_set_session_id_context(pointer, scope, UInt32(scope.count)), "session id context")
        let seconds = min(max(settings.sessionLifetime.components.seconds, 1), 604_800)
        SSL_CTX_set_timeout(pointer, Int(seconds))
        let isCached = settings.isResumptionOn && settings.isSessionCacheUsed
        cossl_set_session_cache(
            pointer, isCached ? Int(SSL_SESS_CACHE_SERVER) : Int(SSL_SESS_CACHE_OFF),
            max(1, settings.sessionCacheSize))
        // A mail client opens few connections at a time: one ticket will do.
        try context.check(SSL_CTX_set_num_tickets(pointer, settings.isResumptionOn ? 1 : 0), "tickets")
        if !settings.isResumptionOn { cossl_disable_tickets(pointer) }
    }

    private static func ask(
        _ context: SSLContext, _ settings: TLSServerSettings, _ authorities: [Certificate]
    ) throws(TLSFailure) {
        SSL_CTX_set_verify_depth(context.pointer, Int32(clamping: settings.verifyDepth))
        switch settings.clientCertificates {
        case .none: return
        case .ask: SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, { _, _ in 1 })
        case .require: SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        }
        // The list helps clients with several certificates to choose. A bundle of all public authorities would be 16 KiB in each
        // handshake and no help.
        guard authorities.count <= 30 else { return }
        for certificate in authorities {
            try context.check(SSL_CTX_add_client_CA(context.pointer, certificate.pointer), "names of authorities")
        }
    }

    /// A session is resumed only where its client would have been judged by the same rules: otherwise one made without a
    /// certificate would pass where one is required.
    private static func sessionScope(_ material: TLSMaterial, _ settings: TLSServerSettings) -> [UInt8] {
        var text = Array("zmailer \(settings.clientCertificates) \(settings.verifyDepth) ".utf8)
        text += Array((settings.authoritiesFolder ?? "").utf8) + [0]
        text += material.authorities?.octets ?? []
        var digest = [UInt8](repeating: 0, count: 32)
        _ = SHA256(text, text.count, &digest)
        return digest
    }

    private static func shown(_ identity: TLSMaterial.Identity, _ certificate: Certificate) -> Shown {
        let names = certificate.dnsNames
        let end = certificate.notAfter.map { CalendarDate(unixTime: $0).rfc3339 } ?? "never"
        let list = names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", …" : "")
        return Shown(
            file: identity.certificateFile, names: names, keyType: certificate.keyType, notAfter: certificate.notAfter,
            summary: LogText.line(
                "\(identity.certificateFile): \(certificate.subject), for \(list), issued by \(certificate.issuer), "
                    + "\(certificate.keyType), until \(end)", limit: 1000))
    }
}
