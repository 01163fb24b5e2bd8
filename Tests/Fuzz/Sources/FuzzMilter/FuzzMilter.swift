import FuzzSupport
import MailModel
import MilterProtocol

/// Properties: packets are the same however the octets are split; a session that is answered with anything ends or fails in a
/// bounded number of steps; what it then says of the message can be said in lines.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzMilter(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    if input.variant & 1 == 0 {
        let whole = packets([input.octets])
        precondition(whole == packets(input.pieces), "packets depend on the split")
        for packet in whole { _ = try? MilterResponse(packet) }
    } else {
        play(answers(input.octets), variant: input.variant)
    }
    return 0
}

private func packets(_ pieces: [[UInt8]]) -> [MilterPacket] {
    var decoder = MilterPacketDecoder()
    var found: [MilterPacket] = []
    for piece in pieces {
        decoder.append(piece)
        do throws(MilterProtocolError) {
            while let packet = try decoder.next() { found.append(packet) }
        } catch {
            return found
        }
    }
    return found
}

/// Short packets, so that a fuzzer gets far: a length of one octet, a command, data.
private func answers(_ octets: [UInt8]) -> [MilterPacket] {
    var rest = octets[...]
    var packets: [MilterPacket] = []
    while let length = rest.popFirst(), let command = rest.popFirst() {
        packets.append(MilterPacket(command, Array(rest.prefix(Int(length) & 63))))
        rest = rest.dropFirst(Int(length) & 63)
    }
    return packets
}

private func play(_ answers: [MilterPacket], variant: UInt8) {
    var message = MilterMessage(
        clientName: "mx.test", client: MilterEndpoint(.v4(1), port: 1), queueID: "1", sender: nil,
        recipients: ["a@b.test", "c@d.test"])
    message.fields = ["From", "To", "From"].map { MilterField(name: Array($0.utf8), value: [0x20, 0x61]) }
    var session = MilterSession(message)
    var rest = answers[...]
    var parts = 3
    if variant & 2 != 0 {
        rest = [MilterCommand.negotiate(.offered).packet] + rest
    } else if variant & 4 != 0 {
        rest = [MilterCommand.negotiate(MilterOptions(version: 6, actions: .offered, steps: [.skip])).packet] + rest
    }
    // Commands, their answers, and answers that are none: progress and changes.
    for _ in 0...(answers.count * 2 + 64) {
        switch session.next() {
        case .send(let octets): precondition(!octets.isEmpty)
        case .receive:
            guard let packet = rest.popFirst() else { return }
            do throws(MilterProtocolError) {
                try session.received(packet)
            } catch {
                precondition(!error.description.isEmpty)
                return
            }
        case .body(let maximum):
            precondition(maximum == MilterCommand.maximumData)
            session.body(parts > 0 ? [0x61] : [])
            parts -= 1
        case .finished(let outcome): return check(outcome, message)
        }
    }
    preconditionFailure("a session without an end")
}

private func check(_ outcome: MilterOutcome, _ message: MilterMessage) {
    for field in outcome.top + outcome.last {
        precondition(!field.name.isEmpty && field.name.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x3a })
        var isFolded = false
        for octet in field.value {
            precondition(!isFolded || octet == 0x20 || octet == 0x09, "a line that is no part of the field")
            precondition(octet >= 0x20 || octet == 0x09 || octet == 0x0a)
            isFolded = octet == 0x0a
        }
        precondition(!isFolded)
    }
    for removal in outcome.removed {
        let count = message.fields.count { Octets.text($0.name[...]) == Octets.text(removal.name[...]).capitalized }
        precondition((1...max(1, count)).contains(removal.number))
    }
    if let recipients = outcome.recipients {
        precondition(!recipients.isEmpty && Set(recipients).count == recipients.count)
        precondition(recipients.allSatisfy { $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f } })
    }
    if case .refuse(let reply) = outcome.verdict {
        precondition((400...599).contains(reply.code) && (1...17).contains(reply.lines.count))
        precondition(reply.lines.allSatisfy { $0.utf8.allSatisfy { (0x20...0x7e).contains($0) } })
    }
}

extension String {
    /// `From` of any spelling of it.
    fileprivate var capitalized: String { prefix(1).uppercased() + dropFirst().lowercased() }
}
