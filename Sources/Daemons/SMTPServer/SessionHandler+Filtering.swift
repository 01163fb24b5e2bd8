import Configuration
import ContentFiltering
import MailModel
import NIOCore
import PolicyAsking
import Postoffice
import SMTPProtocol
import SpoolFormat
import Telemetry

/// A message on its way through the content filters. Confined to its session.
final class FilterRun {
    var record: Intake.Record
    var draft: MessageDraft?
    var path = ""
    let filters: [String]
    /// Which of them has it.
    var position = 0
    /// To be called when nobody waits for the filter that has it.
    var withdraw: @Sendable () -> Void = {}
    /// What the client is to be told, if a filter has words of its own.
    var reply: Reply?
    let fingerprint: Int
    let begun = NIODeadline.now()

    init(_ record: Intake.Record, filters: [String], fingerprint: Int) {
        self.record = record
        self.filters = filters
        self.fingerprint = fingerprint
    }
}

/// Content filters between the end of a message and its acceptance (docs/contentfilters.md); DATA and BDAT alike.
extension SessionHandler {
    /// Seconds that are given to the files, beside the filters.
    private static let filteringMargin = 60
    /// Octets at the end of a message by which it is known again.
    private static let fingerprintOctets = 4096

    func wantsFiltering(of message: IncomingMessage) -> Bool {
        guard !profile.configuration.contentFilters.isEmpty else { return false }
        let reason: String
        if policy.freeze != nil {
            reason = "the policy freezes it"
        } else if !policy.runsFilter {
            reason = "the policy says so"
        } else {
            return true
        }
        if loop.settings.configuration.contentFiltering.isTraced {
            loop.log.info(
                "filter-skipped", ["queue-id": message.id.description, "session": sessionID, "reason": reason])
        }
        return false
    }

    /// `octets` is the whole message unless it has a draft.
    func beginFiltering(_ record: Intake.Record, _ octets: [UInt8], traits: [UInt8]) {
        guard let message else { return }
        var fingerprint = Hasher()
        fingerprint.combine(record.sender)
        fingerprint.combine(message.transaction.recipients.map(\.forwardPath.address))
        fingerprint.combine(message.contentSize)
        // The beginning has our own trace field, which is another one each time.
        fingerprint.combine(octets.suffix(min(Self.fingerprintOctets, message.contentSize)))
        let filters = profile.configuration.contentFilters
        let run = FilterRun(record, filters: filters, fingerprint: fingerprint.finalize())
        filterRun = run
        isActive(
            loop.settings.configuration.contentFiltering.answerTimeout * filters.count + Self.filteringMargin)
        let intake = loop.intake
        let draft = message.draft
        message.draft = nil
        message.releaseMemory()
        let id = record.id
        resume(run) { () throws(PostofficeError) in
            try intake.publish(id, draft, octets, traits: traits)
        } then: { handler, published in
            run.draft = published.draft
            run.path = published.path
            handler.askFilter(run)
        }
    }

    /// `work` on a thread of the pool, then `next` here, if the session still waits for this run.
    private func resume<Result: Sendable>(
        _ run: FilterRun, _ work: @escaping @Sendable () throws(PostofficeError) -> Result,
        then next: @escaping (SessionHandler, Result) -> Void
    ) {
        let bound = NIOLoopBound((self, run, next), eventLoop: loop.loop)
        let eventLoop = loop.loop
        loop.intake.pool.submit {
            do throws(PostofficeError) {
                let result = try work()
                eventLoop.execute {
                    let (handler, run, next) = bound.value
                    if handler.filterRun === run { next(handler, result) }
                }
            } catch {
                eventLoop.execute {
                    let (handler, run, _) = bound.value
                    if handler.filterRun === run { handler.fail(run, error) }
                }
            }
        }
    }

    private func fail(_ run: FilterRun, _ error: PostofficeError) {
        let refusal = loop.intake.refusal(error, session: sessionID)
        pendingReason = error.description
        settle(run, refusal)
    }

    private func askFilter(_ run: FilterRun) {
        let bound = NIOLoopBound((self, run), eventLoop: loop.loop)
        let eventLoop = loop.loop
        run.withdraw = loop.filters.ask(run.filters[run.position], path: run.path, fingerprint: run.fingerprint) {
            outcome in
            eventLoop.execute {
                let (handler, run) = bound.value
                if handler.filterRun === run { handler.filterAnswered(run, outcome) }
            }
        }
    }

    private func filterAnswered(_ run: FilterRun, _ outcome: FilterOutcome) {
        switch outcome {
        case .answered(let answer):
            guard let verdict = answer.verdict else { return filterFailed(run, answer.problem) }
            log(run, verdict.summary, answer.edits)
            apply(verdict, answer.edits, run)
        case .failed(let reason):
            filterFailed(run, reason)
        case .busy(let reason):
            log(run, "none: \(reason)")
            loop.intake.metrics.filtered.add(.deferred)
            pendingReason = "content filter: \(reason)"
            settle(run, Reply(451, EnhancedStatusCode(4, 3, 2), "Too many messages are being checked, try later"))
        case .poison(let reason):
            log(run, "poison: \(reason)")
            freeze(run, FilterVerdict(.freeze(1)), "poison: \(reason)")
        }
    }

