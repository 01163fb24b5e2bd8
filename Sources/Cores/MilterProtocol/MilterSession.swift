import MailModel

/// Where a session is.
public enum MilterStage: String, Hashable, Sendable {
    case negotiation
    case connect
    case hello
    case mail
    case recipient
    case data
    case header
    case endOfHeader = "end of header"
    case body
    case endOfMessage = "end of message"
}

/// The mail system's side of the milter protocol, versions 2 to 6, for one message on a connection of its own. It does no
/// input and output: whoever has the connection does what ``next()`` says, until it says ``Action/finished(_:)``.
public struct MilterSession: Sendable {
    public enum Action: Hashable, Sendable {
        /// To be sent.
        case send([UInt8])
        /// A packet is to be read and given to ``received(_:)``.
        case receive
        /// The next part of the body, of at most so many octets with CRLF line ends, is to be given to ``body(_:)``.
        case body(maximum: Int)
        /// The milter has decided; the connection may be ended with ``farewell``.
        case finished(MilterOutcome)
    }

    /// Changes of one message.
    public static let maximumModifications = 400
    /// Sent at the end of a connection.
    public static var farewell: [UInt8] { MilterCommand.quit.packet.encoded }

    private let message: MilterMessage
    private var stage = MilterStage.negotiation
    /// The next recipient or field.
    private var index = 0
    private var isAwaiting = false
    private var bodyPart: [UInt8]?
    private var isBodySkipped = false
    private var options = MilterOptions.offered
    private var outcome: MilterOutcome?
    private var modifications: MilterModifications
    private var accepted: [String] = []

    /// For a message without an ``MilterMessage/obstacle``, with one recipient at least.
    public init(_ message: MilterMessage) {
        self.message = message
        modifications = MilterModifications(fields: message.fields)
    }

    /// Where it is.
    public var currentStage: MilterStage { stage }

    public mutating func next() -> Action {
        var octets: [UInt8] = []
        while outcome == nil, !isAwaiting, octets.count < MilterCommand.maximumData {
            if stage == .body, bodyPart == nil, !isBodySkipped, !options.steps.contains(.noBody) {
                return octets.isEmpty ? .body(maximum: MilterCommand.maximumData) : .send(octets)
            }
            step(&octets)
        }
        if !octets.isEmpty { return .send(octets) }
        if let outcome { return .finished(outcome) }
        return .receive
    }

    /// A part of the body; empty: there is no more.
    public mutating func body(_ part: [UInt8]) { bodyPart = part }

    private mutating func step(_ octets: inout [UInt8]) {
        func wants(_ no: MilterSteps) -> Bool { !options.steps.contains(no) }
        switch stage {
        case .negotiation: ask(.negotiate(.offered), &octets)
        case .connect where wants(.noConnect):
            ask(
                .connect(name: message.clientName, message.client), unanswered: .unansweredConnect,
                macros: message.connectionMacros, &octets)
        case .hello where wants(.noHello) && message.hello != nil:
            ask(.hello(message.hello ?? ""), unanswered: .unansweredHello, &octets)
        case .mail where wants(.noMail):
            ask(
                .mail(["<\(message.sender ?? "")>"] + message.senderParameters), unanswered: .unansweredMail,
                macros: [queueID] + message.mailMacros + [MilterMacro("{mail_addr}", message.sender ?? "<>")], &octets)
        case .recipient where index < message.recipients.count:
            let address = message.recipients[index]
            guard wants(.noRecipients) else { return advance() }
            ask(
                .recipient(["<\(address)>"]), unanswered: .unansweredRecipients,
                macros: [queueID, MilterMacro("{rcpt_addr}", address)], &octets)
        case .data where wants(.noData) && options.version >= MilterOptions.versionWithData:
            ask(.data, unanswered: .unansweredData, macros: [queueID], &octets)
        case .header where wants(.noHeaders) && index < message.fields.count:
            let field = message.fields[index]
            var value = field.value[...]
            if !options.steps.contains(.leadingBlanks) { value = value.drop { $0 == 0x20 || $0 == 0x09 } }
            ask(
                .field(name: field.name, value: Array(value)), unanswered: .unansweredHeaders,
                macros: index == 0 ? [queueID] : [], &octets)
        case .endOfHeader where wants(.noEndOfHeader):
            ask(.endOfHeader, unanswered: .unansweredEndOfHeader, macros: [queueID], &octets)
        case .body where bodyPart?.isEmpty == false && !isBodySkipped:
            ask(.body(bodyPart ?? []), unanswered: .unansweredBody, &octets)
        case .endOfMessage: ask(.endOfMessage, macros: [queueID], &octets)
        default: leave()
        }
    }

