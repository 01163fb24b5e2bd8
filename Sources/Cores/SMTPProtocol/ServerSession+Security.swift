import MailModel

/// STARTTLS (RFC 3207), and what must come before other commands.
extension ServerSession {
    mutating func receiveStartTLS(hasMoreInput: Bool, into replies: inout [UInt8]) -> Action? {
        guard configuration.values.extensions.contains(.starttls) else {
            tell(502, "5.5.1", "Command not implemented", to: &replies)
            return nil
        }
        guard !surroundings.isSecure else {
            tell(554, "5.5.1", "TLS already active, restart not allowed!", to: &replies)
            return nil
        }
        switch state {
        case .awaitingHello where isGreetingDue:
            tell(waiting(for: "HELO/EHLO"), to: &replies)
            return nil
        case .awaitingHello, .idle, .senderRefused, .chunksFailed:
            break
        case .greeting, .refused, .askingHello, .askingSender, .transaction, .asking, .startingTLS, .authenticating,
            .opening, .data, .chunk, .betweenChunks, .discarding, .committing, .closed, .modifying:
            tell(503, "5.5.1", "STARTTLS is not allowed in a transaction", to: &replies)
            return nil
        }
        guard !hasMoreInput else {
            // RFC 3207 §4: nothing may follow it. What is there came in clear text, from whomever: neither a command of
            // the session behind the handshake nor anything else to be trusted.
            tell(501, "5.5.4", "Extra junk following 'STARTTLS' command!", to: &replies)
            state = .closed
            return nil
        }
        tell(220, "2.0.0", "Ready to start TLS", to: &replies)
        state = .startingTLS
        return .startTLS
    }

    /// The handshake behind STARTTLS is done. Nothing that was said before it holds any more (RFC 3207 §4.2).
    public mutating func tlsStarted() {
        guard case .startingTLS = state else { return }
        surroundings.isSecure = true
        hello = nil
        authenticatedUser = nil
        isVerbose = false
        isBatch = false
        style = configuration.values.style
        held = nil
        decoder = CommandDecoder(maximumLineLength: configuration.values.maximumLineLength)
        state = .awaitingHello
    }

    /// The client is another one (XCLIENT): greet it as if it had just connected.
    ///
    /// - Parameter user: who it has authenticated as with whoever speaks for it.
    public mutating func restart(_ peer: Peer, configuration: ServerConfiguration, user: String? = nil) {
        self.configuration = configuration
        self.peer = peer
        hello = nil
        authenticatedUser = user
        isVerbose = false
        isBatch = false
        style = configuration.values.style
        state = .greeting
    }

    /// Why a command is not even looked at; `nil` if it is.
    func obstacle(to command: Command) -> Reply? {
        let values = configuration.values
        if values.requiresTLS, !surroundings.isSecure {
            switch command {
            case .ehlo, .helo, .lhlo, .starttls, .noop, .onex, .rset, .rsetWithJunk, .help, .quit, .xclient, .crash:
                break
            case .mail, .rcpt, .data, .bdat, .vrfy, .expn, .auth, .etrn, .turn, .verb, .debug, .tick, .send:
                // RFC 3207 §4
                return Reply(530, EnhancedStatusCode(5, 7, 0), "Must issue a STARTTLS command first")
            }
        }
        guard values.requiresAuthentication, authenticatedUser == nil, !surroundings.isTrusted else { return nil }
        switch command {
        case .ehlo, .helo, .lhlo, .starttls, .auth, .noop, .onex, .rset, .rsetWithJunk, .help, .quit, .xclient, .crash:
            return nil
        case .mail, .rcpt, .data, .bdat, .vrfy, .expn, .etrn, .turn, .verb, .debug, .tick, .send:
            guard !isGreetingDue else { return nil }
            if surroundings.mayBeTrusted {
                return Reply(
                    451, EnhancedStatusCode(4, 4, 3), "Who you are cannot be found out now; authenticate, or come again"
                )
            }
            // RFC 4954 §6, RFC 6409 §4.3
            return Reply(530, EnhancedStatusCode(5, 7, 0), "Sorry \(peer.literal); Authentication required")
        }
    }

    /// The octets of a refused BDAT are no commands either.
    mutating func refuse(_ command: Command, _ reply: Reply, into replies: inout [UInt8]) -> Action? {
        if case .bdat(let octets, _) = command {
            state = .discarding(octets: octets, reply: reply, next: state)
        } else {
            tell(reply, to: &replies)
        }
        return nil
    }
}
