import AgentProtocol
import MailModel
import SpoolFormat

extension DeliveryScheduler {
    /// A shorter `retryat` means the normal schedule (scheduler.md §2.1).
    static let shortestRetry = 63
    /// Seconds after an answer in which a host counts as up.
    static let recentAnswer: Int64 = 60

    func take(_ report: AgentReport, from agent: Agent) {
        guard let (vertex, index) = agent.locate(report.file, report.offset) else {
            actions.append(.log(.strayReport(agent: agent.number, report)))
            return
        }
        let message = vertex.message
        agent.hasWorked = true
        switch report.result {
        case .ok:
            answered(vertex.thread)
            widen(vertex.thread)
            settle(vertex, index, report, as: .delivered)
        case .failed:
            answered(vertex.thread)
            settle(vertex, index, report, as: .failed)
        case .deferred, .deferredBack:
            answered(vertex.thread)
            postpone(vertex, index, report)
        case .deferredAll:
            if narrows(vertex.thread) {
                postpone(vertex, index, report)
            } else {
                vertex.isHeldByThread = true
                postpone(vertex, index, report)
                backOff(vertex, index, seconds: 0)
            }
        case .retry(let seconds):
            let isOwn = seconds >= Self.shortestRetry
            if isOwn { vertex.isHeldByThread = true }
            postpone(vertex, index, report)
            if isOwn { backOff(vertex, index, seconds: Int64(seconds)) }
        }
        if vertex.awaiting == 0 { end(vertex, at: agent) }
        if message.open == 0 { finish(message) }
    }

    /// The host says something about a recipient: it is not down.
    private func answered(_ thread: DeliveryThread) {
        thread.retryIndex = 0
        thread.lastAnswer = now
        guard thread.isProbing else { return }
        thread.isProbing = false
        makeRunnable(thread)
    }

    /// A host that refuses one job while others are under way and answered is busy, not down: it gets no more than those.
    private func narrows(_ thread: DeliveryThread) -> Bool {
        let others = thread.active - 1
        guard others > 0, !thread.isProbing, thread.lastAnswer >= now - Self.recentAnswer else { return false }
        thread.window = others
        thread.successesInWindow = 0
        return true
    }

    /// As many successes as jobs at a time: one more at a time.
    private func widen(_ thread: DeliveryThread) {
        guard thread.window != .max else { return }
        thread.successesInWindow += 1
        guard thread.successesInWindow >= thread.window else { return }
        thread.successesInWindow = 0
        thread.window += 1
        if thread.window >= thread.rules?.maximumThreadJobs ?? 0 { thread.window = .max }
        makeRunnable(thread)
    }

    private func notary(_ vertex: Vertex, _ index: Int, _ report: AgentReport) -> Notary {
        if let notary = report.notary { return notary }
        let recipient = vertex.recipients[index]
        return switch report.result {
        case .ok: Notary(finalRecipient: recipient.address, action: .delivered, status: "2.0.0")
        case .failed: Notary(finalRecipient: recipient.address, action: .failed, status: "5.0.0")
        case .deferred, .deferredAll, .deferredBack, .retry:
            Notary(finalRecipient: recipient.address, action: .delayed, status: "4.0.0")
        }
    }

    /// A final result.
    private func settle(_ vertex: Vertex, _ index: Int, _ report: AgentReport, as state: QueuedRecipient.State) {
        var notary = notary(vertex, index, report)
        // The status word decides; a notary that says otherwise is the agent's mistake.
        switch (state, notary.action) {
        case (.failed, .failed), (.delivered, .delivered), (.delivered, .relayed), (.delivered, .expanded): break
        case (.failed, _): notary.action = .failed
        case (_, _): notary.action = .delivered
        }
        let outcome: DeliveryLogEntry.Outcome
        switch notary.action {
        case .delivered, .delayed: outcome = .delivered
        case .relayed: outcome = .relayed
        case .expanded: outcome = .expanded
        case .failed: outcome = .failed
        }
        settle(
            vertex, index, notary, text: report.message, outcome, as: state, hasNews: report.notary != nil,
            isToBeTold: report.isToBeTold)
    }

    /// `hasNews`: the agent has said something that a report could tell; without, the next host tells the sender. `isToBeTold`: also
    /// to a sender who did not ask for successes.
    func settle(
        _ vertex: Vertex, _ index: Int, _ notary: Notary, text: String, _ outcome: DeliveryLogEntry.Outcome,
        as state: QueuedRecipient.State, hasNews: Bool, isToBeTold: Bool = false
    ) {
        let message = vertex.message
        close(vertex, index, as: state)
        vertex.recipients[index].last = strings.result(status: notary.status, problem: text)
        log(vertex, index, notary, outcome, text)
        let recipient = vertex.recipients[index]
        let wanted: Notify = state == .failed ? .failure : .success
        let isAskedFor = recipient.notify.contains(wanted) || (isToBeTold && recipient.notify != .never)
        let isWanted =
            isAskedFor && recipient.hasErrorAddress && !message.isErrorMessage
            && (hasNews || state == .failed)
        if isWanted { message.unreported += 1 }
        // The removal of a message with one recipient is its record, unless somebody has to be told first.
        if message.recipientCount > 1 || isWanted {
            record(vertex, index, notary, text, tag: state == .delivered ? .delivered : .failed, isReported: !isWanted)
        }
        // Why a report has failed is told to the postmaster, if he wants that.
        if message.recipientCount == 1, !isWanted, message.isErrorMessage, state == .failed {
            record(vertex, index, notary, text, tag: .failed, isReported: true)
        }
        awaitReport(message)
    }

