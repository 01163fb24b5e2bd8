import AgentProtocol
import SpoolFormat

/// One control file, as far as one agent and one host are concerned. Confined to the thread that delivers it.
public final class DeliveryJob {
    public let control: ControlFile
    /// Of the thread: what all recipients have in common.
    public let host: String
    public let recipients: [JobRecipient]
    public let content: MessageContent
    /// What the scheduler's clause asks of the agent.
    public let limits: AgentJobLimits
    private let output: JobOutput
    private var unreported: Set<Int>

    init(
        control: ControlFile, host: String, recipients: [JobRecipient], content: MessageContent,
        limits: AgentJobLimits, output: JobOutput
    ) {
        self.control = control
        self.host = host
        self.recipients = recipients
        self.content = content
        self.limits = limits
        self.output = output
        unreported = Set(recipients.map(\.recipient.offset))
    }

    public var id: SpoolID { control.id }

    /// REQUIRETLS: only to servers that have proved who they are and ask the same of the next (RFC 8689 §4.2.1).
    public var requiresTLS: Bool { control.requiresTLS }

    /// The reverse-path's address; `nil` for `<>`, as for everything from channel `error`.
    public func sender(of recipient: JobRecipient) -> String? {
        let quad = control.groups[recipient.group].sender
        return quad.channel == "error" || quad.user.isEmpty || quad.user == "<>" ? nil : quad.user
    }

    /// The header that replaces the message's own for this recipient: CRLF lines without the empty line.
    public func header(of recipient: JobRecipient) -> [UInt8]? { control.groups[recipient.group].header }

    /// Says what became of a recipient, once; a second report of the same is dropped. `relay` names the next hop in the log:
    /// `mail.example.com[192.0.2.1]:25`, or `-`.
    public func report(_ recipient: JobRecipient, _ result: RecipientResult, relay: String = "-") {
        guard unreported.remove(recipient.recipient.offset) != nil else { return }
        output.report(recipient, of: control, result, relay: relay)
    }

    /// Those without a report so far.
    public var unreportedRecipients: [JobRecipient] {
        recipients.filter { unreported.contains($0.recipient.offset) }
    }

    /// Hands over the reports so far: after each part of a long job, so that a crash repeats little.
    public func flush() { output.flush() }

    /// Reports what the agent left out.
    func close() {
        for recipient in unreportedRecipients {
            report(recipient, .deferred(status: "4.3.0", text: "address was left locked!!"))
        }
    }
}
