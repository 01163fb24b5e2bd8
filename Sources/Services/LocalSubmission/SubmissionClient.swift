import MailModel
import SMTPProtocol

/// Gives messages of this host's users to smtpserver, over the Unix socket that tells it whose they are (docs/protocols.md §10).
public struct SubmissionClient {
    /// The socket.
    public var path: String
    /// The argument of EHLO.
    public var helloName: String
    /// Told what is said: `true` for ours, without the content of messages.
    public var witness: ((Bool, [UInt8]) -> Void)?

    /// Seconds for the answer to a command; RFC 5321 §4.5.3.2 asks for 5 minutes.
    static let commandDeadline: Int64 = 300
    /// For the server to take the next piece of the content (RFC 5321 §4.5.3.2.5).
    static let dataDeadline: Int64 = 300
    /// For the answer to the whole message: content filters may look at it (RFC 5321 §4.5.3.2.6 asks for 10 minutes).
    static let finalDeadline: Int64 = 3600

    public init(path: String, helloName: String) {
        self.path = path
        self.helloName = helloName
    }

    /// What is to be sent.
    public struct Envelope {
        public var reversePath: ReversePath
        public var recipients: [ClientMessage.Recipient]
        public var has8Bit = false
        public var needsSMTPUTF8 = false
        public var ret: ReturnContent?
        /// xtext
        public var envelopeID: String?

        public init(reversePath: ReversePath, recipients: [ClientMessage.Recipient]) {
            self.reversePath = reversePath
            self.recipients = recipients
        }
    }

    /// The reply that decides for each recipient, in their order: positive, it has the message. With more recipients than the server takes at once there are several
    /// transactions.
    public func submit(_ envelope: Envelope, _ content: MessageStore) throws(SubmissionFailure) -> [Reply] {
        var configuration = ClientSession.Configuration(helloName: helloName)
        configuration.allowsChunking = false
        var dialogue = Dialogue(
            stream: try SubmissionStream(path, witness: witness), session: ClientSession(configuration: configuration))
        try dialogue.becomeReady()
        var results = [Reply?](repeating: nil, count: envelope.recipients.count)
        var waiting = Array(results.indices)
        while !waiting.isEmpty {
            let limit = min(dialogue.session.capabilities.recipientLimit ?? Int.max, waiting.count)
            let now = Array(waiting.prefix(limit))
            var message = ClientMessage(
                reversePath: envelope.reversePath, recipients: now.map { envelope.recipients[$0] }, size: content.size)
            message.has8Bit = envelope.has8Bit
            message.needsSMTPUTF8 = envelope.needsSMTPUTF8
            message.ret = envelope.ret
            message.envelopeID = envelope.envelopeID
            let decided: [RecipientResult]
            do throws(SubmissionFailure) {
                decided = try dialogue.send(message, content)
            } catch {
                // What was taken before that is taken; the others must not be told apart by a failure of all.
                guard results.contains(where: { $0 != nil }) else { throw error }
                break
            }
            var later: [Int] = []
            let hasProgress = decided.contains { !$0.isTooManyRecipients }
            for (index, result) in zip(now, decided) {
                if result.isTooManyRecipients, hasProgress {
                    later.append(index)
                } else {
                    results[index] = result.reply
                }
            }
            waiting = later + waiting.dropFirst(limit)
        }
        dialogue.quit()
        return results.map { $0 ?? Self.lost }
    }

    private static let lost = Reply(
        451, EnhancedStatusCode(4, 4, 2), "The connection broke before this recipient's turn")

    /// SMTP between two descriptors and the server (`-bs`), until the server closes.
    public func relay(input: Int32, output: Int32) throws(SubmissionFailure) {
        try SubmissionStream(path, witness: nil).relay(input: input, output: output)
    }