    func record(
        _ vertex: Vertex, _ index: Int, _ notary: Notary, _ text: String, tag: ControlRecipient.Tag?, isReported: Bool
    ) {
        let recipient = vertex.recipients[index]
        vertex.writes += 1
        actions.append(
            .append(
                id: vertex.message.id, vertex: vertex.number,
                record: ResultRecord(
                    offset: Int(recipient.offset), headerOffset: Int(recipient.headerOffset),
                    notaryOffset: Int(recipient.notaryOffset), time: now, notary: notary, message: text,
                    isReported: isReported), tag: tag))
    }

    private func log(
        _ vertex: Vertex, _ index: Int, _ notary: Notary, _ outcome: DeliveryLogEntry.Outcome, _ text: String
    ) {
        let recipient = vertex.recipients[index]
        actions.append(
            .log(
                .result(
                    DeliveryLogEntry(
                        id: vertex.message.id, recipient: recipient.address, original: recipient.original,
                        channel: vertex.thread.key.channel, host: vertex.thread.key.host, relay: notary.remoteHost,
                        security: notary.security, delay: max(0, now - vertex.message.deliverableFrom),
                        status: notary.status, outcome: outcome,
                        text: text,
                        attempts: vertex.attempts, arrived: vertex.message.arrived, known: vertex.message.known,
                        time: now))))
    }

    private func postpone(_ vertex: Vertex, _ index: Int, _ report: AgentReport) {
        let notary = notary(vertex, index, report)
        vertex.recipients[index].state = .open
        vertex.awaiting -= 1
        let last = strings.result(status: notary.status, problem: report.message, like: vertex.thread)
        vertex.recipients[index].last = last
        vertex.thread.last = last
        log(vertex, index, notary, .deferred, report.message)
        // Enough for the schedule to survive a restart, and no more than a record for each doubling of the attempts.
        if vertex.attempts & (vertex.attempts - 1) == 0 {
            var delayed = notary
            delayed.action = .delayed
            record(vertex, index, delayed, report.message, tag: nil, isReported: true)
        }
    }

    /// Holds the whole thread: by the schedule, or for `seconds`.
    private func backOff(_ vertex: Vertex, _ index: Int, seconds: Int64) {
        let thread = vertex.thread
        guard let rules = thread.rules else { return }
        thread.deferrals &+= 1
        thread.isProbing = true
        // Who has to ask for his mail was not there: he asks again.
        thread.isReleased = false
        // Jobs that were under way together fail together; that is one failure.
        if thread.wakeup <= now || seconds > 0 {
            thread.wakeup =
                seconds > 0
                ? now + seconds : rules.nextAttempt(after: now, index: &thread.retryIndex, random: &random)
            armWakeup(thread)
            actions.append(
                .log(
                    .backOff(
                        channel: thread.key.channel, host: thread.key.host, until: thread.wakeup,
                        problem: vertex.recipients[index].problem)))
        }
        guard thread.overdue > 0 else { return }
        // They waited for an attempt, or for proof that there can be none.
        for other in Array(thread.ready.elements) where other.state == .ready && other.isOverdue && hasExpired(other) {
            expire(other)
        }
    }

    /// Fails what is left of a vertex that no agent holds.
    func expire(_ vertex: Vertex) {
        let message = vertex.message
        let age = Self.age(now - message.deliverableFrom)
        for index in vertex.recipients.indices where vertex.recipients[index].state == .open {
            let recipient = vertex.recipients[index]
            let last = recipient.problem.isEmpty ? vertex.thread.problem : recipient.problem
            let text = "expired after \(age), problem was: \(last.isEmpty ? "no delivery attempt was possible" : last)"
            let notary = Notary(
                finalRecipient: recipient.address, action: .failed, status: "5.4.7",
                diagnostic: "x-local; 500 (\(text))")
            settle(vertex, index, notary, text: text, .expired, as: .failed, hasNews: true)
        }
        leaveIfDone(vertex)
        if message.open == 0 { finish(message) }
    }

    /// `3d`, `1h5m20s`.
    static func age(_ seconds: Int64) -> String {
        var rest = max(0, seconds)
        var text = ""
        for (unit, name) in [(86400, "d"), (3600, "h"), (60, "m"), (1, "s")] as [(Int64, String)] where rest >= unit {
            text += "\(rest / unit)\(name)"
            rest %= unit
        }
        return text.isEmpty ? "0s" : text
    }
}