    private var queueID: MilterMacro { MilterMacro("i", message.queueID) }

    private mutating func ask(
        _ command: MilterCommand, unanswered: MilterSteps = [], macros: [MilterMacro] = [], _ octets: inout [UInt8]
    ) {
        let filled = macros.filter { !$0.value.isEmpty }
        if !filled.isEmpty { octets += MilterCommand.macros(for: command.code, filled).packet.encoded }
        octets += command.packet.encoded
        isAwaiting = unanswered.isEmpty || !options.steps.contains(unanswered)
        if !isAwaiting { advance() }
    }

    /// The command has been dealt with.
    private mutating func advance() {
        switch stage {
        case .recipient:
            accepted.append(message.recipients[index])
            index += 1
        case .header: index += 1
        case .body: bodyPart = nil
        default: leave()
        }
    }

    private mutating func leave() {
        index = 0
        switch stage {
        case .negotiation: stage = .connect
        case .connect: stage = .hello
        case .hello: stage = .mail
        case .mail: stage = .recipient
        case .recipient: stage = .data
        case .data: stage = .header
        case .header: stage = .endOfHeader
        case .endOfHeader: stage = .body
        case .body, .endOfMessage: stage = .endOfMessage
        }
    }

    // MARK: - Answers

    /// What the milter has sent. After an error nothing that it said counts.
    public mutating func received(_ packet: MilterPacket) throws(MilterProtocolError) {
        let response = try MilterResponse(packet)
        let misplaced = MilterProtocolError.unexpected(response: packet.command, stage: stage)
        guard isAwaiting, outcome == nil else { throw misplaced }
        if stage == .negotiation {
            guard case .negotiate(let answer) = response else { throw misplaced }
            try answer.checked()
            options = answer
            isAwaiting = false
            return leave()
        }
        if response == .progress { return }
        if stage == .endOfMessage {
            let isChange = try modifications.apply(response, code: packet.command, actions: options.actions)
            if isChange { return }
        }
        isAwaiting = false
        switch response {
        case .continue where stage == .endOfMessage: finish(.accept)
        case .continue: advance()
        case .accept:
            switch stage {
            case .connect, .hello, .mail: accepted = message.recipients
            case .recipient: accepted += message.recipients[index...]
            default: break
            }
            finish(.accept)
        case .reject: refuse(Reply(550, EnhancedStatusCode(5, 7, 1), "Command rejected"))
        case .temporaryFailure, .connectionFailure, .shutdown:
            refuse(Reply(451, EnhancedStatusCode(4, 7, 1), "Service unavailable - try again later"))
        case .reply(let reply): refuse(reply)
        case .discard: finish(.discard)
        case .skip where stage == .body && options.steps.contains(.skip):
            isBodySkipped = true
            leave()
        default: throw misplaced
        }
    }

    /// Also for one recipient of several: who is refused behind the end of the message would be lost if it went on without him.
    private mutating func refuse(_ reply: Reply) { finish(.refuse(reply)) }

    private mutating func finish(_ verdict: MilterOutcome.Verdict) {
        var outcome = MilterOutcome(verdict)
        outcome.hasLeadingBlanks = options.steps.contains(.leadingBlanks)
        if verdict == .accept {
            if let reason = modifications.quarantine { outcome.verdict = .quarantine(reason) }
            modifications.complete(&outcome, recipients: accepted, all: message.recipients)
        }
        self.outcome = outcome
    }
}
