import MailModel
import SpoolFormat

/// Times that senders have set: when a message may go (RFC 4865), and by when it is to be there (RFC 2852).
///
/// They are compared with the wall clock as it is, and not with ``DeliveryScheduler/now``, which never goes back: a clock that was
/// fast for a while must not let go early what has come after it was put right.
extension DeliveryScheduler {
    func setTimes(_ loaded: LoadedMessage, of message: QueuedMessage) {
        let isHeld = message.deliverableFrom > max(wall, message.arrived) && message.open > 0
        guard isHeld || loaded.deliverBy != nil else { return }
        let times = SenderTimes(message: message, heldUntil: loaded.heldUntil, deliverBy: loaded.deliverBy)
        times.isHeld = isHeld
        times.isDeadlineAhead = loaded.deliverBy != nil
        message.times = times
        guard isHeld else { return }
        heldMessages += 1
        actions.append(.log(.held(id: message.id, until: message.deliverableFrom)))
    }

    private func arm(_ times: SenderTimes) {
        guard let next = times.next else { return wallTimers.cancel(times) }
        wallTimers.arm(.times(times), at: next)
    }

    /// Fires what is due, in the order of times and names.
    func fireSenderTimes() {
        guard let first = wallTimers.nextTime, first <= wall else { return }
        var due: [(time: UnixTime, times: SenderTimes)] = []
        while case .times(let times)? = wallTimers.popDue(wall) { due.append((times.next ?? wall, times)) }
        due.sort { ($0.time, $0.times.message.id) < ($1.time, $1.times.message.id) }
        for (_, times) in due { fire(times) }
    }

    /// Whatever of it is due.
    func fire(_ times: SenderTimes) {
        let message = times.message
        if times.isHeld, let time = times.heldUntil, time <= wall {
            times.isHeld = false
            heldMessages -= 1
            actions.append(.log(.released(id: message.id, late: wall - time)))
            for vertex in message.vertices where vertex.state == .held {
                vertex.thread.held -= 1
                enter(vertex)
            }
        }
        if times.isDeadlineAhead, let time = times.deliverBy, time <= wall {
            times.isDeadlineAhead = false
            passDeadline(message)
        }
        if !message.isFinishing { arm(times) }
    }

    func cancelSenderTimes(_ message: QueuedMessage) {
        guard let times = message.times else { return }
        wallTimers.cancel(times)
        if times.isHeld { heldMessages -= 1 }
        times.isHeld = false
        times.isDeadlineAhead = false
    }

    /// Its deliver-by-time has come: what is to come back does, and of the rest the sender is told at once (RFC 2852 §4.1.3).
    private func passDeadline(_ message: QueuedMessage) {
        var isTold = false
        for vertex in message.vertices where vertex.open > 0 {
            for index in vertex.recipients.indices where vertex.recipients[index].deadline == .notify {
                if tellDelay(vertex, index) { isTold = true }
            }
            // What an agent has in hand is not taken from it: its result decides.
            if vertex.state == .active { continue }
            returnLate(vertex)
            leaveIfDone(vertex)
        }
        if isTold { report(message) }
    }

    /// Whether the time of what is to come back has passed.
    func isPastDeadline(_ message: QueuedMessage) -> Bool {
        guard let times = message.times, times.deliverBy != nil else { return false }
        return !times.isDeadlineAhead
    }

    /// Fails what should have been delivered by now, of a vertex that no agent holds.
    func returnLate(_ vertex: Vertex) {
        for index in vertex.recipients.indices
        where vertex.recipients[index].state == .open && vertex.recipients[index].deadline == .return {
            let text = lateText(vertex, index)
            let notary = Notary(
                finalRecipient: vertex.recipients[index].address, action: .failed, status: "5.4.7",
                diagnostic: "x-local; 500 (\(text))", agent: Notary.scheduler)
            settle(vertex, index, notary, text: text, .expired, as: .failed, hasNews: true)
        }
        if vertex.message.open == 0 { finish(vertex.message) }
    }

    /// `true`: there is something to report.
    private func tellDelay(_ vertex: Vertex, _ index: Int) -> Bool {
        let message = vertex.message
        let recipient = vertex.recipients[index]
        if recipient.isDone { return false }
        vertex.recipients[index].deadline = .none
        let text = lateText(vertex, index)
        let isWanted = recipient.notify.contains(.delay) && recipient.hasErrorAddress && !message.isErrorMessage
        guard isWanted else {
            actions.append(.log(.late(id: message.id, recipient: recipient.address, text: text, isTold: false)))
            return false
        }
        writeNotice(vertex, index, text)
        return true
    }

    private func lateText(_ vertex: Vertex, _ index: Int) -> String {
        let time = vertex.message.times?.deliverBy ?? wall
        let recipient = vertex.recipients[index]
        let last = recipient.problem.isEmpty ? vertex.thread.problem : recipient.problem
        let text = "not delivered by \(CalendarDate(unixTime: time).rfc5322), as its sender has asked"
        return last.isEmpty ? text : "\(text); problem was: \(last)"
    }
}
