import AgentProtocol
import Scheduling
import SpoolFormat

/// The queue as mailq's version 1 has it (scheduler.md §5): everything, then the end of the connection. The work is done as the client
/// reads.
enum MailqDump {
    /// Messages, and numbers, in a piece.
    private static let portion = 64
    private static let numbersInPiece = 4096

    private final class State {
        var ids: ArraySlice<SpoolID>
        var number = 0
        var channels: [String: [Int]] = [:]
        var hosts: [String: [Int]] = [:]
        var tail: ArraySlice<() -> QueueSocket.Answer>
        var current: QueueSocket.Answer?

        init(_ ids: [SpoolID]) {
            self.ids = ids[...]
            tail = []
        }
    }

    static func pieces(_ reports: MailqReports) -> QueueSocket.Answer {
        let scheduler = reports.scheduler
        let state = State(scheduler.messageIDs)
        var isBegun = false
        state.tail = [
            { index("Channels:\n", state.channels) }, { index("Hosts:\n", state.hosts) }, { once("End:\n") },
            { reports.answer(.snmp) },
        ]
        return {
            if !isBegun {
                isBegun = true
                return "version zmailer 1.0\nVertices:\n"
            }
            if !state.ids.isEmpty {
                var lines = ""
                while lines.isEmpty, !state.ids.isEmpty {
                    for id in state.ids.prefix(portion) { lines += vertices(scheduler, id, state) }
                    state.ids = state.ids.dropFirst(portion)
                }
                if !lines.isEmpty { return lines }
            }
            while true {
                if let piece = state.current?() { return piece }
                guard let next = state.tail.popFirst() else { return nil }
                state.current = next()
            }
        }
    }

    /// `id:\tfile\tn; offset,offset…\t#text` for each thread of the message.
    private static func vertices(_ scheduler: DeliveryScheduler, _ id: SpoolID, _ state: State) -> String {
        guard let message = scheduler.describe(id) else { return "" }
        var keys: [[String]] = []
        var groups: [[String]: [RecipientDescription]] = [:]
        for recipient in message.recipients {
            switch recipient.state {
            case .delivered, .failed, .removed: continue
            case .held, .waiting, .active, .deferred, .suspended: break
            }
            let key = [recipient.channel, recipient.host]
            if groups[key] == nil { keys.append(key) }
            groups[key, default: []].append(recipient)
        }
        return keys.map { key in
            let recipients = groups[key] ?? []
            state.number += 1
            state.channels[key[0], default: []].append(state.number)
            state.hosts[key[1], default: []].append(state.number)
            let offsets = recipients.map { String($0.offset) }.joined(separator: ",")
            let last = recipients.first { !$0.last.isEmpty }?.last ?? recipients.first?.reason ?? ""
            let text = last.isEmpty ? "" : "\t#\(MailqReports.cleaned(last))"
            return "\(state.number):\t\(id)\t\(recipients.count); \(offsets)\(text)\n"
        }.joined()
    }

    /// `name:\t>id>id…`, in pieces.
    private static func index(_ head: String, _ entries: [String: [Int]]) -> QueueSocket.Answer {
        var names = entries.keys.sorted()[...]
        var numbers: ArraySlice<Int>?
        var isBegun = false
        return {
            if !isBegun {
                isBegun = true
                return head
            }
            if let rest = numbers {
                guard !rest.isEmpty else {
                    numbers = nil
                    return "\n"
                }
                numbers = rest.dropFirst(numbersInPiece)
                return rest.prefix(numbersInPiece).map { ">\($0)" }.joined()
            }
            guard let name = names.popFirst() else { return nil }
            numbers = (entries[name] ?? [])[...]
            return "\(MailqReports.cleaned(name)):\t"
        }
    }

    private static func once(_ text: String) -> QueueSocket.Answer {
        var text: String? = text
        return {
            defer { text = nil }
            return text
        }
    }
}
