import MailModel

/// What the host is given of an AUTH exchange, decoded (RFC 4954 §4). It may hold a password: not for logs.
public enum AuthenticationStep: Hashable, Sendable {
    /// - Parameter initialResponse: `nil` if there is none, which differs from an empty one.
    case begin(mechanism: String, initialResponse: [UInt8]?)
    case response([UInt8])
}

/// AUTH (RFC 4954). The mechanisms are the host's; the session knows base64, and when AUTH is allowed.
extension ServerSession {
    /// Octets of a line of an exchange, CRLF included (RFC 4954 §4).
    static let maximumAuthenticationLine = 12_288
    /// Refused attempts that end the session.
    static let maximumAuthenticationFailures = 5

    mutating func receiveAuthentication(_ arguments: String, into replies: inout [UInt8]) -> Action? {
        defer { decoder.wipe(leaving: "AUTH") }
        let values = configuration.values
        guard !values.mechanisms.isEmpty else {
            tell(502, "5.5.1", "Command not implemented", to: &replies)
            return nil
        }
        switch state {
        case .idle where hello?.kind != .helo, .senderRefused where hello?.kind != .helo, .chunksFailed:
            break
        case .awaitingHello, .idle, .senderRefused:
            tell(waiting(for: "EHLO"), to: &replies)
            return nil
        case .greeting, .refused, .askingHello, .askingSender, .transaction, .asking, .startingTLS, .authenticating,
            .opening, .data, .chunk, .betweenChunks, .discarding, .committing, .closed, .modifying:
            tell(503, "5.5.1", "AUTH is not allowed in a transaction", to: &replies)
            return nil
        }
        guard authenticatedUser == nil else {
            tell(503, "5.5.1", "Already authenticated", to: &replies)
            return nil
        }
        let words = arguments.utf8.split(whereSeparator: CommandParser.isBlank)
        guard (1...2).contains(words.count) else {
            tell(501, "5.5.4", "AUTH takes a mechanism, and a response in base64 if there is one", to: &replies)
            return nil
        }
        let mechanism = String(decoding: words[0], as: UTF8.self).uppercased()
        let available = configuration.mechanisms(isSecure: surroundings.isSecure)
        guard available.contains(mechanism) else {
            if values.mechanisms.contains(mechanism) {
                let text = "Hello \(peer.literal), Plaintext password authentication must be run under SSL/TLS"
                // RFC 4954 §4
                tell(Reply(538, EnhancedStatusCode(5, 7, 11), text), to: &replies)
            } else {
                let text = "Hello \(peer.literal), Only 'AUTH \(available.joined(separator: " "))' supported."
                tell(Reply(504, EnhancedStatusCode(5, 5, 4), text), to: &replies)
            }
            return nil
        }
        var initialResponse: [UInt8]?
        if words.count == 2 {
            guard let octets = Self.decoded(words[1]) else { return refuseBase64(into: &replies) }
            initialResponse = octets
        }
        state = .authenticating(.awaitingAnswer)
        return .ask(.authentication(.begin(mechanism: mechanism, initialResponse: initialResponse)))
    }

    /// A line behind 334.
    mutating func receiveResponse(
        _ octets: UnsafeRawBufferPointer, used: inout Int, into replies: inout [UInt8]
    ) -> Action? {
        let (consumed, result) = decoder.decodeText(octets.from(used), limit: Self.maximumAuthenticationLine)
        used += consumed
        guard let result else { return .needInput }
        let isCancelled = decoder.line == [UInt8(ascii: "*")]
        let response = decoder.line.isEmpty ? [] : Base64.decode(decoder.line)
        decoder.wipe(leaving: "AUTH")
        if transcript != nil {
            record(replies)
            transcript?.append(.received("**base64-response**"))
        }
        state = .idle
        if case .failure = result {
            tell(500, "5.5.6", "Authentication exchange line is too long", to: &replies)
            countAuthenticationFailure(into: &replies)
            return nil
        }
        if isCancelled {
            tell(501, "5.7.0", "AUTH command cancelled", to: &replies)
            countAuthenticationFailure(into: &replies)
            return nil
        }
        guard let response else { return refuseBase64(into: &replies) }
        state = .authenticating(.awaitingAnswer)
        return .ask(.authentication(.response(response)))
    }

    mutating func answerAuthentication(_ answer: Answer, into replies: inout [UInt8]) {
        state = .idle
        switch answer {
        case .challenge(let octets):
            state = .authenticating(.awaitingResponse)
            // No status: it is no reply that tells of success or failure (RFC 2034 §4).
            tell(Reply(334, nil, Base64.encode(octets)), to: &replies)
        case .authenticated(let user):
            authenticatedUser = user
            tell(235, "2.7.0", "Authentication successful", to: &replies)
        case .accept, .acceptStyle:
            tell(451, "4.3.0", "Requested action aborted: local error in processing", to: &replies)
        case .reply(let reply), .close(let reply):
            tell(reply, to: &replies)
            if reply.isPermanent { countAuthenticationFailure(into: &replies) }
        }
    }

    private mutating func countAuthenticationFailure(into replies: inout [UInt8]) {
        authenticationFailures += 1
        guard authenticationFailures >= Self.maximumAuthenticationFailures else { return }
        tell(421, "4.7.0", "Too many authentication failures, closing", to: &replies)
        state = .closed
    }

    /// `=` stands for a response without octets (RFC 4954 §4).
    private static func decoded(_ word: some Collection<UInt8>) -> [UInt8]? {
        word.elementsEqual([UInt8(ascii: "=")]) ? [] : Base64.decode(word)
    }

    private mutating func refuseBase64(into replies: inout [UInt8]) -> Action? {
        tell(501, "5.5.2", "Cannot decode the response: it must be base64", to: &replies)
        countAuthenticationFailure(into: &replies)
        return nil
    }
}