    /// VRFY for each address; the replies in their order.
    public func verify(_ addresses: [String]) throws(SubmissionFailure) -> [Reply] {
        let stream = try SubmissionStream(path, witness: witness)
        var parser = ReplyParser()
        var pending: [UInt8] = []
        func reply(to command: String?) throws(SubmissionFailure) -> Reply {
            if let command {
                guard try stream.write(Array("\(command)\r\n".utf8), seconds: Self.commandDeadline) else {
                    throw .lost("closed by smtpserver")
                }
            }
            while true {
                do throws(ReplySyntaxError) {
                    let (used, reply) = try pending.withUnsafeBufferPointer { (octets) throws(ReplySyntaxError) in
                        try parser.parse(UnsafeRawBufferPointer(octets))
                    }
                    pending.removeFirst(used)
                    if let reply { return reply }
                } catch {
                    throw .lost("not a reply: \(error)")
                }
                let octets = try stream.read(seconds: Self.commandDeadline)
                guard !octets.isEmpty else { throw .lost("closed by smtpserver") }
                pending += octets
            }
        }
        for command in [nil, "EHLO \(helloName)"] {
            let answer = try reply(to: command)
            guard answer.isPositive else { throw .refused(answer) }
        }
        var replies: [Reply] = []
        for address in addresses { replies.append(try reply(to: "VRFY \(Octets.cleaned(address))")) }
        _ = try stream.write(Array("QUIT\r\n".utf8), seconds: Self.commandDeadline)
        return replies
    }
}

/// A ``ClientSession`` on a ``SubmissionStream``.
private struct Dialogue {
    let stream: SubmissionStream
    var session: ClientSession
    private var pending: [UInt8] = []
    private var output: [UInt8] = []

    init(stream: SubmissionStream, session: ClientSession) {
        self.stream = stream
        self.session = session
    }

    private mutating func next() throws(SubmissionFailure) -> ClientSession.Action {
        while true {
            let (used, action) = pending.withUnsafeBytes { session.receive($0, into: &output) }
            pending.removeFirst(used)
            guard action == .needInput else { return action }
            try flush()
            let isFinal = session.phase == .endOfMessage
            let octets = try stream.read(
                seconds: isFinal ? SubmissionClient.finalDeadline : SubmissionClient.commandDeadline)
            if octets.isEmpty { session.connectionLost() } else { pending += octets }
        }
    }

    private mutating func flush() throws(SubmissionFailure) {
        guard !output.isEmpty else { return }
        _ = try stream.write(output, seconds: SubmissionClient.commandDeadline)
        output = []
    }

    mutating func becomeReady() throws(SubmissionFailure) {
        switch try next() {
        case .ready: return
        case .close(let reason): throw Self.failure(reason)
        case .needInput, .sendContent, .startTLS, .authenticate, .challenge, .authenticated, .finished:
            throw .lost("smtpserver says what nobody has asked for")
        }
    }

    private static func failure(_ reason: ClientSession.CloseReason) -> SubmissionFailure {
        switch reason {
        case .refused(let reply), .serviceNotAvailable(let reply): .refused(reply)
        case _: .lost(reason.text)
        }
    }

    /// After ``becomeReady()``, or after an earlier message.
    mutating func send(_ message: ClientMessage, _ content: MessageStore) throws(SubmissionFailure) -> [RecipientResult]
    {
        session.begin(message, into: &output)
        while true {
            switch try next() {
            case .finished(let results):
                // The session says whether there can be another message when it is asked again.
                _ = try? next()
                return results
            case .sendContent:
                try flush()
                try write(content)
                session.contentSent(into: &output)
            case .close(let reason): throw Self.failure(reason)
            case .ready, .needInput, .startTLS, .authenticate, .challenge, .authenticated:
                throw .lost("smtpserver says what nobody has asked for")
            }
        }
    }

    private func write(_ content: MessageStore) throws(SubmissionFailure) {
        var stuffer = DotStuffer()
        var offset = 0
        while true {
            let piece: [UInt8]
            do throws(MessageStore.Failure) { piece = try content.piece(at: offset) } catch { throw .store(error) }
            var framed: [UInt8] = []
            if piece.isEmpty {
                stuffer.finish(into: &framed)
            } else {
                piece.withUnsafeBytes { stuffer.stuff($0, into: &framed) }
            }
            // Behind a refusal in the middle there is an answer to be read.
            guard try stream.write(framed, seconds: SubmissionClient.dataDeadline, isContent: true) else { return }
            if piece.isEmpty { return }
            offset += piece.count
        }
    }

    mutating func quit() {
        session.quit(into: &output)
        _ = try? flush()
        _ = try? stream.read(seconds: 5)
    }
}
