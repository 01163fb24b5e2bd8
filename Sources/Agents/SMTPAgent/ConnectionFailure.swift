/// Why no session stands. Temporary, but for messages with REQUIRETLS.
struct ConnectionFailure: Error, Hashable {
    enum Cause: Hashable {
        /// There is no connection, or it came to nothing: the place is left alone for a while.
        case connection
        /// A reply was the reason: the host is alive, and does not want this connection.
        case refusal
        /// The host is alive, and does not do TLS as the destination's policy wants it. `isLasting`: a repetition will not help.
        case tls(isLasting: Bool)
        /// The host is alive, and does not know us: a matter for the operator, and no reason to return mail.
        case authentication
    }
    let text: String
    /// `4.4.1`
    let status: String
    let cause: Cause
    /// TLS was begun and came to nothing: without it there may be a session.
    let mayWorkInClearText: Bool

    init(text: String, status: String, _ cause: Cause, mayWorkInClearText: Bool = false) {
        self.text = text
        self.status = status
        self.cause = cause
        self.mayWorkInClearText = mayWorkInClearText
    }

    /// Before a session stood.
    init(_ error: TransportError, _ endpoint: Endpoint, hasBegunTLS: Bool) {
        let text = "\(endpoint.relay): \(error)"
        switch error {
        case .tls(_, let isLasting):
            self.init(text: text, status: "4.7.5", .tls(isLasting: isLasting), mayWorkInClearText: true)
        case .system, .timedOut, .closedByPeer, .noContent:
            guard hasBegunTLS else {
                self.init(text: text, status: "4.4.2", .connection)
                return
            }
            self.init(
                text: text + " while starting TLS", status: "4.7.5", .connection, mayWorkInClearText: true)
        }
    }

    /// For a message with REQUIRETLS: why no repetition will help (RFC 8689 §4.2.1); `nil`: one may.
    var permanentStatus: String? {
        guard case .tls(isLasting: true) = cause else { return nil }
        return status == Self.noREQUIRETLS ? "5.7.30" : "5.7.10"
    }

    /// Whether any message would have fared so: TLS as one destination or message wants it, and who we are, say nothing about others.
    var isOfThePlace: Bool {
        switch cause {
        case .connection, .refusal: true
        case .tls, .authentication: false
        }
    }

    private static let noREQUIRETLS = "4.7.30"

    /// The host does TLS and has proved who it is, and does not offer REQUIRETLS.
    static func withoutREQUIRETLS(_ endpoint: Endpoint) -> ConnectionFailure {
        ConnectionFailure(
            text: "\(endpoint.relay): the message has REQUIRETLS, and this host does not offer that",
            status: noREQUIRETLS, .tls(isLasting: true))
    }
}
