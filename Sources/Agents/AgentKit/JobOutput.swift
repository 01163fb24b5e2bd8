import AgentProtocol
import SpoolFormat

/// Called once for each result, for the log.
public typealias ResultObserver =
    @Sendable (_ control: ControlFile, _ recipient: JobRecipient, _ result: RecipientResult, _ relay: String) -> Void

/// The report lines of one job on their way to standard output.
final class JobOutput {
    private let writer: ReportWriter
    /// `smtp[4711]`.
    private let agentID: String
    private let observer: ResultObserver
    private var octets: [UInt8] = []

    init(writer: ReportWriter, agentID: String, observer: @escaping ResultObserver) {
        self.writer = writer
        self.agentID = agentID
        self.observer = observer
    }

    func report(_ recipient: JobRecipient, of control: ControlFile, _ result: RecipientResult, relay: String) {
        var clean = result
        clean.text = ReportText.cleaned(result.text)
        clean.diagnostic = ReportText.cleaned(result.diagnostic)
        clean.remoteHost = ReportText.cleaned(result.remoteHost, maximumLength: 300)
        let notary =
            clean.isReportedElsewhere
            ? nil
            : Notary(
                finalRecipient: recipient.address, action: clean.action, status: clean.status,
                diagnostic: clean.diagnostic, remoteHost: clean.remoteHost, agent: agentID,
                security: ReportText.cleaned(clean.tls, maximumLength: 100))
        let report = AgentReport(
            file: control.id, offset: recipient.recipient.offset, notary: notary, result: clean.result,
            message: clean.text, isToBeTold: clean.tellsSender)
        send(.report(report))
        observer(control, recipient, clean, relay)
    }

    func send(_ message: AgentMessage) {
        octets.append(contentsOf: message.line.utf8)
        octets.append(0x0a)
    }

    func flush() {
        guard !octets.isEmpty else { return }
        writer.write(octets)
        octets.removeAll(keepingCapacity: true)
    }
}
