import ContentFiltering
import FuzzSupport
import MailModel
import SpoolFormat

/// Properties of what a content filter may say: jobs end at most once, and only those that were given; replies are lines of
/// printable ASCII; a changed header leaves what follows it as it is, and adds no line that could end it or pass for another's field.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzContentFilter(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    if input.variant & 1 == 0 { fuzzDialogue(input) } else { fuzzEdits(input.octets) }
    return 0
}

private func fuzzDialogue(_ input: Input) {
    var dialogue = FilterDialogue()
    var open: Set<Int> = []
    var number = 0
    for line in input.octets.split(separator: 0x0a, omittingEmptySubsequences: false) {
        for event in dialogue.receive(line, isCut: line.last == 0xff) {
            switch event {
            case .announced: dialogue.endAnnouncement()
            case .finished(let job, let answer):
                precondition(open.remove(job) != nil, "a job ended that was not open")
                if let reply = answer.verdict?.reply(id: "7") { check(reply) }
                precondition(answer.edits.edits.count <= MessageEdits.maximumCount)
            case .remark(let text), .violated(let text):
                precondition(!text.utf8.contains { $0 < 0x20 }, "control characters in \(text)")
            }
        }
        while dialogue.freeCredits > 0, number < 50 {
            number += 1
            open.insert(number)
            precondition(dialogue.begin(number, path: "/p/\(number)").last == 0x0a)
        }
        precondition(Set(dialogue.openJobs) == open)
        precondition(!dialogue.isBroken || dialogue.freeCredits == 0)
    }
}

private func check(_ reply: Reply) {
    precondition([2, 4, 5].contains(reply.code / 100) && reply.code != 421)
    precondition(reply.status?.class == reply.code / 100)
    precondition(reply.lines.count <= FilterVerdict.maximumLines + 1)
    for line in reply.lines {
        precondition(line.utf8.allSatisfy { (0x20...0x7e).contains($0) } && line.utf8.count <= 500, "line \(line)")
    }
}

/// The first line of the input is a change, the rest a message.
private func fuzzEdits(_ octets: [UInt8]) {
    let first = octets.firstIndex(of: 0x0a) ?? octets.endIndex
    guard let edit = (try? MessageEdit(line: octets[..<first])).flatMap({ $0 }) else { return }
    var edits = MessageEdits()
    edits.add(edit)
    let content = Array(octets[min(first + 1, octets.endIndex)...])
    guard let end = MessageEdits.headerEnd(of: content[...], isWhole: true) else { preconditionFailure("no end") }
    let header = edits.header(of: content[...], end: end)
    switch edit {
    case .recipient, .tag: precondition(header == Array(content[..<end]))
    case .remove: precondition(header.count <= end)
    case .addFirst(let name, _), .addLast(let name, _):
        precondition(header.count > end)
        let added = isFirst(edit) ? header[..<(header.count - end)] : header[end...]
        let lines = added.split(separator: 0x0a, omittingEmptySubsequences: false).dropLast()
        precondition(added.last == 0x0a && lines.first?.starts(with: Array("\(name):".utf8)) == true)
        for line in lines.dropFirst() {
            precondition(line.first == 0x20 || line.first == 0x09, "a line of its own")
            precondition(line.contains { $0 > 0x20 && $0 != 0x0d }, "an empty line")
        }
        precondition(!added.contains(0), "a NUL")
    }
}

private func isFirst(_ edit: MessageEdit) -> Bool {
    if case .addFirst = edit { true } else { false }
}
