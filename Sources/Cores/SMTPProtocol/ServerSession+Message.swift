import MailModel

/// DATA and BDAT (RFC 5321 §4.1.1.4, RFC 3030).
extension ServerSession {
    // MARK: the commands

    /// Why no message can begin now; `nil` if it can.
    private func obstacle() -> Reply? {
        switch state {
        case .transaction(let transaction, _):
            guard transaction.recipients.isEmpty else { return nil }
            if configuration.values.isLMTP {
                // RFC 2033 §4.2
                return Reply(503, EnhancedStatusCode(5, 5, 1), "No valid recipients")
            }
            return Reply(
                550, EnhancedStatusCode(5, 1, 3), "No valid recipients at RCPT addresses, or no RCPT addresses at all")
        case .senderRefused:
            return Reply(550, EnhancedStatusCode(5, 1, 7), "No valid sender, rejecting all recipients")
        case .awaitingHello where isGreetingDue:
            return waiting(for: "HELO/EHLO")
        case .chunksFailed:
            return Reply(452, EnhancedStatusCode(4, 3, 0), "BDAT block discarded due to earlier error")
        case .greeting, .refused, .awaitingHello, .askingHello, .idle, .askingSender, .asking, .startingTLS,
            .authenticating, .opening, .data, .chunk,
            .betweenChunks, .discarding, .committing, .closed, .modifying:
            return Reply(503, EnhancedStatusCode(5, 5, 2), "Bad sequence of commands, no transaction is open")
        }
    }

    mutating func receiveDataCommand(into replies: inout [UInt8]) -> Action? {
        if case .betweenChunks = state {
            // RFC 3030 §2: DATA and BDAT cannot be mixed; the message begun with BDAT is lost.
            state = .chunksFailed
            tell(503, "5.5.1", "DATA may not follow BDAT in one transaction", to: &replies)
            return .discardMessage
        }
        if case .chunksFailed = state {
            tell(503, "5.5.1", "Bad sequence of commands", to: &replies)
            return nil
        }
        if let obstacle = obstacle() {
            tell(obstacle, to: &replies)
            switch state {
            case .transaction, .senderRefused: state = .idle
            case .greeting, .refused, .awaitingHello, .askingHello, .idle, .askingSender, .asking, .startingTLS,
                .authenticating, .opening, .data,
                .chunk,
                .betweenChunks, .discarding, .chunksFailed, .committing, .closed, .modifying:
                break
            }
            return nil
        }
        guard case .transaction(let transaction, _) = state else { return nil }
        state = .opening(transaction, .data)
        return .beginMessage(transaction)
    }

    mutating func receiveChunkCommand(_ octets: Int, isLast: Bool, into replies: inout [UInt8]) -> Action? {
        guard configuration.values.extensions.contains(.chunking) else {
            // Unknown; but its octets are not commands either.
            let line = Self.printable(decoder.line)
            if countUnknown(into: &replies) { return nil }
            let reply = Reply(550, EnhancedStatusCode(5, 5, 2), "Unknown command '\(line)'")
            state = .discarding(octets: octets, reply: reply, next: state)
            return nil
        }
        if case .betweenChunks(let incoming) = state {
            state = .chunk(incoming, remaining: octets, size: octets, isLast: isLast)
            return nil
        }
        if let obstacle = obstacle() {
            state = .discarding(octets: octets, reply: obstacle, next: stateAfterRefusedChunk(isLast: isLast))
            return nil
        }
        guard case .transaction(let transaction, _) = state else { return nil }
        state = .opening(transaction, .chunk(octets: octets, isLast: isLast))
        return .beginMessage(transaction)
    }

    /// A refused BDAT ends the transaction; further chunks of the same message may be on their way.
    private func stateAfterRefusedChunk(isLast: Bool) -> State {
        switch state {
        case .awaitingHello: .awaitingHello
        case .idle: .idle
        case .greeting, .refused, .askingHello, .askingSender, .senderRefused, .transaction, .asking, .startingTLS,
            .authenticating, .opening, .data,
            .chunk, .betweenChunks, .discarding, .chunksFailed, .committing, .closed, .modifying:
            isLast ? .idle : .chunksFailed
        }
    }

