import DeliveryStatus
import Glibc
import MailModel
import Postoffice
import ProgramKit
import SpoolFormat

/// Makes notifications of the results in a control file and submits them (RFC 3464). Used by one thread.
final class ReportWriter {
    private let postoffice: Postoffice
    private let routerNotice: NoticeSender
    private let hostName: String
    /// `$MAILSHARE/forms`.
    private let formDirectory: String
    private let clock: @Sendable () -> Int64

    init(
        postoffice: Postoffice, routerNotice: NoticeSender, hostName: String, formDirectory: String,
        clock: @escaping @Sendable () -> Int64
    ) {
        self.postoffice = postoffice
        self.routerNotice = routerNotice
        self.hostName = hostName
        self.formDirectory = formDirectory
        self.clock = clock
    }

    /// Reports every result that somebody wants to hear of and has not: records are made durable first, marked after the submission.
    /// A crash in between repeats a report; none is lost.
    func send(_ id: SpoolID) throws(PostofficeError) -> [SentReport] {
        let octets: [UInt8]
        do throws(PostofficeError) {
            octets = try postoffice.read(.transport, id, limit: FileWorker.maximumControlFile)
        } catch  where error.kind == .notFound {
            return []
        }
        let file: ControlFile
        let headEnd: Int
        do throws(ControlFileError) {
            headEnd = try ControlFile.verifiedHeadEnd(octets)
            file = try ControlFile.parse(octets)
        } catch {
            // Somebody has changed it behind our back: what it had to tell must not be forgotten with the message.
            throw PostofficeError(.system, postoffice.path(.transport, id), "no report can be made: \(error)")
        }
        let results = unreported(file)
        guard !results.isEmpty else { return [] }
        try postoffice.syncControl(id)
        var sent: [SentReport] = []
        var addresses: [String] = []
        for result in results where !addresses.contains(result.errorsTo) { addresses.append(result.errorsTo) }
        for address in addresses {
            let own = results.filter { $0.errorsTo == address }
            sent.append(try send(own, of: file, to: address))
            try postoffice.markReported(id, recordOffsets: own.map { headEnd + $0.record.position })
        }
        return sent
    }

    private struct Result {
        var errorsTo: String
        var group: Int
        var recipient: ControlRecipient
        var record: ResultRecord
    }

    /// The last final record of each recipient if it is unreported and its NOTIFY asks for it.
    private func unreported(_ file: ControlFile) -> [Result] {
        if file.isErrorMessage { return [] }
        var last: [Int: ResultRecord] = [:]
        for record in file.records where record.notary.action != .delayed { last[record.offset] = record }
        var results: [Result] = []
        for (index, group) in file.groups.enumerated() {
            guard let errorsTo = group.errorsTo else { continue }
            for recipient in group.recipients {
                guard let record = last[recipient.offset], !record.isReported,
                    recipient.notify.wants(record.notary.action)
                else { continue }
                results.append(Result(errorsTo: errorsTo, group: index, recipient: recipient, record: record))
            }
        }
        return results
    }

    private func send(
        _ results: [Result], of file: ControlFile, to address: String
    ) throws(PostofficeError) -> SentReport {
        let failures = results.filter { $0.record.notary.action == .failed }
        let hasFailure = !failures.isEmpty
        let isExpiry = hasFailure && failures.allSatisfy { $0.record.notary.status == "5.4.7" }
        let reportID = postoffice.newID()
        let report = DeliveryReport(
            id: reportID, reportingMTA: hostName, to: [address],
            form: form(!hasFailure ? .success : isExpiry ? .expired : .delivery),
            recipients: results.map { result in
                let notary = result.record.notary
                return DeliveryReport.Recipient(
                    originalRecipient: result.recipient.originalRecipient, finalRecipient: notary.finalRecipient,
                    action: notary.action, status: notary.status, diagnostic: notary.diagnostic,
                    remoteMTA: notary.remoteHost, text: result.record.message, lastAttempt: result.record.time)
            },
            original: try original(file, group: results[0].group, hasFailure: hasFailure), date: clock())
        let composed = report.composed()
        try postoffice.submit(reportID, [composed.envelope.encoded(), composed.content])
        routerNotice.send(reportID)
        return SentReport(id: reportID, to: address, recipients: results.count)
    }

    private func original(
        _ file: ControlFile, group: Int, hasFailure: Bool
    ) throws(PostofficeError) -> DeliveryReport.Original {
        let bodySize = max(0, file.messageSize - file.bodyOffset)
        let returnsBody = DeliveryReport.returnsBody(file.notaryReturn, hasFailure: hasFailure, size: bodySize)
        var octets: [UInt8] = []
        do throws(PostofficeError) {
            let limit = returnsBody ? file.bodyOffset + bodySize : file.bodyOffset
            octets = try postoffice.readPrefix(.queue, file.id, limit: limit).octets
        } catch  where error.kind == .notFound {
            // The results are to be told all the same.
        }
        let bodyStart = min(file.bodyOffset, octets.count)
        var header = Array(octets[min(file.headerStart, bodyStart)..<bodyStart])
        let emptyLine: [UInt8] = file.format == .crlf ? [0x0d, 0x0a] : [0x0a]
        if header.suffix(emptyLine.count) == emptyLine[...] { header.removeLast(emptyLine.count) }
        return DeliveryReport.Original(
            id: file.id, format: file.format, header: file.groups[group].header ?? header,
            body: returnsBody && octets.count > bodyStart ? Array(octets[bodyStart...]) : nil,
            arrivalDate: file.id.unixTime, envelopeID: file.envelopeID,
            isInternationalized: file.isInternationalized)
    }

    /// The files of `forms/`: for failures, for those whose time has run out, for successes that the sender has asked for.
    private enum FormName: String {
        case delivery, expired, success
    }

    /// A built-in text where there is no such file.
    private func form(_ name: FormName) -> ReportForm {
        do throws(FileOctets.Failure) {
            let octets = try FileOctets.read("\(formDirectory)/\(name.rawValue)", limit: 1 << 20)
            return ReportForm(parsing: String(decoding: octets, as: UTF8.self))
        } catch {
            switch name {
            case .delivery, .expired: return .general
            case .success: return Self.success
            }
        }
    }

    private static let success = ReportForm(
        subject: "Mail was delivered",
        text: """
            You have asked to be told when your message is delivered.
            What became of it is listed below for each recipient.
            """)
}
