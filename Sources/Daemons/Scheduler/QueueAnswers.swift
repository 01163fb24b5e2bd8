import AgentProtocol
import Configuration
import Glibc
import Scheduling
import SpoolFormat

/// The questions of docs/protocols.md §5.
struct QueueAnswers {
    let scheduler: DeliveryScheduler
    /// Seconds since 1970.
    let started: UnixTime
    /// `nil`: too many wait already.
    let etrn: (_ target: ETRNTarget, _ origin: String) -> LocalETRN.Answer?
    let isLoading: () -> Bool
    var audit: () -> QueueSocket.Answer = { { nil } }

    func answer(_ question: String) -> QueueSocket.Answer {
        let words = question.split(separator: " ", maxSplits: 1)
        switch (words.first, words.count) {
        case ("queue", 1):
            var ids = scheduler.messageIDs[...]
            return {
                // What has gone meanwhile is passed over.
                while let id = ids.popFirst() {
                    if let message = scheduler.describe(id) { return QueueJSON.line(message) }
                }
                return nil
            }
        case ("threads", 1):
            var threads = scheduler.threadDescriptions[...]
            return { threads.popFirst().map(QueueJSON.line) }
        case ("message", 2):
            guard let id = SpoolID(words[1]), let message = scheduler.describe(id) else {
                return once("{\"error\":\"there is no such message in the queue\"}\n")
            }
            return once(QueueJSON.line(message))
        case ("etrn", 2): return once(start(words[1]))
        case ("status", 1): return once(status)
        case ("audit", 1): return audit()
        case ("flush", _):
            guard let pattern = SchedulerPattern(words.count == 2 ? String(words[1]) : "*/*") else {
                return once("{\"error\":\"the pattern cannot be read; valid is channel/host with * ? [a-z] {a,b}\"}\n")
            }
            return once("{\"flushed\":\(scheduler.flush { pattern.matches(channel: $0, host: $1) })}\n")
        default:
            let valid = "queue, threads, message ID, status, audit, flush [channel/host], etrn domain [for-whom]"
            return once("{\"error\":\"valid questions are \(valid)\"}\n")
        }
    }

    private func once(_ text: String) -> QueueSocket.Answer {
        var text: String? = text
        return {
            defer { text = nil }
            return text
        }
    }

    private func start(_ argument: Substring) -> String {
        let words = argument.split(separator: " ", maxSplits: 1)
        guard let word = words.first, let target = ETRNTarget(word) else {
            return "{\"error\":\"no name to be started; valid are a host, @domain, #channel\"}\n"
        }
        guard let answer = etrn(target, words.count > 1 ? "local for \(words[1])" : "local") else {
            return "{\"error\":\"too many requests wait; try again later\"}\n"
        }
        return answer.line(target)
    }

    private var status: String {
        "{\"pid\":\(getpid()),\"messages\":\(scheduler.messageCount),\"recipients\":\(scheduler.recipientCount),"
            + "\"threads\":\(scheduler.threadCount),\"agents\":\(scheduler.agentCount),\"active\":\(scheduler.activeJobs),"
            + "\"held\":\(scheduler.heldCount),"
            + "\"loading\":\(isLoading()),\"uptime\":\(max(0, scheduler.now - started))}\n"
    }
}

/// Values of the queue as lines of JSON (RFC 8259).
enum QueueJSON {
    static func line(_ message: MessageDescription) -> String {
        var text = "{\"id\":\"\(message.id)\",\"zmailer_id\":\"\(message.id.zmailerName)\",\"size\":\(message.size),"
        text += "\"arrived\":\(message.arrived),\"sender\":\(string(message.sender)),\"priority\":\(message.priority),"
        text +=
            "\"held_until\":\(number(message.heldUntil)),\"deliver_by\":\(number(message.deliverBy)),\"recipients\":["
        for (index, recipient) in message.recipients.enumerated() {
            if index > 0 { text += "," }
            text += "{\"address\":\(string(recipient.address)),\"original\":\(string(recipient.original)),"
            text += "\"channel\":\(string(recipient.channel)),\"host\":\(string(recipient.host)),"
            text += "\"state\":\"\(recipient.state.rawValue)\",\"attempts\":\(recipient.attempts),"
            text += "\"next_attempt\":\(number(recipient.nextAttempt)),\"expires\":\(number(recipient.expires)),"
            text += "\"status\":\(string(recipient.status)),\"last\":\(string(recipient.last))}"
        }
        return text + "]}\n"
    }

    static func line(_ thread: ThreadDescription) -> String {
        "{\"channel\":\(string(thread.channel)),\"host\":\(string(thread.host)),\"recipients\":\(thread.recipients),"
            + "\"messages\":\(thread.messages),\"active\":\(thread.active),\"next_attempt\":\(number(thread.nextAttempt)),"
            + "\"attempts\":\(thread.attempts),\"status\":\(string(thread.status)),\"last\":\(string(thread.last))}\n"
    }

    private static func number(_ value: Int64?) -> String { value.map(String.init) ?? "null" }

    static func string(_ text: String) -> String {
        var out: [UInt8] = [0x22]
        for octet in text.utf8 {
            switch octet {
            case 0x22, 0x5c: out += [0x5c, octet]
            case 0..<0x20, 0x7f:
                let digits = Array("0123456789abcdef".utf8)
                out += [0x5c, 0x75, 0x30, 0x30, digits[Int(octet >> 4)], digits[Int(octet & 15)]]
            default: out.append(octet)
            }
        }
        out.append(0x22)
        return String(decoding: out, as: UTF8.self)
    }
}
