import DeliveryStatus
import FuzzSupport
import MailModel
import SpoolFormat

/// Properties, whatever strangers and forms say: a report's header, text and status fields are CRLF lines of at most 998 octets
/// without control characters; the boundary is there four times; each recipient has its fields once; the envelope can be read back.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzReport(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let fields = Octets.split(input.octets[...], at: 0xff).map { Octets.text($0) }
    func field(_ index: Int) -> String { fields[index % fields.count] }
    let actions: [Notary.Action] = [.failed, .delayed, .delivered, .relayed, .expanded]
    let recipients = (0..<(1 + Int(input.variant & 1))).map { index in
        DeliveryReport.Recipient(
            originalRecipient: input.variant & 2 == 0 ? nil : field(1), finalRecipient: field(0),
            action: actions[(Int(input.variant >> 2) + index) % 5], status: field(2), diagnostic: field(3),
            remoteMTA: field(4), text: field(5), willRetryUntil: 1)
    }
    var original = DeliveryReport.Original(
        id: SpoolID(rawValue: 7), format: input.variant & 32 == 0 ? .crlf : .lf, header: Array(field(6).utf8),
        body: input.variant & 64 == 0 ? nil : Array(field(7).utf8), arrivalDate: 0, envelopeID: field(8),
        isInternationalized: input.variant & 128 != 0)
    original.receivedFrom = ReceivedFrom(field(9)) ?? ReceivedFrom(name: field(9), address: nil)
    let report = DeliveryReport(
        id: SpoolID(rawValue: 8), reportingMTA: "mx.example", to: [field(10)], form: ReportForm(parsing: field(11)),
        recipients: recipients, original: original, date: 0)
    let composed = report.composed()

    let lines = Octets.split(composed.content[...], at: 0x0a)
    let mark = Array("    boundary=\"".utf8)
    guard let boundary = lines.first(where: { $0.starts(with: mark) }) else { preconditionFailure("no boundary") }
    let delimiter = Array("--".utf8) + boundary.dropFirst(mark.count).dropLast(2)
    let delimiters = lines.indices.filter { lines[$0].starts(with: delimiter) }
    precondition(delimiters.count == 4, "\(delimiters.count) delimiters")
    for line in lines[..<delimiters[2]] {
        precondition(line.last == 0x0d && line.count <= 999, "a long line, or a bare LF")
        precondition(line.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7f }, "a control character")
    }
    for name in ["Final-Recipient: ", "Action: ", "Status: ", "Final-Log-ID: "] {
        let found = lines[delimiters[1]..<delimiters[2]].count { $0.starts(with: name.utf8) }
        precondition(found == recipients.count, "\(found) times \(name)")
    }
    let head = lines.prefix { $0.count > 1 }
    for name in ["From: ", "To: ", "Subject: ", "Date: ", "Message-Id: ", "MIME-Version: "] {
        precondition(head.count { $0.starts(with: name.utf8) } == 1, "not one \(name)")
    }
    if !composed.envelope.isInternationalized {
        precondition(head.allSatisfy { $0.allSatisfy { $0 < 0x80 } }, "a header beyond ASCII")
    }
    let envelope = composed.envelope.encoded()
    precondition((try? MessageEnvelope.parse(envelope))?.envelope == composed.envelope, "the envelope is another")
    return 0
}
