import DeliveryStatus
import Forms
import MailModel
import Postoffice
import SpoolFormat

extension Freezer {
    /// Octets of a returned header; a longer one is cut at the end of a line.
    private static let maximumHeader = 128 << 10

    /// Composes a notification (RFC 3464) and makes it durable in `router/`; `nil`: nobody wants one.
    func submitReport(
        _ message: FrozenMessage, _ envelope: MessageEnvelope, to sender: String
    ) throws(Failure) -> Report? {
        let recipients = envelope.recipients.filter { $0.notify.wants(.failed) }
        guard !recipients.isEmpty else { return nil }
        let id = postoffice.newID()
        let reason = message.note == nil ? "it was held for inspection" : message.reason
        let original: DeliveryReport.Original
        do throws(PostofficeError) { original = try self.original(message, envelope) } catch {
            throw .spool(error)
        }
        let report = DeliveryReport(
            id: id, reportingMTA: hostName, to: [sender], form: form,
            recipients: recipients.map { recipient in
                DeliveryReport.Recipient(
                    originalRecipient: recipient.originalRecipient, finalRecipient: recipient.address,
                    action: .failed, status: "5.7.1", diagnostic: "x-local; 550 5.7.1 \(reason)", text: reason)
            },
            original: original, date: id.unixTime)
        let composed = report.composed()
        do throws(PostofficeError) {
            try postoffice.submit(id, [composed.envelope.encoded(), composed.content])
        } catch {
            throw .spool(error)
        }
        return Report(id: id, to: sender, recipients: recipients.count)
    }

    private func original(
        _ message: FrozenMessage, _ envelope: MessageEnvelope
    ) throws(PostofficeError) -> DeliveryReport.Original {
        let section = HeaderSection(message.head, from: message.headerStart)
        var header = message.head[message.headerStart..<section.end]
        let isCut = header.count > Self.maximumHeader
        if isCut {
            header = header.prefix(Self.maximumHeader)
            if let newline = header.lastIndex(of: 0x0a) { header = header[...newline] }
        }
        var original = DeliveryReport.Original(
            id: message.id, format: envelope.format, header: Array(header), arrivalDate: message.arrived,
            envelopeID: envelope.envelopeID, isInternationalized: envelope.isInternationalized)
        let returnsBody = DeliveryReport.returnsBody(
            envelope.notaryReturn, hasFailure: true, size: message.size - section.bodyStart,
            requiresTLS: envelope.requiresTLS)
        if returnsBody, !isCut {
            let octets = try postoffice.readPrefix(.freezer, message.id, limit: message.size).octets
            original.body = Array(octets[min(section.bodyStart, octets.count)...])
        }
        original.receivedFrom = envelope.receivedFrom.flatMap { ReceivedFrom($0) }
        original.deliverBy = envelope.deliverBy?.time
        original.releaseRequest = envelope.release?.request
        original.priority = envelope.priority
        original.requiresTLS = envelope.requiresTLS
        return original
    }

    private var form: ReportForm {
        if case .found(let form) = forms.form("frozen") { return form }
        return ReportForm(
            subject: "Mail was not delivered",
            text: """
                Your message was held for inspection and will not be delivered
                to the recipients listed below.
                """)
    }
}
