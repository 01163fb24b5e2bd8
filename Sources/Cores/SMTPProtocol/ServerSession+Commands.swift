import MailModel

/// Commands outside a message: which is allowed when.
extension ServerSession {
    /// Reads and handles one command; `nil` when there may be more to do without the host.
    mutating func receiveCommand(
        _ octets: UnsafeRawBufferPointer, used: inout Int, into replies: inout [UInt8]
    ) -> Action? {
        if case .transaction(_, let pending) = state, !pending.isEmpty,
            held != nil || pending.count >= configuration.values.maximumOpenQuestions
        {
            return .awaitAnswer
        }
        let result: Result<Command, CommandSyntaxError>
        if let waiting = held {
            held = nil
            result = waiting
        } else {
            let (consumed, decoded) = decoder.decode(octets.from(used), options: parserOptions)
            used += consumed
            guard let decoded else {
                if case .transaction(_, let pending) = state, !pending.isEmpty { return .awaitAnswer }
                return .needInput
            }
            recordCommand(replies)
            result = decoded
        }
        if case .transaction(let transaction, let pending) = state, !pending.isEmpty {
            // Only another recipient can go on; anything else waits, so that replies keep their order.
            guard case .success(.rcpt) = result,
                transaction.recipients.count + pending.count < recipientLimit(transaction)
            else {
                held = result
                return .awaitAnswer
            }
        }
        if case .betweenChunks = state, case .success(let command) = result, command.endsTransaction {
            // First the host drops what it has of the message, then the command is handled.
            state = .idle
            held = result
            return .discardMessage
        }
        switch result {
        case .success(let command):
            return handle(command, hasMoreInput: used < octets.count, into: &replies)
        case .failure(let error):
            return handle(error, into: &replies)
        }
    }

    private var parserOptions: CommandParser.Options {
        let values = configuration.values
        var extensions = values.extensions
        if !surroundings.isSecure { extensions.remove(.requireTLS) }
        if !offersHold { extensions.remove(.futureRelease) }
        var isSMTPUTF8 = false
        if case .transaction(let transaction, _) = state { isSMTPUTF8 = transaction.mail.isSMTPUTF8 }
        return CommandParser.Options(
            style: style, extensions: extensions, isSMTPUTF8: isSMTPUTF8, knowsDebug: values.enablesDebug,
            knowsXCLIENT: surroundings.mayChangeClient, defaultDomain: values.hostName)
    }

    private mutating func recordCommand(_ replies: [UInt8]) {
        guard transcript != nil else { return }
        record(replies)
        let text = commandText
        transcript?.append(.received(text))
    }

    private mutating func handle(
        _ command: Command, hasMoreInput: Bool, into replies: inout [UInt8]
    ) -> Action? {
        if case .auth = command { decoder.wipe(leaving: "AUTH") }
        if case .refused(let reply) = state { return handleRefused(command, reply, into: &replies) }
        if let obstacle = obstacle(to: command) { return refuse(command, obstacle, into: &replies) }
        let values = configuration.values
        switch command {
        case .helo(let argument):
            return values.isLMTP ? unknownCommand(into: &replies) : receiveHello(.helo, argument, into: &replies)
        case .ehlo(let argument):
            guard !values.isLMTP, values.extensions.contains(.ehlo) else { return unknownCommand(into: &replies) }
            return receiveHello(.ehlo, argument, into: &replies)
        case .lhlo(let argument):
            return values.isLMTP ? receiveHello(.lhlo, argument, into: &replies) : unknownCommand(into: &replies)
        case .mail(let mail):
            return isTooEager(hasMoreInput, into: &replies) ? nil : receiveMail(mail, into: &replies)
        case .rcpt(let recipient):
            return isTooEager(hasMoreInput, into: &replies) ? nil : receiveRecipient(recipient, into: &replies)
        case .data:
            return isTooEager(hasMoreInput, into: &replies) ? nil : receiveDataCommand(into: &replies)
        case .bdat(let octets, let isLast):
            return receiveChunkCommand(octets, isLast: isLast, into: &replies)
        case .rset, .rsetWithJunk:
            reset()
            if command == .rset {
                tell(250, "2.0.0", "Reset processed, now waiting for MAIL command", to: &replies)
            } else {
                tell(501, "5.5.4", "Extra junk after 'RSET' verb; RSET processed anyway", to: &replies)
            }
        case .noop, .onex:
            tell(250, "2.0.0", "Ok", to: &replies)
        case .help(let topic):
            tell(help(topic), to: &replies)
        case .vrfy(let argument):
            return receiveVerify(argument, into: &replies)
        case .expn(let argument):
            return receiveExpand(argument, into: &replies)
        case .quit:
            tell(Reply(221, EnhancedStatusCode(2, 0, 0), "\(values.hostName) Out"), to: &replies)
            state = .closed
        case .starttls:
            return receiveStartTLS(hasMoreInput: hasMoreInput, into: &replies)
        case .auth(let arguments):
            return receiveAuthentication(arguments, into: &replies)
        case .etrn(let domain):
            return receiveStartQueue(domain, into: &replies)
        case .xclient(let attributes):
            return receiveChangeClient(attributes, into: &replies)
        case .verb:
            isVerbose = true
            tell(
                Reply(250, EnhancedStatusCode(2, 0, 0), ["ZMailer SMTP server \(values.version)", "Verbose"]),
                to: &replies)
        case .debug:
            return receiveDebug(into: &replies)
        case .tick(let text):
            isBatch = true
            tell(Reply(250, EnhancedStatusCode(2, 0, 0), "TICK \(Self.printable(text.utf8))"), to: &replies)
        case .turn, .send:
            tell(502, "5.5.1", "Command not implemented", to: &replies)
        case .crash:
            crash()
        }
        return nil
    }

