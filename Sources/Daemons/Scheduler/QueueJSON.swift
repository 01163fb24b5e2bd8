import Configuration
import MailModel
import Scheduling
import SpoolFormat

/// Values of the queue as lines of JSON (RFC 8259).
enum QueueJSON {
    static func line(_ message: MessageDescription) -> String {
        var text = "{\"id\":\"\(message.id)\",\"zmailer_id\":\"\(message.id.zmailerName)\",\"size\":\(message.size),"
        text += "\"arrived\":\(message.arrived),\"sender\":\(string(message.sender)),\"priority\":\(message.priority),"
        text +=
            "\"held_until\":\(number(message.heldUntil)),\"held_since\":\(number(message.heldSince)),\"deliver_by\":\(number(message.deliverBy)),\"recipients\":["
        for (index, recipient) in message.recipients.enumerated() {
            if index > 0 { text += "," }
            text += "{\"address\":\(string(recipient.address)),\"original\":\(string(recipient.original)),"
            text += "\"channel\":\(string(recipient.channel)),\"host\":\(string(recipient.host)),"
            text += "\"state\":\"\(recipient.state.rawValue)\",\"attempts\":\(recipient.attempts),"
            text += "\"next_attempt\":\(number(recipient.nextAttempt)),\"expires\":\(number(recipient.expires)),"
            text += "\"status\":\(string(recipient.status)),\"last\":\(string(recipient.last)),"
            text += "\"reason\":\(recipient.reason.map(string) ?? "null")}"
        }
        return text + "]}\n"
    }

    static func line(_ thread: ThreadDescription) -> String {
        "{\"channel\":\(string(thread.channel)),\"host\":\(string(thread.host)),\"recipients\":\(thread.recipients),"
            + "\"messages\":\(thread.messages),\"active\":\(thread.active),\"held\":\(thread.held),"
            + "\"oldest\":\(number(thread.oldest == .max ? nil : thread.oldest)),"
            + "\"next_attempt\":\(number(thread.nextAttempt)),"
            + "\"attempts\":\(thread.attempts),\"status\":\(string(thread.status)),\"last\":\(string(thread.last))}\n"
    }

    /// `problem`: why it is not written, and will be forgotten at the end.
    static func line(_ suspension: Suspension, counts: SuspensionCount?, problem: String?) -> String {
        func pattern(_ text: String?) -> String { text.map(string) ?? "null" }
        var text = "{\"suspension\":\(suspension.number),\"channel\":\(pattern(suspension.channel?.description)),"
        text +=
            "\"host\":\(pattern(suspension.host?.description)),\"sender\":\(pattern(suspension.sender?.description)),"
        text += "\"recipient\":\(pattern(suspension.recipient?.description)),\"since\":\(suspension.since),"
        text += "\"until\":\(number(suspension.until)),\"by\":\(string(suspension.operatorName)),"
        text += "\"reason\":\(string(suspension.reason))"
        if let counts { text += ",\"messages\":\(counts.messages),\"recipients\":\(counts.recipients)" }
        if let problem { text += ",\"not_stored\":\(string(problem))" }
        return text + "}\n"
    }

    static func number(_ value: Int64?) -> String { value.map(String.init) ?? "null" }

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
