import MailModel
import SpoolFormat

/// The sender is told that a recipient is late and still tried, at the times that its clause names (`reporttimes`).
extension DeliveryScheduler {
    /// When the sender of one of its recipients is to be told next; `.max`: of none. A time that passed while nobody was here, or that
    /// a new configuration has brought, is in the past.
    func nextNotice(_ vertex: Vertex) -> UnixTime {
        guard let times = vertex.thread.pool?.rules.reportTimes, !times.isEmpty, !vertex.message.isErrorMessage else {
            return .max
        }
        var next = UnixTime.max
        for recipient in vertex.recipients where hearsOfDelay(recipient) {
            // A notice of any kind tells of everything that was due when it was written.
            for time in times where vertex.message.deliverableFrom + time > UnixTime(recipient.toldAt) {
                next = min(next, vertex.message.deliverableFrom + time)
                break
            }
        }
        return next
    }

    private func hearsOfDelay(_ recipient: QueuedRecipient) -> Bool {
        !recipient.isDone && recipient.notify.contains(.delay) && recipient.hasErrorAddress
    }

    /// One of its vertices is late: of all its recipients that are, the sender is told together.
    func tellDelays(_ message: QueuedMessage) {
        let text = "delayed; no successful delivery in \(Self.age(now - message.deliverableFrom))"
        var isTold = false
        for vertex in message.vertices where vertex.open > 0 && nextNotice(vertex) <= now {
            for index in vertex.recipients.indices where hearsOfDelay(vertex.recipients[index]) {
                let recipient = vertex.recipients[index]
                let last = recipient.problem.isEmpty ? vertex.thread.problem : recipient.problem
                writeNotice(vertex, index, last.isEmpty ? text : "\(text), problem was: \(last)")
                isTold = true
            }
        }
        if isTold { report(message) }
    }

    /// An untold record that a recipient is late. A restart reads from it when the sender was told.
    func writeNotice(_ vertex: Vertex, _ index: Int, _ text: String) {
        vertex.recipients[index].toldAt = UInt32(clamping: now)
        vertex.message.unreported += 1
        let recipient = vertex.recipients[index]
        actions.append(
            .log(.late(id: vertex.message.id, recipient: recipient.address, text: text, isTold: true)))
        let notary = Notary(
            finalRecipient: recipient.address, action: .delayed, status: "4.4.7",
            diagnostic: "x-local; 400 (\(text))", agent: Notary.scheduler)
        record(vertex, index, notary, text, tag: nil, isReported: false)
    }
}