    mutating func answerOpening(
        _ transaction: Transaction, _ framing: Framing, _ answer: Answer, into replies: inout [UInt8]
    ) {
        switch answer {
        case .reply(let reply) where !reply.isPositive, .close(let reply):
            switch framing {
            case .data:
                state = .idle
                tell(reply, to: &replies)
            case .chunk(let octets, let isLast):
                state = .discarding(octets: octets, reply: reply, next: isLast ? .idle : .chunksFailed)
            }
        case .accept, .acceptStyle, .reply, .challenge, .authenticated:
            let decoder = DataDecoder(
                framing: framing == .data ? .dotted : .chunked, bareLineEnds: configuration.values.bareLineEnds,
                limit: contentLimit)
            let incoming = Incoming(decoder: decoder, recipients: transaction.recipients.count)
            switch framing {
            case .data:
                state = .data(incoming)
                configuration.encoder.encode(354, "", "Start mail input; end with <CRLF>.<CRLF>", into: &replies)
            case .chunk(let octets, let isLast):
                state = .chunk(incoming, remaining: octets, size: octets, isLast: isLast)
            }
        }
    }

    // MARK: the content

    /// `nil` when the message ended and was answered.
    mutating func receiveData(
        _ octets: UnsafeRawBufferPointer, used: inout Int, into replies: inout [UInt8]
    ) -> Step? {
        guard case .data(var incoming) = state else { preconditionFailure("not in a message") }
        state = .modifying
        while true {
            let start = used
            let (consumed, event) = incoming.decoder.decode(octets.from(used))
            used += consumed
            let action: Action
            switch event {
            case .needInput:
                action = .needInput
            case .content, .inserted, .violation:
                guard let hostAction = hostAction(event, incoming, offset: start) else { continue }
                action = hostAction
            case .end(let result):
                return end(incoming, .data, result, into: &replies).map { Step(consumed: used, action: $0) }
            }
            state = .data(incoming)
            return Step(consumed: used, action: action)
        }
    }

    /// `nil` when all octets of the chunk are there and it was answered.
    mutating func receiveChunk(
        _ octets: UnsafeRawBufferPointer, used: inout Int, into replies: inout [UInt8]
    ) -> Step? {
        guard case .chunk(var incoming, var remaining, let size, let isLast) = state else {
            preconditionFailure("not in a chunk")
        }
        state = .modifying
        while remaining > 0 {
            let start = used
            let available = min(remaining, octets.count - used)
            let view = UnsafeRawBufferPointer(rebasing: octets[used..<(used + available)])
            let (consumed, event) = incoming.decoder.decode(view)
            used += consumed
            remaining -= consumed
            let action: Action
            switch event {
            case .needInput, .end:
                if remaining == 0 { continue }
                action = .needInput
            case .content, .inserted, .violation:
                guard let hostAction = hostAction(event, incoming, offset: start) else { continue }
                action = hostAction
            }
            state = .chunk(incoming, remaining: remaining, size: size, isLast: isLast)
            return Step(consumed: used, action: action)
        }
        if isLast {
            let isKnownToBeBad = incoming.decoder.violation != nil || incoming.failure != nil
            let result = incoming.decoder.finishChunks()
            let action = end(incoming, .chunk(octets: size, isLast: true), result, into: &replies)
            if action == nil, isKnownToBeBad { return nil }
            return Step(consumed: used, action: action ?? .discardMessage)
        }
        if let refusal = incoming.failure ?? incoming.decoder.violation.map(refusal) {
            state = .chunksFailed
            tell(refusal, to: &replies)
        } else {
            state = .betweenChunks(incoming)
            tell(Reply(250, EnhancedStatusCode(2, 0, 0), "Received \(size) bytes"), to: &replies)
        }
        return nil
    }

    /// What the host is told of an event; `nil` when it has given the message up.
    private func hostAction(_ event: DataDecoder.Event, _ incoming: Incoming, offset: Int) -> Action? {
        guard incoming.failure == nil else { return nil }
        return switch event {
        case .content(let range): .content((range.lowerBound + offset)..<(range.upperBound + offset))
        case .inserted(let octets): .insertedContent(octets)
        case .violation: .discardMessage
        case .needInput, .end: nil
        }
    }

