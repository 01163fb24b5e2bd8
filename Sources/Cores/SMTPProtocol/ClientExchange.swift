import MailModel

/// One transaction of a client: which command is next, and which one a reply belongs to.
struct Exchange: Sendable {
    private enum Mail: Sendable {
        case unsent
        case sent
        case accepted
        case refused(Reply)
    }

    private enum Content: Hashable, Sendable {
        /// Neither DATA nor BDAT was sent.
        case none
        /// DATA was sent; 354 is awaited.
        case requested
        /// 354 came and there are recipients: the host must be asked.
        case granted
        /// The host is writing content.
        case sending
        /// The end of the message was written.
        case sent
        /// A dot alone was sent, to end a message that nobody would get.
        case withdrawn
        case done
    }

    private let message: ClientMessage
    private let configuration: ClientSession.Configuration
    private let capabilities: ServerCapabilities
    private let usesSMTPUTF8: Bool
    /// The recipients worth asking the server for, as indices.
    private let candidates: [Int]
    private var results: [RecipientResult?]
    private var resetsOutstanding = 0
    private var isResetSent = false
    private var mail = Mail.unsent
    /// Of `candidates`.
    private var asked = 0
    private var answered = 0
    private var accepted: [Int] = []
    private var content = Content.none
    /// LMTP: final replies so far.
    private var finals = 0
    private var leavesTransactionOpen = false
    private let mustReset: Bool

    init(
        _ message: ClientMessage, configuration: ClientSession.Configuration, capabilities: ServerCapabilities,
        security: ClientSession.Security, mustReset: Bool
    ) {
        self.message = message
        self.configuration = configuration
        self.capabilities = capabilities
        self.mustReset = mustReset
        let failure = Self.failure(message, configuration, capabilities, security).map {
            RecipientResult($0, .session, isLocal: true)
        }
        results = message.recipients.map { recipient in
            if let failure { return failure }
            guard recipient.forwardPath.isInternationalized, !capabilities.hasSMTPUTF8 else { return nil }
            return RecipientResult(Self.needsSMTPUTF8, .session, isLocal: true)
        }
        candidates = results.indices.filter { [results] in results[$0] == nil }
        usesSMTPUTF8 =
            capabilities.hasSMTPUTF8
            && (message.isInternationalized || message.recipients.contains { $0.forwardPath.isInternationalized })
        // Nothing will be sent, not even RSET.
        leavesTransactionOpen = mustReset && candidates.isEmpty
    }

    private static let needsSMTPUTF8 = Reply(
        553, EnhancedStatusCode(5, 6, 7), "The server does not offer SMTPUTF8, which this message needs")

    /// Why the server cannot have the message at all.
    private static func failure(
        _ message: ClientMessage, _ configuration: ClientSession.Configuration, _ capabilities: ServerCapabilities,
        _ security: ClientSession.Security
    ) -> Reply? {
        if let reply = message.requireTLSRefusal(capabilities, security) { return reply }
        if let limit = capabilities.maximumSize, message.size > limit {
            let text = "The message has \(message.size) octets, the server takes \(limit)"
            return Reply(552, EnhancedStatusCode(5, 3, 4), text)
        }
        if message.isInternationalized, !capabilities.hasSMTPUTF8 { return needsSMTPUTF8 }
        if let reply = message.deliverByRefusal(capabilities, isLMTP: configuration.isLMTP) { return reply }
        if message.has8Bit, !capabilities.has8BitMIME, !configuration.sendsUnannounced8Bit {
            return Reply(
                554, EnhancedStatusCode(5, 6, 3), "The server does not offer 8BITMIME, which this message needs")
        }
        return nil
    }

    private var pipelines: Bool { configuration.allowsPipelining && capabilities.hasPipelining }
    private var chunks: Bool { configuration.allowsChunking && capabilities.hasChunking && message.isWireFormat }

    // MARK: commands

