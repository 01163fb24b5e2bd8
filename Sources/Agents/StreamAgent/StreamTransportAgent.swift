import AgentKit
import AgentProtocol
import ChildProcesses
import Configuration
import Glibc
import MailModel
import MessageConversion
import ProgramKit
import SpoolFormat

/// Gives messages to the program of one mailer (transport-agents.md §4), a run for each recipient, or for many with flag `m`.
final class StreamTransportAgent: TransportAgent {
    private let settings: StreamSettings
    private var mailer: StreamMailer { settings.mailer }

    init(_ settings: StreamSettings) { self.settings = settings }

    func deliver(_ job: DeliveryJob) {
        for run in runs(job) {
            let result = result(job, run)
            for recipient in run { job.report(recipient, result, relay: mailer.name) }
            // A crash repeats no more than a run.
            job.flush()
        }
    }

    // MARK: Who goes with whom

    /// Recipients of one run have sender and header in common. Those that cannot be given to the program get their reports.
    private func runs(_ job: DeliveryJob) -> [[JobRecipient]] {
        var runs: [[JobRecipient]] = []
        var octets = 0
        for recipient in job.recipients {
            if let refusal = refusal(job, recipient) {
                job.report(recipient, refusal, relay: mailer.name)
                continue
            }
            let size = recipient.address.utf8.count
            let joins =
                mailer.flags.contains(.takesManyRecipients) && runs.last?.first?.group == recipient.group
                && (runs.last?.count ?? 0) < StreamArguments.maximumRecipients
                && octets + size <= StreamArguments.maximumOctets
            if joins {
                runs[runs.count - 1].append(recipient)
                octets += size
            } else {
                runs.append([recipient])
                octets = size
            }
        }
        return runs
    }

    private func refusal(_ job: DeliveryJob, _ recipient: JobRecipient) -> RecipientResult? {
        do throws(StreamArguments.Refusal) {
            _ = try arguments(job, [recipient]).words()
        } catch {
            switch error {
            case .recipient(let address):
                return StreamResult.refused(
                    "5.1.3", "'\(address)' begins with '-': \(mailer.name) could take it for an option")
            case .sender(let address):
                return StreamResult.refused(
                    "5.1.7", "sender '\(address)' begins with '-': \(mailer.name) could take it for an option")
            case .host(let host):
                return StreamResult.refused(
                    "5.1.2", "host '\(host)' begins with '-': \(mailer.name) could take it for an option")
            }
        }
        guard mailer.flags.isRelay else { return nil }
        // Of a mail system behind a program nothing is known.
        if job.requiresTLS { return StreamResult.refused("5.7.30", "\(mailer.name) does not promise REQUIRETLS") }
        if let deliverBy = recipient.recipient.deliverBy, deliverBy.mode == .return {
            return StreamResult.refused("5.3.3", "\(mailer.name) does not promise to deliver in time")
        }
        if job.control.isInternationalized, !mailer.flags.contains(.extendedBatch) {
            return StreamResult.refused("5.6.7", "\(mailer.name) does not take internationalized mail (flag B does)")
        }
        return nil
    }

    private func arguments(_ job: DeliveryJob, _ recipients: [JobRecipient]) -> StreamArguments {
        StreamArguments(
            mailer: mailer, sender: recipients.first.flatMap { job.sender(of: $0) }, host: job.host,
            recipients: recipients)
    }

    // MARK: One run

    private func result(_ job: DeliveryJob, _ recipients: [JobRecipient]) -> RecipientResult {
        guard mailer.program != StreamMailer.nowhere else { return StreamResult.success("thrown away", mailer) }
        do throws(ProgramRun.Failure) {
            return StreamResult.of(try run(job, recipients), mailer)
        } catch {
            return StreamResult.temporary("4.3.0", "\(mailer.name): \(error)")
        }
    }

    private func run(
        _ job: DeliveryJob, _ recipients: [JobRecipient]
    ) throws(ProgramRun.Failure) -> ProgramRun.Outcome {
        let account: SystemAccount?
        do throws(SystemAccount.Failure) { account = try SystemAccount.with(uid: getuid()) } catch {
            throw .system(FileError(call: "getpwuid", path: "\(getuid())", code: error.code))
        }
        let words: [String]
        do throws(StreamArguments.Refusal) { words = try arguments(job, recipients).words() } catch {
            // Each was looked at before.
            throw .system(FileError(call: "arguments of", path: mailer.name, code: EINVAL))
        }
        var request = ChildRequest(
            path: mailer.program, arguments: words,
            environment: StreamEnvironment(zenv: settings.zenv, account: account).variables(job, recipients))
        request.directory = account?.home ?? "/"
        let text: StreamText
        do throws(FileError) { text = try self.text(job, recipients) } catch { throw .input(error) }
        return try ProgramRun(request, limits: settings.limits).run { () throws(FileError) in try text.next() }
    }

