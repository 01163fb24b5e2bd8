import MailModel

/// AUTH as a client says it (RFC 4954). The SASL exchange itself is the host's: the session carries its messages.
extension ClientSession {
    /// Why there is no session for somebody whom the server knows.
    public enum AuthenticationFailure: Hashable, Sendable {
        /// The server's last word.
        case refused(Reply)
        /// No AUTH, or by no mechanism that may be used here; says so.
        case notPossible(String)
        /// The server has not proved that it knows the password, or does not keep to the mechanism; says so.
        case distrusted(String)
    }

    /// Octets of a command line with its CRLF: what does not fit is said in answer to an empty challenge (RFC 4954 §4).
    private static var maximumCommandLine: Int { 512 }

    /// In answer to ``Action/authenticate(refusal:)``.
    ///
    /// - Parameter initialResponse: `nil`: the mechanism has none, or the server speaks first.
    /// - Returns: whether the response was sent; if not, it is for the first challenge, which is empty.
    @discardableResult
    public mutating func authenticate(
        _ mechanism: String, initialResponse: [UInt8]?, into output: inout [UInt8]
    ) -> Bool {
        guard case .choosingMechanism = state else { return false }
        state = .authenticating
        var line = "AUTH \(mechanism)"
        var isSent = false
        if let initialResponse {
            let response = initialResponse.isEmpty ? "=" : Base64.encode(initialResponse)
            if line.utf8.count + response.utf8.count + 3 <= Self.maximumCommandLine {
                line += " \(response)"
                isSent = true
            }
        }
        output += line.utf8
        output += "\r\n".utf8
        return isSent
    }

    /// In answer to ``Action/challenge(_:)``.
    public mutating func respond(_ response: [UInt8], into output: inout [UInt8]) {
        guard case .challenged = state else { return }
        state = .authenticating
        output += Base64.encode(response).utf8
        output += "\r\n".utf8
    }

    /// In answer to ``Action/authenticated``: the exchange is complete, at both ends.
    public mutating func authenticationCompleted() {
        guard case .accepted = state else { return }
        state = .ready(mustReset: false)
    }

    /// In answer to any of the three: ends the connection.
    public mutating func abandonAuthentication(_ failure: AuthenticationFailure, into output: inout [UInt8]) {
        switch state {
        case .challenged: output += "*\r\nQUIT\r\n".utf8
        case .choosingMechanism, .accepted: output += "QUIT\r\n".utf8
        case .awaitingGreeting, .awaitingHello, .awaitingStartTLS, .startingTLS, .ready, .probing, .transaction,
            .finished, .quitting, .closed, .modifying, .authenticating:
            return
        }
        close(.notAuthenticated(failure))
    }

    /// TLS is there, or done without.
    mutating func secured() {
        state = configuration.authenticates ? .choosingMechanism(refusal: nil) : .ready(mustReset: false)
    }

    mutating func authenticationAnswered(_ reply: Reply, into output: inout [UInt8]) {
        switch reply.code {
        case 235:
            state = .accepted
        case 334:
            let text = reply.lines.count == 1 ? reply.lines[0] : "?"
            guard let challenge = Base64.decode(Array(text.filter { $0 != " " }.utf8)) else {
                state = .challenged([])
                abandonAuthentication(.distrusted("its challenge is no base64"), into: &output)
                return
            }
            state = .challenged(challenge)
        // The mechanism is not known, or too weak for the server, or not for this user (RFC 4954 §4 and §6): another may do.
        case 504, 534, 538:
            state = .choosingMechanism(refusal: reply)
        case 400...:
            output += "QUIT\r\n".utf8
            close(.notAuthenticated(.refused(reply)))
        default:
            close(.outOfStep)
        }
    }
}
