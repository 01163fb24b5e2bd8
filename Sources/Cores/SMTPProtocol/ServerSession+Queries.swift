import MailModel

/// ETRN (RFC 1985), XCLIENT and Z-DEBUG: commands whose replies are the host's.
extension ServerSession {
    /// Whether no transaction is open, and a greeting was there; otherwise it is answered.
    private mutating func isBetweenTransactions(_ verb: StaticString, into replies: inout [UInt8]) -> Bool {
        switch state {
        case .awaitingHello where isGreetingDue:
            tell(waiting(for: "HELO/EHLO"), to: &replies)
            return false
        case .awaitingHello, .idle, .senderRefused, .chunksFailed:
            return true
        case .greeting, .refused, .askingHello, .askingSender, .transaction, .asking, .startingTLS, .authenticating,
            .opening, .data, .chunk, .betweenChunks, .discarding, .committing, .closed, .modifying:
            tell(Reply(503, EnhancedStatusCode(5, 5, 1), "\(verb) is not allowed in a transaction"), to: &replies)
            return false
        }
    }

    mutating func receiveStartQueue(_ domain: String, into replies: inout [UInt8]) -> Action? {
        guard configuration.values.extensions.contains(.etrn) else { return unknownCommand(into: &replies) }
        guard isBetweenTransactions("ETRN", into: &replies) else { return nil }
        guard let first = domain.utf8.first else {
            tell(501, "5.5.4", "ETRN needs target domain name parameter.", to: &replies)
            return nil
        }
        // RFC 1985 §5.3 has @domain and #queue beside names: neither is for strangers (smtpserver.md §8).
        let isName = (0x30...0x39).contains(first) || (0x41...0x5a).contains(first & 0xdf)
        guard isName, DomainName(domain) != nil else {
            tell(459, "4.7.1", "Sorry, only literal target domains accepted.", to: &replies)
            return nil
        }
        state = .asking(.startQueue, next: state)
        return .ask(.startQueue(domain))
    }

    mutating func receiveChangeClient(_ attributes: String, into replies: inout [UInt8]) -> Action? {
        guard surroundings.mayChangeClient else { return unknownCommand(into: &replies) }
        switch state {
        case .awaitingHello, .idle, .senderRefused, .chunksFailed:
            break
        case .greeting, .refused, .askingHello, .askingSender, .transaction, .asking, .startingTLS, .authenticating,
            .opening, .data, .chunk, .betweenChunks, .discarding, .committing, .closed, .modifying:
            tell(503, "5.5.1", "XCLIENT is not allowed in a transaction", to: &replies)
            return nil
        }
        state = .asking(.changeClient, next: state)
        return .ask(.changeClient(attributes))
    }

    mutating func receiveDebug(into replies: inout [UInt8]) -> Action? {
        guard isVerbose else {
            tell(503, "5.5.1", "VERB comes first", to: &replies)
            return nil
        }
        state = .asking(.debug, next: state)
        return .ask(.debug)
    }

    /// Only in debug builds, and only with DEBUGcmd, is the verb known (``CommandParser``).
    func crash() { preconditionFailure("Z-CRASH") }
}