    /// What the program reads.
    private func text(_ job: DeliveryJob, _ recipients: [JobRecipient]) throws(FileError) -> StreamText {
        let flags = mailer.flags
        let encoding = LineEncoding(
            endsInCRLF: flags.contains(.endsLinesInCRLF), stuffsDots: !flags.isDisjoint(with: [.batch, .stuffsDots]),
            quotesSeparators: flags.contains(.quotesSeparators), stripsEighthBit: flags.contains(.stripsEighthBit))
        let sender = recipients.first.flatMap { job.sender(of: $0) }
        let fields = StreamFields(
            flags: flags, sender: sender, recipients: recipients, envelopeID: job.control.envelopeID)
        let header = try header(job, recipients, without: fields.replaced)
        let plan = try conversion(job, header)
        var frame = StreamText.Frame()
        frame.fields = Array(fields.text.utf8)
        if flags.contains(.batch) {
            let headerCount = header?.count ?? job.content.headerCount
            // What is converted for a program that takes 8-bit may have become that.
            let isEightBit = plan == nil ? job.control.traits.hasEightBit : flags.contains(.takesEightBit)
            let batch = StreamBatch(
                flags: flags, hostName: settings.hostName, sender: sender, recipients: recipients,
                control: job.control, isEightBit: isEightBit && !flags.contains(.stripsEighthBit),
                size: frame.fields.count + headerCount + job.content.count - job.content.headerCount)
            for line in batch.opening { frame.opening += Array(line.utf8) + encoding.lineEnd }
            for line in batch.closing { frame.closing += Array(line.utf8) + encoding.lineEnd }
        } else if !flags.contains(.omitsSeparator) || flags.contains(.addsRemoteFrom) {
            frame.opening = Array(separator(sender).utf8) + encoding.lineEnd
        }
        let source = StreamSource(job.content, header: header)
        guard let plan else {
            return StreamText(frame: frame, encoding: encoding, isCRLF: source.isCRLF) { () throws(FileError) in
                try source.next()
            }
        }
        let converted = ConvertedSource(source, plan)
        return StreamText(frame: frame, encoding: encoding, isCRLF: true) { () throws(FileError) in
            try converted.next()
        }
    }

    /// What has to be done to the content for this program; `nil`: nothing, or nothing can be.
    private func conversion(_ job: DeliveryJob, _ header: [UInt8]?) throws(FileError) -> ConversionPlan? {
        // RFC 6532: there UTF-8 is what the header is written in, and nobody but flag 8's programs reads it.
        guard !job.control.isInternationalized else { return nil }
        let flags = mailer.flags
        let isEightBit = job.control.traits.hasEightBit
        let target: ConversionTarget
        if flags.contains(.decodesQuotedPrintable) {
            target = .eightBit
        } else if !flags.contains(.takesEightBit), !flags.contains(.stripsEighthBit), isEightBit {
            target = .sevenBit
        } else {
            return nil
        }
        let plan = try ConvertedSource.plan(StreamSource(job.content, header: header), settings.conversion(target))
        return plan.obstacle == nil && plan.isNeeded ? plan : nil
    }

    /// The line that begins a message in mbox files and for UUCP.
    private func separator(_ sender: String?) -> String {
        let line = EnvelopeText.separator(sender: sender, time: Int64(time(nil)))
        return mailer.flags.contains(.addsRemoteFrom) ? "\(line) remote from \(settings.hostName)" : line
    }

    /// Octets of a header that is looked through for fields; a longer one is passed on as it is.
    private static let maximumHeader = 1 << 20

    /// The header as it is given on, if that is not the one of the message file.
    private func header(
        _ job: DeliveryJob, _ recipients: [JobRecipient], without names: Set<String>
    ) throws(FileError) -> [UInt8]? {
        let replaced = recipients.first.flatMap { job.header(of: $0) }
        // Only final copies for one recipient: what is relayed stays as it came, and nobody learns of others.
        let annotated =
            !mailer.flags.isRelay && settings.annotatesReceived && recipients.count == 1 ? recipients.first : nil
        guard replaced != nil || annotated != nil || !names.isEmpty else { return nil }
        var header: [UInt8]
        if let replaced {
            header = replaced
        } else {
            guard job.content.headerCount <= Self.maximumHeader else { return nil }
            let octets = try job.content.octets(in: 0..<job.content.headerCount)
            header = Array(octets[..<HeaderSection(octets).end])
        }
        header = StreamFields.removing(names, from: header)
        if let annotated { header = ReceivedClause.adding(annotated, to: header, id: job.id) }
        return header
    }
}
