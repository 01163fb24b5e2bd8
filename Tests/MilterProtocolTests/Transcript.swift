import MailModel
import MilterProtocol
import Testing

/// Plays a milter: notes what a session sends, and answers from a script.
struct Transcript {
    /// `M <a@b>|BODY=8BITMIME`: command and its texts. Macros as `D M i=1`.
    var lines: [String] = []
    var outcome: MilterOutcome?
    private var decoder = MilterPacketDecoder()

    /// - Parameters:
    ///   - steps: What the milter declines.
    ///   - answers: By command, with its number among commands of that kind: `R2`, else `R`. Missing: continue.
    init(
        _ message: MilterMessage, body: [[UInt8]] = [], version: UInt32 = 6, actions: MilterActions = .offered,
        steps: MilterSteps = [], answers: [String: [MilterPacket]] = [:]
    ) throws {
        var session = MilterSession(message)
        var parts = body[...]
        var counts: [String: Int] = [:]
        var pending: [MilterPacket] = []
        for _ in 0..<10_000 {
            switch session.next() {
            case .send(let octets):
                decoder.append(octets)
                while let packet = try decoder.next() {
                    note(packet)
                    let name = String(UnicodeScalar(packet.command))
                    if name == "D" { continue }
                    counts[name, default: 0] += 1
                    let answer = answers["\(name)\(counts[name] ?? 0)"] ?? answers[name]
                    if name == "O", answer == nil {
                        let options = MilterOptions(version: version, actions: actions, steps: steps)
                        pending = [MilterCommand.negotiate(options).packet]
                    } else {
                        pending = answer ?? [MilterPacket(UInt8(ascii: "c"))]
                    }
                }
                #expect(decoder.buffered == 0)
            case .receive:
                guard !pending.isEmpty else { throw ScriptEnd() }
                try session.received(pending.removeFirst())
            case .body(let maximum):
                #expect(maximum == 65535)
                session.body(parts.popFirst() ?? [])
            case .finished(let outcome):
                self.outcome = outcome
                return
            }
        }
        throw ScriptEnd()
    }

    struct ScriptEnd: Error {}

    private mutating func note(_ packet: MilterPacket) {
        let name = String(UnicodeScalar(packet.command))
        switch name {
        case "O", "N", "T", "E", "Q": lines.append(name)
        case "B": lines.append("B \(packet.data.count)")
        case "D":
            let texts = Self.texts(packet.data.dropFirst())
            let macros = stride(from: 0, to: texts.count - 1, by: 2).map { "\(texts[$0])=\(texts[$0 + 1])" }
            let command = UnicodeScalar(packet.data.first ?? 0x3f)
            lines.append("D \(command) " + macros.joined(separator: "|"))
        case "C":
            let name = packet.data.prefix { $0 != 0 }
            let rest = packet.data.dropFirst(name.count + 1)
            let port = rest.dropFirst().prefix(2).reduce(0) { $0 << 8 | Int($1) }
            let family = UnicodeScalar(rest.first ?? 0x3f)
            let address = Octets.text(rest.dropFirst(3).dropLast())
            lines.append("C \(Octets.text(name))|\(family)|\(port)|\(address)")
        default: lines.append("\(name) " + Self.texts(packet.data[...]).joined(separator: "|"))
        }
    }

    private static func texts(_ data: ArraySlice<UInt8>) -> [String] {
        Octets.split(data, at: 0).dropLast().map { Octets.text($0) }
    }
}

func texts(_ code: Character, _ parts: String..., index: UInt32? = nil) -> MilterPacket {
    var data: [UInt8] = []
    if let index { for shift in [UInt32(24), 16, 8, 0] { data.append(UInt8(truncatingIfNeeded: index >> shift)) } }
    for part in parts { data += Array(part.utf8) + [0] }
    return MilterPacket(code.asciiValue ?? 0, data)
}

func field(_ name: String, _ value: String) -> MilterField {
    MilterField(name: Array(name.utf8), value: Array(value.utf8))
}

func message(
    recipients: [String] = ["bob@example.org"],
    fields: [MilterField] = [
        field("From", " a"), field("Subject", " one\n two"), field("X-Tag", " 1"), field("x-tag", " 2"),
    ]
) -> MilterMessage {
    var message = MilterMessage(
        clientName: "mx.test", client: MilterEndpoint(.v4(0xc000_0201), port: 4711), queueID: "42",
        sender: "alice@example.test", recipients: recipients, fields: fields)
    message.hello = "helo.test"
    message.senderParameters = ["BODY=8BITMIME"]
    message.connectionMacros = [MilterMacro("j", "mx.example"), MilterMacro("{client_port}", "")]
    message.mailMacros = [MilterMacro("{auth_authen}", "alice")]
    return message
}
