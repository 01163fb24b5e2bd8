import FuzzSupport
import MailModel
import Submission

/// Properties: line ends do not depend on how the octets are split, and none is alone; a completed header has nothing left to be
/// completed, and no Bcc; whatever a stranger writes, the answer of vacation has the fields it should have, and no others.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSubmission(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let wire = lineEnds([input.octets], endsAtDot: input.variant & 1 == 0)
    precondition(wire == lineEnds(input.pieces, endsAtDot: input.variant & 1 == 0), "line ends depend on the split")
    for (index, octet) in wire.enumerated() {
        if octet == 0x0a { precondition(index > 0 && wire[index - 1] == 0x0d, "LF alone") }
        if octet == 0x0d { precondition(index + 1 < wire.count && wire[index + 1] == 0x0a, "CR alone") }
    }
    complete(wire)
    answer(wire)
    return 0
}

private func lineEnds(_ pieces: [[UInt8]], endsAtDot: Bool) -> [UInt8] {
    var ends = LineEnds(endsAtDot: endsAtDot)
    var output: [UInt8] = []
    for piece in pieces { piece.withUnsafeBytes { ends.push($0, into: &output) } }
    ends.finish(into: &output)
    return output
}

private func complete(_ message: [UInt8]) {
    var plan = SubmittedHeader.Plan(
        author: "me@d.test", date: "Fri, 27 Nov 2026 04:00:00 +0000", messageID: "<1@d.test>")
    plan.domain = "d.test"
    plan.takesRecipients = true
    let once = SubmittedHeader(message, plan)
    precondition(once.bodyStart <= message.count)
    let section = HeaderSection(once.octets)
    precondition(section.end == once.octets.count, "the header ends too early")
    precondition(
        !section.fields.contains { ["bcc", "resent-bcc"].contains(asciiLowercased($0.name)) }, "Bcc is left")
    let again = SubmittedHeader(once.octets + [0x0d, 0x0a], plan)
    precondition(again.octets == once.octets, "a complete header changes")
}

private func answer(_ message: [UInt8]) {
    let header = HeaderSection(message)
    _ = AbsenceRules(names: ["me", "me@d.test"]).verdict(sender: "you@e.test", header: header)
    guard let recipient = Mailbox("you@e.test") else { return }
    let reply = AbsenceReply(
        text: Array("Subject: $SUBJECT by $NAME\n\n$SUBJECT $FROM $NAME\n".utf8), author: "me@d.test",
        recipient: recipient, date: "Fri, 27 Nov 2026 04:00:00 +0000", messageID: "<1@d.test>"
    ).composed(answering: header)
    let section = HeaderSection(reply)
    let names = section.fields.map(\.name)
    let known: Set<String> = [
        "From", "Subject", "To", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
        "X-Auto-Response-Suppress", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    ]
    precondition(names.allSatisfy(known.contains) && Set(names).count == names.count, "a field too many: \(names)")
    precondition(Set(names).isSuperset(of: ["From", "Subject", "To", "Auto-Submitted"]), "a field is missing")
    precondition(reply[section.end...].starts(with: [0x0d, 0x0a]), "the header ends too early")
    precondition(reply.count < 4096)
    for octet in reply where octet < 0x20 { precondition(octet == 0x0d || octet == 0x0a, "a control character") }
}