    /// Writes the commands whose turn it is; returns the content that must follow them.
    mutating func advance(into output: inout [UInt8]) -> ClientSession.ContentFraming? {
        if candidates.isEmpty { return nil }
        if case .unsent = mail {
            if mustReset, !isResetSent {
                output += "RSET\r\n".utf8
                resetsOutstanding = 1
                isResetSent = true
            }
            if resetsOutstanding > 0, !pipelines { return nil }
            writeMail(into: &output)
            mail = .sent
        }
        switch mail {
        case .unsent, .refused: break
        case .sent where !pipelines: break
        case .sent, .accepted: writeRecipients(into: &output)
        }
        if asked == candidates.count, content == .none, let framing = requestContent(into: &output) { return framing }
        guard content == .granted else { return nil }
        content = .sending
        return .dotStuffed
    }

    private mutating func writeRecipients(into output: inout [UInt8]) {
        let window = pipelines ? configuration.maximumOutstandingCommands : 1
        while asked < candidates.count, asked - answered < window {
            writeRecipient(message.recipients[candidates[asked]], into: &output)
            asked += 1
        }
    }

    /// DATA or BDAT, when there is or may be somebody to get the message.
    private mutating func requestContent(into output: inout [UInt8]) -> ClientSession.ContentFraming? {
        let isDecided: Bool
        switch mail {
        case .unsent, .refused: return nil
        case .sent: isDecided = false
        case .accepted: isDecided = answered == asked
        }
        if isDecided ? accepted.isEmpty : !pipelines { return nil }
        guard chunks else {
            output += "DATA\r\n".utf8
            content = .requested
            return nil
        }
        // Sending much to a server that may refuse all recipients is a waste.
        guard isDecided || message.size <= configuration.burstLimit else { return nil }
        output += "BDAT \(message.size) LAST\r\n".utf8
        content = .sending
        return .chunk(octets: message.size)
    }

    private func writeMail(into output: inout [UInt8]) {
        output += "MAIL FROM:\(message.reversePath)".utf8
        if capabilities.hasSize { output += " SIZE=\(message.size)".utf8 }
        if capabilities.has8BitMIME, message.has8Bit { output += " BODY=8BITMIME".utf8 }
        if capabilities.hasDSN {
            if let ret = message.ret { output += " RET=\(ret.rawValue)".utf8 }
            if let id = message.envelopeID, !id.isEmpty, XText.decode(id) != nil { output += " ENVID=\(id)".utf8 }
        }
        if usesSMTPUTF8 { output += " SMTPUTF8".utf8 }
        output += message.requestParameters(capabilities).utf8
        output += "\r\n".utf8
    }

