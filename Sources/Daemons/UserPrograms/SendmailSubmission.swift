import Configuration
import Glibc
import LocalSubmission
import MailModel
import ProgramKit
import SMTPProtocol
import Submission

/// One message of standard input, and what became of it.
struct SendmailSubmission {
    /// Octets of a header section.
    static let maximumHeaderSize = 1 << 20
    /// Recipients of one message.
    static let maximumRecipients = 50_000

    let name: String
    let options: SendmailArguments
    let environment: ZEnvironment
    let user: UserIdentity

    private enum Refusal: Error {
        case usage(String)
        case data(String)
        case input(Int32)
        case store(MessageStore.Failure)

        var outcome: (text: String, code: ExitCode) {
            switch self {
            case .usage(let text): (text, .usage)
            case .data(let text): (text, .dataError)
            case .input(let code): ("standard input: \(String(cString: strerror(code)))", .ioError)
            case .store(.tooLarge): (MessageStore.Failure.tooLarge.description, .dataError)
            case .store(let failure): ("the message cannot be kept: \(failure)", .temporaryFailure)
            }
        }
    }

    init(_ name: String, _ options: SendmailArguments, _ environment: ZEnvironment, _ user: UserIdentity) {
        self.name = name
        self.options = options
        self.environment = environment
        self.user = user
    }

    func run() -> ExitCode {
        do throws(Refusal) {
            return try submit()
        } catch {
            let (text, code) = error.outcome
            Program.print("\(name): \(TextLine.printable(text))", to: 2)
            return code
        }
    }

    private func submit() throws(Refusal) -> ExitCode {
        let reversePath = try sender()
        // Before anything is read: a wrong address on the command line is the caller's mistake.
        var recipients: [ClientMessage.Recipient] = []
        for word in options.recipients {
            let field = AddressField(word)
            if let text = field.malformed.first {
                throw .usage("'\(text)' is no address; valid are user@example.org and user, separated by commas")
            }
            for address in field.addresses { recipients.append(try recipient(address)) }
        }
        if recipients.isEmpty, !options.takesRecipientsOfHeader {
            throw .usage("no recipient; give addresses, or -t to take those of To, Cc and Bcc")
        }
        let message = try read()
        if options.takesRecipientsOfHeader {
            if let text = message.header.malformed.first { throw .data("'\(text)' in the header is no address") }
            for address in message.header.recipients { recipients.append(try recipient(address, isInHeader: true)) }
        }
        var seen: Set<ForwardPath> = []
        recipients = recipients.filter { seen.insert($0.forwardPath).inserted }
        guard !recipients.isEmpty else { throw .data("no recipient in To, Cc and Bcc, and none on the command line") }
        guard recipients.count <= Self.maximumRecipients else {
            throw .data("\(recipients.count) recipients; at most \(Self.maximumRecipients) can be given at once")
        }
        var envelope = SubmissionClient.Envelope(reversePath: reversePath, recipients: recipients)
        envelope.has8Bit = options.isEightBit || message.hasEightBit
        envelope.needsSMTPUTF8 = message.header.needsSMTPUTF8
        envelope.ret = options.returnsFull.map { $0 ? .full : .headers }
        envelope.envelopeID = options.envelopeID.map { XText.encode($0.utf8) }
        var client = SubmissionClient(path: environment.submissionSocket, helloName: user.host)
        if options.isVerbose { client.witness = Witness.print }
        do throws(SubmissionFailure) {
            return report(recipients, try client.submit(envelope, message.content))
        } catch {
            return SendmailProgram.tell(name, error)
        }
    }

    private func sender() throws(Refusal) -> ReversePath {
        guard let text = options.sender else { return try reversePath(user.address) }
        return text.isEmpty ? .null : try reversePath(user.qualified(text))
    }

    private func reversePath(_ address: String) throws(Refusal) -> ReversePath {
        guard let mailbox = Mailbox(address) else {
            throw .usage("-f '\(address)': no address; valid are user@example.org, user, and '' for none")
        }
        return .mailbox(mailbox)
    }

    private func recipient(_ address: String, isInHeader: Bool = false) throws(Refusal) -> ClientMessage.Recipient {
        guard let mailbox = Mailbox(user.qualified(address)) else {
            let text = "'\(address)' is no address; valid are user@example.org and user"
            throw isInHeader ? .data(text) : .usage(text)
        }
        return ClientMessage.Recipient(.mailbox(mailbox), notify: notify)
    }

    private var notify: Notify? {
        options.notify.map { words in
            var notify: Notify = []
            if words == ["NEVER"] { return .never }
            if words.contains("SUCCESS") { notify.insert(.success) }
            if words.contains("FAILURE") { notify.insert(.failure) }
            if words.contains("DELAY") { notify.insert(.delay) }
            return notify
        }
    }

    private struct Message {
        let header: SubmittedHeader
        let content: MessageStore
        let hasEightBit: Bool
    }

