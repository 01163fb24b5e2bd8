import DeliveryStatus
import Forms
import MailModel
import Postoffice
import ProgramKit
import SpoolFormat

/// Makes notifications of the results in a control file and submits them (RFC 3464). Used by one thread.
final class ReportWriter {
    let postoffice: Postoffice
    private let formDirectory: String
    let rules: ReportRules
    let doubleFaults: DoubleFaults
    let clock: @Sendable () -> Int64
    private let routerNotice: NoticeSender
    private let hostName: String

    /// In the languages that hold now.
    var forms: FormLibrary { FormLibrary(directory: formDirectory, languages: rules.languages()) }

    /// `formDirectory`: `$MAILSHARE/forms`.
    init(
        postoffice: Postoffice, routerNotice: NoticeSender, hostName: String, formDirectory: String,
        clock: @escaping @Sendable () -> Int64, rules: ReportRules = ReportRules(),
        doubleFaults: DoubleFaults = DoubleFaults()
    ) {
        self.postoffice = postoffice
        self.routerNotice = routerNotice
        self.hostName = hostName
        self.formDirectory = formDirectory
        self.rules = rules
        self.doubleFaults = doubleFaults
        self.clock = clock
    }

    /// Reports every result that somebody wants to hear of and has not: records are made durable first, marked after the submission.
    /// A crash in between repeats a report; none is lost. Records that need no report any more are one with no recipients.
    func send(_ id: SpoolID) throws(PostofficeError) -> [SentReport] {
        guard let (file, headEnd) = try control(id) else { return [] }
        let all = unreported(file)
        guard !all.isEmpty else { return [] }
        try postoffice.syncControl(id)
        var sent: [SentReport] = []
        let outdated = all.filter(\.isOutdated)
        if !outdated.isEmpty {
            let records = outdated.flatMap(\.records)
            try postoffice.markReported(id, recordOffsets: records.map { headEnd + $0.position })
            sent.append(SentReport(id: id, to: "", recipients: 0, records: records.count))
        }
        let results = all.filter { !$0.isOutdated }
        var addresses: [String] = []
        for result in results where !addresses.contains(result.errorsTo) { addresses.append(result.errorsTo) }
        for address in addresses {
            // So many at a time that a report can be read and sent, each marked when it is durable.
            var rest = results.filter { $0.errorsTo == address }[...]
            while !rest.isEmpty {
                let own = Array(rest.prefix(DeliveryReport.maximumRecipients))
                let isFirst = rest.startIndex == 0
                rest = rest.dropFirst(own.count)
                sent.append(try send(own, of: file, to: address, returnsBody: isFirst))
                try postoffice.markReported(
                    id, recordOffsets: own.flatMap { $0.records.map { headEnd + $0.position } })
            }
        }
        return sent
    }

    /// The control file and where its records begin; `nil`: there is none.
    func control(_ id: SpoolID) throws(PostofficeError) -> (file: ControlFile, headEnd: Int)? {
        let octets: [UInt8]
        do throws(PostofficeError) {
            octets = try postoffice.read(.transport, id, limit: FileWorker.maximumControlFile)
        } catch  where error.kind == .notFound {
            return nil
        }
        do throws(ControlFileError) {
            let headEnd = try ControlFile.verifiedHeadEnd(octets)
            return (try ControlFile.parse(octets), headEnd)
        } catch {
            // Somebody has changed it behind our back: what it had to tell must not be forgotten with the message.
            throw PostofficeError(.system, postoffice.path(.transport, id), "no report can be made: \(error)")
        }
    }

    private struct Result {
        var errorsTo: String
        var group: Int
        var recipient: ControlRecipient
        /// What is to be marked: notices that it is late, the final result, or both.
        var records: [ResultRecord]
        /// What the report says: the last of them.
        var record: ResultRecord
        /// The last attempt on record that did not succeed.
        var attempt: ResultRecord?
        /// Notices that it is late, of what is done meanwhile: they would only confuse.
        var isOutdated: Bool
    }