    private func writeRecipient(_ recipient: ClientMessage.Recipient, into output: inout [UInt8]) {
        output += "RCPT TO:\(recipient.forwardPath)".utf8
        if capabilities.hasDSN {
            if let notify = message.notify(recipient, capabilities), !notify.isEmpty {
                output += " NOTIFY=\(notify)".utf8
            }
            // A value that cannot stand in a command is left out: it must not break the line in two.
            if let original = recipient.originalRecipient, original.utf8.contains(UInt8(ascii: ";")),
                original.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && (usesSMTPUTF8 || $0 < 0x80) })
            {
                output += " ORCPT=\(original)".utf8
            }
        }
        output += "\r\n".utf8
    }

    mutating func contentSent() {
        if content == .sending { content = .sent }
    }

    // MARK: replies

    /// - Returns: `false` when nothing asked for this reply, or the connection cannot go on behind it.
    mutating func receive(_ reply: Reply, into output: inout [UInt8]) -> Bool {
        // 3xx answers DATA alone. Anywhere else, above all behind the message, it is no acceptance (RFC 5321 §4.2.1).
        if (300..<400).contains(reply.code), content != .requested || answered < asked { return false }
        if resetsOutstanding > 0 {
            resetsOutstanding -= 1
            return true
        }
        if case .sent = mail {
            mail = reply.isPositive ? .accepted : .refused(reply)
            return true
        }
        if answered < asked {
            let index = candidates[answered]
            answered += 1
            if case .refused = mail { return true }
            if reply.isPositive {
                accepted.append(index)
            } else {
                results[index] = RecipientResult(reply, .recipient)
            }
            return true
        }
        switch content {
        case .requested:
            return receiveDataReply(reply, into: &output)
        case .sending:
            // The server answers before it has all: it will not read the rest as content.
            if !reply.isPositive { decideAll(reply, .message) }
            return false
        case .sent:
            return receiveFinal(reply)
        case .withdrawn:
            content = .done
            return true
        case .none, .granted, .done:
            return false
        }
    }

    private mutating func receiveDataReply(_ reply: Reply, into output: inout [UInt8]) -> Bool {
        guard (300..<400).contains(reply.code) else {
            guard !reply.isPositive else { return false }
            decideAll(reply, .data)
            content = .done
            leavesTransactionOpen = true
            return true
        }
        guard accepted.isEmpty else {
            content = .granted
            return true
        }
        // RFC 2920 §3.1: end the message at once. How often LMTP would answer that nobody knows.
        output += ".\r\n".utf8
        content = .withdrawn
        return !configuration.isLMTP
    }

    private mutating func receiveFinal(_ reply: Reply) -> Bool {
        guard configuration.isLMTP, !accepted.isEmpty else {
            decideAll(reply, .message)
            content = .done
            // A refused BDAT may leave the transaction open (RFC 3030 §2).
            leavesTransactionOpen = chunks && !reply.isPositive
            return true
        }
        results[accepted[finals]] = RecipientResult(reply, .message)
        finals += 1
        if finals == accepted.count { content = .done }
        return true
    }

    private mutating func decideAll(_ reply: Reply, _ stage: RecipientResult.Stage) {
        for index in accepted where results[index] == nil { results[index] = RecipientResult(reply, stage) }
    }

    // MARK: outcome

    /// Whether all replies have come and nothing more will be sent.
    var isComplete: Bool {
        if candidates.isEmpty { return true }
        guard resetsOutstanding == 0, answered == asked else { return false }
        switch (mail, content) {
        case (.refused, .none), (.refused, .done), (.accepted, .done): return true
        case (.accepted, .none): return asked == candidates.count && accepted.isEmpty
        case (.unsent, _), (.sent, _), (.refused, _), (.accepted, _): return false
        }
    }

    /// Whether the next transaction must begin with RSET.
    var needsReset: Bool {
        guard content == .none, case .accepted = mail else { return leavesTransactionOpen }
        return true
    }

    func results(undecided: RecipientResult?) -> [RecipientResult] {
        var refusal: RecipientResult?
        if case .refused(let reply) = mail { refusal = RecipientResult(reply, .mail) }
        let lost = RecipientResult(
            Reply(451, EnhancedStatusCode(4, 3, 0), "No reply for this recipient"), .session, isLocal: true)
        return results.map { $0 ?? refusal ?? undecided ?? lost }
    }

    /// Which command's reply is awaited.
    var stage: RecipientResult.Stage {
        switch phase {
        case .mail: .mail
        case .recipient: .recipient
        case .dataCommand: .data
        case .dataBlock, .endOfMessage: .message
        case .greeting, .hello, .startTLS, .handshake, .authentication, .idle, .quit, .closed: .session
        }
    }

    var phase: ClientSession.Phase {
        switch mail {
        case .unsent, .sent: return content == .sending ? .dataBlock : .mail
        case .accepted, .refused: break
        }
        if content == .sending { return .dataBlock }
        if answered < asked { return .recipient }
        switch content {
        case .none: return .recipient
        case .requested: return .dataCommand
        case .granted, .sending: return .dataBlock
        case .sent, .withdrawn, .done: return .endOfMessage
        }
    }
}
