import MailModel

/// Replies to lines that are not well formed (smtpserver.md §7.2–7.5).
extension ServerSession {
    mutating func handle(_ error: CommandSyntaxError, into replies: inout [UInt8]) -> Action? {
        if case .refused(let reply) = state {
            if !countUnknown(into: &replies) { tell(reply, to: &replies) }
            return nil
        }
        switch error.kind {
        case .unknownVerb:
            return unknownCommand(into: &replies)
        case .lineTooLong, .missingCRLF, .nulCharacter, .eightBitCharacter, .controlCharacter:
            if countUnknown(into: &replies) { return nil }
        case .chunkSize(let discard):
            guard let discard else {
                // What follows may be a chunk of any length: nothing behind this line can be trusted.
                tell(501, "5.5.2", "Bad chunk size, closing", to: &replies)
                state = .closed
                return nil
            }
            let reply = Reply(501, EnhancedStatusCode(5, 5, 2), "Syntax error, BDAT takes a chunk size and LAST")
            return refuseChunk(octets: discard, reply, into: &replies)
        case .missingKeyword, .missingArgument, .unexpectedArgument, .spacing, .address, .unknownParameter,
            .duplicateParameter, .parameterValue:
            break
        }
        tell(reply(to: error), to: &replies)
        return nil
    }

    private mutating func refuseChunk(octets: Int, _ reply: Reply, into replies: inout [UInt8]) -> Action? {
        switch state {
        case .betweenChunks:
            state = .discarding(octets: octets, reply: reply, next: .chunksFailed)
            return .discardMessage
        case .transaction, .senderRefused:
            state = .discarding(octets: octets, reply: reply, next: .chunksFailed)
        case .greeting, .refused, .awaitingHello, .askingHello, .idle, .askingSender, .asking, .startingTLS,
            .authenticating, .opening, .data, .chunk,
            .discarding, .chunksFailed, .committing, .closed, .modifying:
            state = .discarding(octets: octets, reply: reply, next: state)
        }
        return nil
    }

    private func reply(to error: CommandSyntaxError) -> Reply {
        let verb = error.verb.map(\.rawValue) ?? ""
        switch error.kind {
        case .lineTooLong(let octets):
            return Reply(500, EnhancedStatusCode(5, 5, 2), "Line too long (\(octets) chars)")
        case .missingCRLF:
            return Reply(500, EnhancedStatusCode(5, 5, 2), "Line not terminated with CRLF..")
        case .nulCharacter:
            return withCaret(500, (5, 5, 2), error, "Illegal input characters: NUL on SMTP input")
        case .eightBitCharacter:
            return withCaret(500, (5, 5, 2), error, "Illegal input characters: 8-bit char on SMTP input")
        case .controlCharacter:
            return withCaret(500, (5, 5, 2), error, "Illegal input characters: Control chars on SMTP input")
        case .unknownVerb, .chunkSize:
            return Reply(500, EnhancedStatusCode(5, 5, 2), "Syntax error, command unrecognized")
        case .missingKeyword:
            let keyword = error.verb == .mail ? "FROM:<" : "TO:<"
            return withCaret(501, (5, 5, 2), error, "Where is '\(keyword)' of \(verb)?")
        case .missingArgument:
            return Reply(501, EnhancedStatusCode(5, 5, 2), "Syntax error, \(verb) takes an argument")
        case .unexpectedArgument where error.verb == .starttls:
            guard configuration.values.extensions.contains(.starttls) else {
                return Reply(502, EnhancedStatusCode(5, 5, 1), "Command not implemented")
            }
            return Reply(501, EnhancedStatusCode(5, 5, 4), "Extra junk following 'STARTTLS' command!")
        case .unexpectedArgument:
            return Reply(501, EnhancedStatusCode(5, 5, 4), "Extra junk after '\(verb)' verb")
        case .spacing:
            return withCaret(501, (5, 5, 2), error, "Exactly one space between words, none after the colon")
        case .address(let kind):
            return addressReply(kind, error)
        case .unknownParameter(let text):
            let parameter = Self.printable(text.utf8)
            if error.verb == .rcpt {
                return withCaret(555, (5, 5, 4), error, "Unknown RCPT TO:<> parameter: \(parameter)")
            }
            // Deviates: ZMailer says 501; RFC 5321 §4.1.1.11 has 555 for both.
            return withCaret(555, (5, 5, 4), error, "Unknown MAIL FROM:<> parameter: \(parameter)")
        case .duplicateParameter(let name):
            return withCaret(501, (5, 5, 4), error, "\(verb) parameter \(name) was given twice")
        case .parameterValue("NOTIFY"):
            // Deviates: ZMailer says 455 4.5.4, with which a client would come again for ever (RFC 3461 §5.1).
            return withCaret(501, (5, 5, 4), error, "NOTIFY takes NEVER, or a list of SUCCESS, FAILURE, DELAY")
        case .parameterValue(let name):
            // Deviates: ZMailer says 4.5.4 for RET and ORCPT; the class must be that of the code (RFC 2034 §4).
            return withCaret(501, (5, 5, 4), error, "\(verb) parameter \(name) has a bad value")
        }
    }

    private func addressReply(_ kind: AddressSyntaxError.Kind, _ error: CommandSyntaxError) -> Reply {
        let input = Self.printable(decoder.line)
        switch kind {
        case .nullPathNotAllowed:
            return withCaret(501, (5, 1, 3), error, "Null address valid only as source: \(input)")
        case .internationalizedNotAllowed:
            // RFC 6531 §3.5
            return withCaret(
                error.verb == .mail ? 550 : 553, (5, 6, 7), error, "Path data: \(AddressSyntaxError(kind, at: 0))")
        case .missingOpeningBracket, .missingClosingBracket, .emptyLocalPart, .localPartTooLong, .invalidLocalPart,
            .unterminatedQuotedString, .missingDomain, .invalidDomain, .invalidAddressLiteral, .invalidSourceRoute,
            .pathTooLong, .invalidUTF8:
            let data = "Path data: \(AddressSyntaxError(kind, at: 0))"
            let status = error.verb == .rcpt ? (5, 1, 3) : (5, 1, 7)
            guard !configuration.values.writesSingleLines else { return withCaret(501, status, error, data) }
            return withCaret(501, status, error, data, "Hi \(peer.literal), that was for input: \(input)")
        }
    }

    /// A line that points at the column, then the texts. The column counts from the start of the command line.
    private func withCaret(
        _ code: Int, _ status: (Int, Int, Int), _ error: CommandSyntaxError, _ texts: String...
    ) -> Reply {
        let caret = String(repeating: " ", count: min(error.offset, 200)) + "^"
        return Reply(code, EnhancedStatusCode(status.0, status.1, status.2), [caret] + texts)
    }
}