    private func log(_ run: FilterRun, _ result: String, _ edits: MessageEdits = MessageEdits()) {
        let spent = (NIODeadline.now() - run.begun).nanoseconds / 1_000_000
        loop.log.info(
            "filtered",
            [
                "queue-id": run.record.id.description, "session": sessionID, "client": client.literal,
                "filter": run.filters[run.position], "result": result,
                "changes": edits.isEmpty ? "-" : edits.summary, "ms": "\(spent)",
            ])
    }

    private func apply(_ verdict: FilterVerdict, _ edits: MessageEdits, _ run: FilterRun) {
        let id = run.record.id.description
        if verdict.disposition == .refuse {
            loop.intake.metrics.filtered.add(.refused)
            pendingReason = "content filter \(run.filters[run.position]): \(verdict.summary)"
            settle(run, verdict.reply(id: id) ?? Reply(550, EnhancedStatusCode(5, 7, 1), "Refused"))
            return
        }
        guard !edits.isEmpty, let draft = run.draft else {
            proceed(run, verdict)
            return
        }
        let postoffice = loop.intake.postoffice
        resume(run) { () throws(PostofficeError) in
            try draft.revised(by: edits, in: postoffice)
        } then: { handler, revised in
            guard let revised else { return handler.filterFailed(run, "its header is too large to be changed") }
            handler.letGo(draft)
            run.draft = revised
            if !edits.recipients.isEmpty { run.record.recipients = edits.recipients.count }
            handler.proceed(run, verdict)
        }
    }

    private func proceed(_ run: FilterRun, _ verdict: FilterVerdict) {
        if case .freeze = verdict.disposition {
            freeze(run, verdict, verdict.summary)
            return
        }
        loop.intake.metrics.filtered.add(.accepted)
        run.reply = verdict.reply(id: run.record.id.description) ?? run.reply
        next(run)
    }

    private func next(_ run: FilterRun) {
        run.position += 1
        if run.position < run.filters.count { askFilter(run) } else { store(run) }
    }

    private func freeze(_ run: FilterRun, _ verdict: FilterVerdict, _ reason: String) {
        loop.intake.metrics.filtered.add(.frozen)
        let code =
            if case .freeze(let number) = verdict.disposition { number } else { 1 }
        run.record.freeze = FreezeNote(
            code: code, time: loop.unixTime, source: run.filters[run.position], reason: reason)
        run.reply = verdict.reply(id: run.record.id.description)
        store(run)
    }

    /// No valid result: what `contentfilter-failure` says.
    private func filterFailed(_ run: FilterRun, _ reason: String) {
        log(run, "none: \(reason)")
        loop.intake.metrics.filtered.add(.failed)
        switch loop.settings.configuration.contentFiltering.failure {
        case .freeze:
            freeze(run, FilterVerdict(.freeze(1)), "no result: \(reason)")
        case .defer:
            loop.intake.metrics.filtered.add(.deferred)
            pendingReason = "content filter: \(reason)"
            settle(run, Reply(451, EnhancedStatusCode(4, 3, 0), "The message could not be checked, try again later"))
        case .accept:
            loop.intake.metrics.filtered.add(.bypassed)
            loop.log.warning(
                "filter-bypassed",
                [
                    "queue-id": run.record.id.description, "session": sessionID,
                    "filter": run.filters[run.position], "reason": reason, "count": "\(loop.filters.countBypass())",
                ])
            next(run)
        }
    }

    private func store(_ run: FilterRun) {
        guard let draft = run.draft, phase == .open else { return abandonFiltering() }
        filterRun = nil
        isCommitting = true
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        let eventLoop = loop.loop
        let (record, reply) = (run.record, run.reply)
        let sender = message?.transaction.reversePath.mailbox?.description ?? ""
        loop.intake.commitLater(record, draft, [], traits: nil) { error in
            eventLoop.execute {
                bound.value.committed(
                    record.id, sender: sender, recipients: record.recipients, error, told: reply)
            }
        }
    }

    /// The message is not kept: the client hears so, or what the filter wants it to hear.
    private func settle(_ run: FilterRun, _ reply: Reply) {
        abandonFiltering()
        message = nil
        guard phase == .open else { return }
        isActive(loop.timeouts.command)
        self.reply { session.messageDecided([reply], into: &$0) }
    }

    /// The message is not waited for any more, and not kept.
    func abandonFiltering() {
        guard let run = filterRun else { return }
        filterRun = nil
        run.withdraw()
        if let draft = run.draft { letGo(draft) }
        run.draft = nil
    }

    /// A large file takes time to go: not on the loop.
    private func letGo(_ draft: MessageDraft) { loop.intake.pool.submit { withExtendedLifetime(draft) {} } }
}