    /// The peer is not wanted: only QUIT and HELP are answered (smtpserver.md §7.1), and not for ever.
    private mutating func handleRefused(_ command: Command, _ reply: Reply, into replies: inout [UInt8]) -> Action? {
        switch command {
        case .quit:
            tell(Reply(221, EnhancedStatusCode(2, 0, 0), "\(configuration.values.hostName) Out"), to: &replies)
            state = .closed
        case .help(let topic):
            tell(help(topic), to: &replies)
        case .bdat(let octets, _):
            state = .discarding(octets: octets, reply: reply, next: .refused(reply))
        case .helo, .ehlo, .lhlo, .mail, .rcpt, .data, .rset, .rsetWithJunk, .noop, .onex, .vrfy, .expn, .starttls,
            .auth, .etrn, .xclient, .turn, .verb, .debug, .tick, .send, .crash:
            if !countUnknown(into: &replies) { tell(reply, to: &replies) }
        }
        return nil
    }

    /// Ends the transaction (RFC 5321 §4.1.1.5); the greeting stays.
    mutating func reset() {
        switch state {
        case .greeting, .refused, .awaitingHello, .closed:
            break
        case .askingHello, .idle, .askingSender, .senderRefused, .transaction, .asking, .startingTLS, .authenticating,
            .opening, .data, .chunk,
            .betweenChunks, .discarding, .chunksFailed, .committing, .modifying:
            state = .idle
        }
    }

    /// A client that sends a whole transaction without a greeting is no mail client (smtpserver.md §7.2).
    private mutating func isTooEager(_ hasMoreInput: Bool, into replies: inout [UInt8]) -> Bool {
        guard isGreetingDue, hasMoreInput else { return false }
        let text = "HELLO \(peer.literal), YOU ARE SENDING PIPELINED INPUT, BUT DIDN'T GREET PROPERLY WITH EHLO"
        tell(Reply(550, EnhancedStatusCode(5, 7, 1), text), to: &replies)
        state = .closed
        return true
    }

    /// Counts and answers a line that is no command of ours; at the limit the session ends.
    mutating func unknownCommand(into replies: inout [UInt8]) -> Action? {
        let line = Self.printable(decoder.line)
        if countUnknown(into: &replies) { return nil }
        // A confused client that talks back in replies gets no answer to them (smtpserver.md §7.2).
        if line.hasPrefix("550") { return nil }
        tell(Reply(550, EnhancedStatusCode(5, 5, 2), "Unknown command '\(line)'"), to: &replies)
        return nil
    }

    /// Whether that was one too many.
    mutating func countUnknown(into replies: inout [UInt8]) -> Bool {
        unknownCommands += 1
        guard unknownCommands >= configuration.values.maximumUnknownCommands else { return false }
        let text = "Hi \(peer.literal), One too many unknown command '\(commandText.prefix(200))'"
        tell(Reply(550, EnhancedStatusCode(5, 5, 2), text), to: &replies)
        state = .closed
        return true
    }

    // MARK: VRFY and EXPN

    private mutating func receiveVerify(_ argument: String, into replies: inout [UInt8]) -> Action? {
        if isGreetingDue {
            tell(waiting(for: "HELO/EHLO"), to: &replies)
            return nil
        }
        guard configuration.values.enablesVRFY, style.contains(.verifies) else {
            // RFC 5321 §7.3: where VRFY is turned off, 252 is the answer that breaks no client.
            tell(252, "2.5.2", "Cannot VRFY user, but will accept message and attempt delivery", to: &replies)
            return nil
        }
        state = .asking(.verify, next: state)
        return .ask(.verify(argument))
    }

    private mutating func receiveExpand(_ argument: String, into replies: inout [UInt8]) -> Action? {
        if isGreetingDue {
            tell(waiting(for: "HELO/EHLO"), to: &replies)
            return nil
        }
        guard configuration.values.enablesEXPN, style.contains(.expands) else {
            tell(502, "5.4.0", "Command not implemented", to: &replies)
            return nil
        }
        state = .asking(.expand, next: state)
        return .ask(.expand(argument))
    }

    mutating func answerQuery(_ query: Query, _ answer: Answer, into replies: inout [UInt8]) {
        switch answer {
        case .reply(let reply), .close(let reply):
            tell(reply, to: &replies)
        case .accept, .acceptStyle, .challenge, .authenticated:
            switch query {
            case .verify:
                tell(252, "2.5.2", "Cannot VRFY user, but will accept message and attempt delivery", to: &replies)
            case .expand:
                tell(501, "5.4.0", "Unable to expand that address", to: &replies)
            case .startQueue, .changeClient, .debug:
                tell(451, "4.3.0", "Requested action aborted: local error in processing", to: &replies)
            }
        }
    }
}

extension Command {
    /// Whether it makes an open transaction void (RFC 5321 §4.1.4, §4.1.1.5).
    fileprivate var endsTransaction: Bool {
        switch self {
        case .ehlo, .helo, .lhlo, .rset, .rsetWithJunk: true
        case .mail, .rcpt, .data, .bdat, .noop, .help, .vrfy, .expn, .quit, .starttls, .auth, .etrn, .xclient, .turn,
            .verb, .debug, .onex, .tick, .send, .crash:
            false
        }
    }
}
