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
            try postoffice.markReported(
                id, recordOffsets: own.flatMap { $0.records.map { headEnd + $0.position } })
        }
        return sent
    }

    private struct Result {
        var errorsTo: String
        var group: Int
        var recipient: ControlRecipient
        /// What is to be marked: the notice that it is late, the final result, or both.
        var records: [ResultRecord]
        /// What the report says: the last of them.
        var record: ResultRecord
    }

    /// Of each recipient the last final record and the notice that it is late, if unreported and its NOTIFY asks for it.
    private func unreported(_ file: ControlFile) -> [Result] {
        if file.isErrorMessage { return [] }
        var last: [Int: ResultRecord] = [:]
        var notices: [Int: ResultRecord] = [:]
        for record in file.records {
            if record.isDelayNotice { notices[record.offset] = record }
            if record.notary.action != .delayed { last[record.offset] = record }
        }
        var results: [Result] = []
        for (index, group) in file.groups.enumerated() {
            guard let errorsTo = group.errorsTo else { continue }
            for recipient in group.recipients {
                let records = [notices[recipient.offset], last[recipient.offset]].compactMap { $0 }
                    .filter { !$0.isReported && Self.isWanted($0, recipient) }
                guard let record = records.last else { continue }
                results.append(
                    Result(errorsTo: errorsTo, group: index, recipient: recipient, records: records, record: record))
            }
        }
        return results
    }

    /// A relay that nobody asked to hear of stands here as unreported only where RFC 2852 §4.1.4 wants it told.
    private static func isWanted(_ record: ResultRecord, _ recipient: ControlRecipient) -> Bool {
        let action = record.notary.action
        return recipient.notify.wants(action) || (action == .relayed && recipient.notify != .never)
    }

    private func send(
        _ results: [Result], of file: ControlFile, to address: String
    ) throws(PostofficeError) -> SentReport {
        let hasFailure = results.contains { $0.record.notary.action == .failed }
        let reportID = postoffice.newID()
        let report = DeliveryReport(
            id: reportID, reportingMTA: hostName, to: [address],
            form: form(FormName(results.map { ($0.record.notary, $0.recipient.notify) })),
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
        return SentReport(
            id: reportID, to: address, recipients: results.count, records: results.reduce(0) { $0 + $1.records.count })
    }

    private func original(
        _ file: ControlFile, group: Int, hasFailure: Bool
    ) throws(PostofficeError) -> DeliveryReport.Original {
        let bodySize = max(0, file.messageSize - file.bodyOffset)
        let returnsBody = DeliveryReport.returnsBody(
            file.notaryReturn, hasFailure: hasFailure, size: bodySize, requiresTLS: file.requiresTLS)
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
        var original = DeliveryReport.Original(
            id: file.id, format: file.format, header: file.groups[group].header ?? header,
            body: returnsBody && octets.count > bodyStart ? Array(octets[bodyStart...]) : nil,
            arrivalDate: file.id.unixTime, envelopeID: file.envelopeID,
            isInternationalized: file.isInternationalized)
        original.takeRequests(of: file)
        return original
    }

    /// The files of `forms/`: for failures, for those whose time has run out, for what is late and still tried, for successes that
    /// the sender has asked for, and for relays that he is told of unasked.
    private enum FormName: String {
        case delivery, expired, delayed, success, relayed

        init(_ results: [(notary: Notary, notify: Notify)]) {
            let failures = results.filter { $0.notary.action == .failed }
            if !failures.isEmpty {
                self = failures.allSatisfy { $0.notary.status == "5.4.7" } ? .expired : .delivery
            } else if results.contains(where: { $0.notary.action == .delayed }) {
                self = .delayed
            } else {
                self = results.contains { $0.notify.contains(.success) } ? .success : .relayed
            }
        }
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
            case .delayed: return Self.delayed
            case .relayed: return Self.relayed
            }
        }
    }

    private static let delayed = ReportForm(
        subject: "Mail is delayed",
        text: """
            Your message has not been delivered to the recipients listed below within
            the time that you have set. You need not do anything: delivery goes on.
            """)

    private static let relayed = ReportForm(
        subject: "Mail was passed on",
        text: """
            You have asked for delivery within a time. Your message has been passed on to
            the mail systems listed below, which may not know of that.
            """)

    private static let success = ReportForm(
        subject: "Mail was delivered",
        text: """
            You have asked to be told when your message is delivered.
            What became of it is listed below for each recipient.
            """)
}