    /// All of standard input: only then is the server asked, which need not wait for a slow program.
    private func read() throws(Refusal) -> Message {
        let content = MessageStore()
        var ends = LineEnds(endsAtDot: options.endsAtDot)
        var header: SubmittedHeader?
        var pending: [UInt8] = []
        /// In `pending` there is no end of the header before here.
        var searched = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var isAtEnd = false
        while !isAtEnd {
            let count = Glibc.read(0, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw .input(errno)
            }
            if count > 0 {
                buffer.withUnsafeBytes { ends.push(UnsafeRawBufferPointer(rebasing: $0[..<count]), into: &pending) }
            } else {
                ends.finish(into: &pending)
            }
            isAtEnd = count == 0 || ends.hasEnded
            if header == nil {
                let isComplete = isAtEnd || Self.hasEmptyLine(pending, from: searched)
                searched = max(0, pending.count - 3)
                guard isComplete || pending.count > Self.maximumHeaderSize else { continue }
                let made = SubmittedHeader(pending, plan)
                // What follows would be body, and a Bcc in it be read by everybody.
                if options.takesRecipientsOfHeader, let line = made.strayLine {
                    throw .data(
                        "line \(line.number), '\(line.text)', is no header field; "
                            + "with -t an empty line must stand between header and body")
                }
                guard isComplete || made.bodyStart < pending.count else {
                    throw .data("the header has more than \(Self.maximumHeaderSize) octets")
                }
                header = made
                try append(made.octets + [0x0d, 0x0a], to: content)
                pending.removeFirst(made.bodyStart)
            }
            try append(pending, to: content)
            pending.removeAll(keepingCapacity: true)
        }
        let made = header ?? SubmittedHeader([], plan)
        return Message(
            header: made, content: content, hasEightBit: ends.hasEightBit || made.octets.contains { $0 >= 0x80 })
    }

    private func append(_ octets: [UInt8], to content: MessageStore) throws(Refusal) {
        do throws(MessageStore.Failure) { try content.append(octets) } catch { throw .store(error) }
    }

    private static func hasEmptyLine(_ octets: [UInt8], from start: Int) -> Bool {
        guard octets.count >= 2 else { return false }
        if octets[0] == 0x0d, octets[1] == 0x0a { return true }
        var index = start
        while index + 3 < octets.count {
            if octets[index] == 0x0d, octets[index + 1] == 0x0a, octets[index + 2] == 0x0d, octets[index + 3] == 0x0a {
                return true
            }
            index += 1
        }
        return false
    }

    private var plan: SubmittedHeader.Plan {
        let now = time(nil)
        // A message from `<>`, or in another's name, is still written by somebody.
        let author = options.sender.flatMap { $0.isEmpty ? nil : user.qualified($0) } ?? user.address
        var plan = SubmittedHeader.Plan(
            author: author, date: CalendarDate(unixTime: Int64(now)).rfc5322,
            messageID: MessageName.new(host: user.host))
        let isOwn = options.sender == nil || author == user.address
        plan.fullName = options.fullName ?? (isOwn ? user.fullName : "")
        plan.domain = user.domain
        plan.takesRecipients = options.takesRecipientsOfHeader
        return plan
    }

    /// What did not go, and the exit code of that; nothing is said of what went.
    private func report(_ recipients: [ClientMessage.Recipient], _ replies: [Reply]) -> ExitCode {
        var code = ExitCode.ok
        let refused = zip(recipients, replies).filter { !$1.isPositive }
        for (recipient, reply) in refused {
            Program.print("\(name): \(recipient.forwardPath): \(TextLine.printable(reply.summary))", to: 2)
            // What may be tried again weighs more: somebody will look at the text then.
            if code != .temporaryFailure { code = Self.code(reply) }
        }
        if !refused.isEmpty, refused.count < recipients.count {
            Program.print(
                "\(name): the message was sent to the other \(recipients.count - refused.count) recipients", to: 2)
        }
        return code
    }

    private static func code(_ reply: Reply) -> ExitCode {
        guard reply.isPermanent else { return .temporaryFailure }
        guard let status = reply.status else { return .unavailable }
        switch (status.subject, status.detail) {
        case (1, 0), (1, 1), (1, 6), (1, 10): return .noUser
        case (1, 2): return .noHost
        case (1, _), (6, 7): return .dataError
        case (7, 1), (7, 2), (7, 7): return .noPermission
        case (3, 4), (2, 3), (6, _): return .dataError
        case (_, _): return .unavailable
        }
    }
}

/// The identifier of a new message (RFC 5322 §3.6.4).
public enum MessageName {
    public static func new(host: String) -> String {
        var generator = SystemRandomNumberGenerator()
        let random = String(UInt64.random(in: .min ... .max, using: &generator), radix: 36)
        let stamp = CalendarDate(unixTime: Int64(time(nil))).rfc3339.filter { ("0"..."9").contains($0) }
        return "<\(stamp).\(random)@\(host)>"
    }
}
