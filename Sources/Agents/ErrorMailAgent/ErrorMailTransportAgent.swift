import AgentKit
import AgentProtocol
import DeliveryStatus
import Forms
import Postoffice
import SpoolFormat
import Telemetry

/// Tells senders of addresses that could not be routed (transport-agents.md §6): one report for all recipients of a job, which
/// have the form in common. A report is durable before its recipients are done.
final class ErrorMailTransportAgent: TransportAgent {
    private let postoffice: Postoffice
    private let notice: NoticeSender
    private let forms: FormLibrary
    private let hostName: String
    private let log: EventLog?

    init(
        postoffice: Postoffice, notice: NoticeSender, forms: FormLibrary, hostName: String, log: EventLog? = nil
    ) {
        self.postoffice = postoffice
        self.notice = notice
        self.forms = forms
        self.hostName = hostName
        self.log = log
    }

    func deliver(_ job: DeliveryJob) {
        // Recipients with another sender or another place for errors are other people's business.
        var groups: [Destination: [JobRecipient]] = [:]
        for recipient in job.recipients {
            switch destination(job, recipient) {
            case .report(let destination): groups[destination, default: []].append(recipient)
            case .nobody(let reason): job.report(recipient, Self.done(reason))
            }
        }
        for (destination, recipients) in groups.sorted(by: { $0.key.address < $1.key.address }) {
            var rest = recipients[...]
            while !rest.isEmpty {
                let chunk = Array(rest.prefix(DeliveryReport.maximumRecipients))
                // One copy of the message is enough for who sent it.
                let isFirst = rest.startIndex == 0
                rest = rest.dropFirst(chunk.count)
                let result: RecipientResult
                do throws(ReportProblem) {
                    result = try Self.done(report(job, chunk, to: destination, returnsBody: isFirst))
                } catch {
                    result = .deferred(status: error.status, text: error.text)
                }
                for recipient in chunk { job.report(recipient, result) }
            }
        }
    }

    private struct Destination: Hashable {
        /// Where reports go: the return address, or what stands in its place for a list.
        let address: String
        let group: Int
    }

    private enum Decision {
        case report(Destination)
        case nobody(String)
    }

    private func destination(_ job: DeliveryJob, _ recipient: JobRecipient) -> Decision {
        // RFC 5321 §6.1: a report never causes a report.
        guard !job.control.isErrorMessage, job.sender(of: recipient) != nil,
            let address = job.control.groups[recipient.group].errorsTo, !address.isEmpty
        else { return .nobody("error bounce dropped") }
        guard recipient.recipient.notify.wants(.failed) else { return .nobody("the sender wants no report") }
        return .report(Destination(address: address, group: recipient.group))
    }

    /// Composes and stores one report; what became of it, for the log.
    private func report(
        _ job: DeliveryJob, _ recipients: [JobRecipient], to destination: Destination, returnsBody: Bool
    ) throws(ReportProblem) -> String {
        guard let first = recipients.first else { return "nobody to report about" }
        let original: DeliveryReport.Original
        do throws(FileError) { original = try OriginalMessage.read(job, first, returnsBody: returnsBody) } catch {
            throw ReportProblem(status: "4.3.0", text: "message file: \(error)")
        }
        var form: ReportForm
        var remark = "form \(job.host)"
        switch forms.form(job.host) {
        case .found(let found): form = found
        case .missing(let reason):
            form = .general
            // Somebody should put it there.
            form.addresses = ["postmaster"]
            remark = "no form: \(reason)"
        }
        let reason = RoutingReason.of(form: job.host)
        let id = postoffice.newID()
        var report = DeliveryReport(
            id: id, reportingMTA: hostName,
            to: DeliveryReport.addresses(destination.address), form: form, recipients: [],
            original: original, date: id.unixTime)
        report.recipients = recipients.map { recipient in
            DeliveryReport.Recipient(
                originalRecipient: recipient.recipient.originalRecipient, finalRecipient: recipient.address,
                action: .failed, status: reason.status, diagnostic: "x-local; 500 (\(job.host))", text: reason.text)
        }
        let composed = report.composed()
        do throws(PostofficeError) {
            try postoffice.submit(id, [composed.envelope.encoded(), composed.content])
        } catch {
            throw ReportProblem(
                status: error.kind == .full ? "4.3.1" : "4.3.0", text: "the report cannot be stored: \(error)")
        }
        notice.send(id)
        // The scheduler's line for its own reports: by it a report is found from its cause, and the cause from it.
        log?.info(
            "report",
            [
                "queue-id": "\(job.control.id)", "report-id": "\(id)", "to": destination.address,
                "recipients": "\(recipients.count)",
            ])
        return "reported to \(destination.address) as \(id), \(remark)"
    }

    /// Done with, and nobody else tells the sender.
    private static func done(_ text: String) -> RecipientResult {
        var result = RecipientResult(.ok, .relayed, status: "2.0.0", text: text)
        result.isReportedElsewhere = true
        return result
    }
}

/// Why there is no report yet.
private struct ReportProblem: Error {
    let status: String
    let text: String
}