    /// The message is complete; `nil` when it was refused and answered.
    private mutating func end(
        _ incoming: Incoming, _ framing: Framing, _ result: Result<MessageSummary, ContentViolation>,
        into replies: inout [UInt8]
    ) -> Action? {
        if let failure = incoming.failure {
            state = .idle
            for _ in 0..<finalReplies(incoming.recipients) { tell(failure, to: &replies) }
            return nil
        }
        switch result {
        case .success(let summary):
            state = .committing(framing, recipients: incoming.recipients, octets: summary.octets)
            return .endMessage(summary)
        case .failure(let violation):
            state = .idle
            for _ in 0..<finalReplies(incoming.recipients) { tell(refusal(violation), to: &replies) }
            return nil
        }
    }

    private func refusal(_ violation: ContentViolation) -> Reply {
        switch violation {
        case .bareCarriageReturn, .bareLineFeed:
            return Reply(
                554, EnhancedStatusCode(5, 6, 11), "Message refused: a bare CR or LF in it, lines must end with CRLF")
        case .nulCharacter:
            // 5.6.11 is known as the code of bare line ends; for content that is wrong in another way RFC 3463 §3.7
            // has X.6.0.
            return Reply(554, EnhancedStatusCode(5, 6, 0), "Message refused: a NUL octet in it")
        case .tooLarge:
            return Reply(
                552, EnhancedStatusCode(5, 3, 4), "Message exceeds the maximum of \(contentLimit) octets")
        }
    }

    /// RFC 2033 §4.2: LMTP answers for each accepted recipient.
    private func finalReplies(_ recipients: Int) -> Int { configuration.values.isLMTP ? recipients : 1 }

    // MARK: the host's verdict

    /// The message of `endMessage` is durable; `id` is its name in the spool.
    public mutating func messageStored(as id: String, into replies: inout [UInt8]) {
        guard case .committing(let framing, let recipients, let octets) = state else { return }
        let text =
            switch framing {
            case .data: "Message accepted; \(id)"
            case .chunk(let last, _):
                "\(id) Roger, got \(last) bytes in the last chunk, stored \(octets) bytes into spool"
            }
        decide([Reply(250, EnhancedStatusCode(2, 0, 0), text)], recipients, into: &replies)
    }

    /// The same in words of the host's own, or its refusal; in LMTP one reply for each accepted recipient, in order.
    public mutating func messageDecided(_ verdicts: [Reply], into replies: inout [UInt8]) {
        guard case .committing(_, let recipients, _) = state, !verdicts.isEmpty else { return }
        decide(verdicts, recipients, into: &replies)
    }

    private mutating func decide(_ verdicts: [Reply], _ recipients: Int, into replies: inout [UInt8]) {
        state = .idle
        beginRecording(replies)
        for index in 0..<finalReplies(recipients) {
            tell(verdicts[min(index, verdicts.count - 1)], to: &replies)
        }
        record(replies)
    }

    /// The message cannot be stored: after `endMessage`, or at any time since `beginMessage` was answered.
    /// While content is still arriving it is read to its end, and then answered so.
    public mutating func messageFailed(_ reply: Reply, into replies: inout [UInt8]) {
        switch state {
        case .committing:
            messageDecided([reply], into: &replies)
        case .data(var incoming):
            incoming.failure = reply
            state = .data(incoming)
        case .chunk(var incoming, let remaining, let size, let isLast):
            incoming.failure = reply
            state = .chunk(incoming, remaining: remaining, size: size, isLast: isLast)
        case .betweenChunks(var incoming):
            incoming.failure = reply
            state = .betweenChunks(incoming)
        case .greeting, .refused, .awaitingHello, .askingHello, .idle, .askingSender, .senderRefused, .transaction,
            .asking, .startingTLS, .authenticating, .opening, .discarding, .chunksFailed, .closed, .modifying:
            break
        }
    }
}
