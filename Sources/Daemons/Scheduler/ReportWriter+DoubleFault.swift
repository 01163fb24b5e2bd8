import DeliveryStatus
import Forms
import MailModel
import Postoffice
import SpoolFormat

extension ReportWriter {
    /// What becomes of a report that cannot be delivered.
    enum DoubleFault {
        case sent(SentReport)
        /// Nobody is to be told.
        case nobody
        /// It was itself about such a report: nobody can be told.
        case undeliverable
    }

    /// Tells those whom `PARAMdouble-fault` and the form name, within ``DoubleFaults/maximumPerHour`` (scheduler.md §4). A crash before
    /// the message is gone repeats the report.
    func doubleFault(_ id: SpoolID) throws(PostofficeError) -> DoubleFault {
        guard let (file, _) = try control(id) else { return .nobody }
        if try isDoubleFault(file) {
            doubleFaults.warn(id, "a report about an undeliverable report cannot be delivered either")
            return .undeliverable
        }
        var form = forms.form(.doublefault)
        let addresses = rules.doubleFaultAddresses() + form.addresses
        form.addresses = []
        guard !addresses.isEmpty else {
            doubleFaults.note(id, "nobody is told", "PARAMdouble-fault names nobody")
            return .nobody
        }
        guard doubleFaults.mayReport(at: clock()) else {
            doubleFaults.note(id, "nobody is told", "more than \(DoubleFaults.maximumPerHour) in this hour")
            return .nobody
        }
        var report = try report(
            file, to: addresses, form: form,
            recipients: Array(Self.failed(file).prefix(DeliveryReport.maximumRecipients)))
        report.subjectPrefix = "Double-fault: "
        try submit(report, comment: DoubleFaults.mark)
        return .sent(
            SentReport(
                id: report.id, to: addresses.joined(separator: ","), recipients: report.recipients.count, records: 0))
    }

    private func isDoubleFault(_ file: ControlFile) throws(PostofficeError) -> Bool {
        do throws(PostofficeError) {
            let octets = try postoffice.readPrefix(.queue, file.id, limit: min(file.headerStart, 16384)).octets
            return Octets.split(octets[...], at: 0x0a).contains { Octets.text($0) == "comment \(DoubleFaults.mark)" }
        } catch  where error.kind == .notFound {
            return false
        }
    }

    /// Those without a success.
    private static func failed(_ file: ControlFile) -> [DeliveryReport.Recipient] {
        var last: [Int: ResultRecord] = [:]
        for record in file.records where record.notary.action != .delayed { last[record.offset] = record }
        return file.recipients.compactMap { recipient in
            let record = last[recipient.offset]
            if let record, record.notary.action != .failed { return nil }
            return DeliveryReport.Recipient(
                originalRecipient: recipient.originalRecipient,
                finalRecipient: record?.notary.finalRecipient ?? recipient.quad.user, action: .failed,
                status: record?.notary.status ?? "5.0.0", diagnostic: record?.notary.diagnostic ?? "",
                remoteMTA: record?.notary.remoteHost ?? "", text: record?.message ?? "", lastAttempt: record?.time)
        }
    }
}
