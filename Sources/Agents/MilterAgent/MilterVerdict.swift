import FilterKit
import MailModel
import MilterProtocol

/// A milter's decision in the words of a content filter.
enum MilterVerdict {
    static func answer(_ outcome: MilterOutcome) -> FilterAnswer {
        var answer = FilterAnswer(verdict(outcome.verdict), remarks: outcome.remarks)
        switch outcome.verdict {
        case .refuse: return answer
        case .discard:
            answer.remarks.append("the milter discards the message")
            return answer
        case .quarantine(let reason): answer.remarks.append("the milter puts the message into quarantine: \(reason)")
        case .accept: break
        }
        for field in outcome.top { answer.edits.append(edit(field, .top, outcome)) }
        for removal in outcome.removed {
            let name = Octets.text(removal.name[...])
            // The milter has not seen the topmost Received.
            let number = removal.number + (isReceived(name) ? 1 : 0)
            answer.edits.append(.removeField(named: name, number: number))
        }
        for field in outcome.last { answer.edits.append(edit(field, .end, outcome)) }
        answer.edits += (outcome.recipients ?? []).map { .rewriteTo($0) }
        return answer
    }

    static func isReceived(_ name: String) -> Bool { asciiLowercased(name) == "received" }

    private static func edit(_ field: MilterField, _ place: FilterEdit.Place, _ outcome: MilterOutcome) -> FilterEdit {
        let value = Octets.text(field.value[...])
        return .addField(
            name: Octets.text(field.name[...]), body: outcome.hasLeadingBlanks ? value : " " + value, place: place)
    }

    private static func verdict(_ verdict: MilterOutcome.Verdict) -> FilterVerdict {
        switch verdict {
        case .accept: return .accept()
        case .quarantine: return .freeze()
        case .discard: return .refuse(Reply(250, EnhancedStatusCode(2, 0, 0), "accepted"))
        case .refuse(var reply):
            // 421 announces the end of a connection, which goes on.
            if reply.code == 421 { reply.code = 451 }
            return .refuse(reply)
        }
    }
}