    /// Of each recipient the last final record and the notices that it is late, if unreported and its NOTIFY asks for it.
    private func unreported(_ file: ControlFile) -> [Result] {
        if file.isErrorMessage { return [] }
        var last: [Int: ResultRecord] = [:]
        var notices: [Int: [ResultRecord]] = [:]
        var attempts: [Int: ResultRecord] = [:]
        for record in file.records {
            if record.isDelayNotice {
                notices[record.offset, default: []].append(record)
            } else if record.notary.action == .delayed {
                attempts[record.offset] = record
            } else {
                last[record.offset] = record
            }
        }
        var results: [Result] = []
        for (index, group) in file.groups.enumerated() {
            guard let errorsTo = group.errorsTo else { continue }
            for recipient in group.recipients {
                let records = (notices[recipient.offset] ?? []) + [last[recipient.offset]].compactMap { $0 }
                let untold = records.filter { !$0.isReported && Self.isWanted($0, recipient) }
                guard let record = untold.last else { continue }
                results.append(
                    Result(
                        errorsTo: errorsTo, group: index, recipient: recipient, records: untold, record: record,
                        attempt: attempts[recipient.offset],
                        isOutdated: record.isDelayNotice && last[recipient.offset] != nil))
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
        _ results: [Result], of file: ControlFile, to address: String, returnsBody: Bool
    ) throws(PostofficeError) -> SentReport {
        let hasFailure = results.contains { $0.record.notary.action == .failed }
        let report = DeliveryReport(
            id: postoffice.newID(), reportingMTA: hostName, to: DeliveryReport.addresses(address), form: form(results),
            recipients: results.map { Self.recipient($0, retriedUntil: retriedUntil($0, of: file)) },
            original: try original(file, group: results[0].group, returnsBody: returnsBody && hasFailure),
            date: clock())
        try submit(report)
        return SentReport(
            id: report.id, to: address, recipients: results.count,
            records: results.reduce(0) { $0 + $1.records.count })
    }

    /// Makes it durable; `comment`: for ourselves, in its envelope.
    func submit(_ report: DeliveryReport, comment: String? = nil) throws(PostofficeError) {
        let composed = report.composed()
        var envelope = composed.envelope
        if let comment { envelope.comments.append(comment) }
        try postoffice.submit(report.id, [envelope.encoded(), composed.content])
        routerNotice.send(report.id)
    }

    /// A report about one message, with everything but its recipients.
    func report(
        _ file: ControlFile, to addresses: [String], form: ReportForm, recipients: [DeliveryReport.Recipient]
    ) throws(PostofficeError) -> DeliveryReport {
        DeliveryReport(
            id: postoffice.newID(), reportingMTA: hostName, to: addresses, form: form, recipients: recipients,
            original: try original(file, group: 0, returnsBody: true), date: clock())
    }

    private static func recipient(_ result: Result, retriedUntil: Int64?) -> DeliveryReport.Recipient {
        let record = result.record
        let notary = record.notary
        var recipient = DeliveryReport.Recipient(
            originalRecipient: result.recipient.originalRecipient, finalRecipient: notary.finalRecipient,
            action: notary.action, status: notary.status, diagnostic: notary.diagnostic, remoteMTA: notary.remoteHost,
            text: record.message, willRetryUntil: notary.action == .delayed ? retriedUntil : nil)
        // Of what no agent has said, the time is not that of an attempt.
        guard notary.agent.isEmpty || notary.agent == Notary.scheduler else {
            recipient.lastAttempt = record.time
            return recipient
        }
        if let attempt = result.attempt, !attempt.message.isEmpty, record.message.hasSuffix(attempt.message) {
            recipient.remoteMTA = attempt.notary.remoteHost
            if !attempt.notary.diagnostic.isEmpty { recipient.diagnostic = attempt.notary.diagnostic }
        }
        return recipient
    }

    private func retriedUntil(_ result: Result, of file: ControlFile) -> Int64? {
        guard result.record.notary.action == .delayed else { return nil }
        let quad = result.recipient.quad
        let start = max(file.id.unixTime, file.release?.time ?? 0)
        let end = rules.retriedUntil(quad.channel, quad.host, start)
        guard let deadline = result.recipient.deliverBy, deadline.mode == .return else { return end }
        return min(end ?? deadline.time, deadline.time)
    }

    private func original(
        _ file: ControlFile, group: Int, returnsBody isWanted: Bool
    ) throws(PostofficeError) -> DeliveryReport.Original {
        let bodySize = max(0, file.messageSize - file.bodyOffset)
        let returnsBody = DeliveryReport.returnsBody(
            file.notaryReturn, hasFailure: isWanted, size: bodySize, requiresTLS: file.requiresTLS)
        var octets: [UInt8] = []
        do throws(PostofficeError) {
            let limit = returnsBody ? file.bodyOffset + bodySize : file.bodyOffset
            octets = try postoffice.readPrefix(.queue, file.id, limit: limit).octets
        } catch  where error.kind == .notFound {
            // The results are to be told all the same.
        }
        let bodyStart = min(file.bodyOffset, octets.count)
        let headerStart = min(file.headerStart, bodyStart)
        var header = Array(octets[headerStart..<bodyStart])
        let emptyLine: [UInt8] = file.format == .crlf ? [0x0d, 0x0a] : [0x0a]
        if header.suffix(emptyLine.count) == emptyLine[...] { header.removeLast(emptyLine.count) }
        var original = DeliveryReport.Original(
            id: file.id, format: file.format, header: file.groups[group].header ?? header,
            body: returnsBody && octets.count > bodyStart ? Array(octets[bodyStart...]) : nil,
            arrivalDate: file.id.unixTime, envelopeID: file.envelopeID,
            isInternationalized: file.isInternationalized)
        original.takeRequests(of: file)
        original.takeOrigin(from: octets[..<headerStart])
        return original
    }

    /// That of the kind, or what the clause of the first failed recipient says.
    private func form(_ results: [Result]) -> ReportForm {
        let kind = ReportKind(results.map { ($0.record.notary.action, $0.record.notary.status) })
        guard kind == .delivery || kind == .expired,
            let first = results.first(where: { $0.record.notary.action == .failed })
        else { return forms.form(kind) }
        let quad = first.recipient.quad
        return forms.form(kind, chosen: rules.form(quad.channel, quad.host, kind == .expired))
    }
}
