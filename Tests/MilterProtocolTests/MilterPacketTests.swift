import MailModel
import MilterProtocol
import Testing

@Suite("Milter packets") struct MilterPacketTests {
    @Test("packets are the same however they are split", arguments: [1, 2, 3, 5, 1000])
    func splits(size: Int) throws {
        let packets = [
            MilterPacket(0x63), texts("q", "why"), MilterPacket(0x42, [UInt8](repeating: 7, count: 300)),
            texts("y", "550 x"),
        ]
        let octets = packets.flatMap(\.encoded)
        var decoder = MilterPacketDecoder()
        var found: [MilterPacket] = []
        for start in stride(from: 0, to: octets.count, by: size) {
            decoder.append(octets[start..<min(start + size, octets.count)])
            while let packet = try decoder.next() { found.append(packet) }
        }
        #expect(found == packets)
        #expect(decoder.buffered == 0)
    }

    @Test(
        "a length that cannot be is seen before its packet is there",
        arguments: [[0, 0, 0, 0], [0, 2, 0, 1], [0xff, 0xff, 0xff, 0xff], [0x80, 0, 0, 0]] as [[UInt8]])
    func lengths(head: [UInt8]) throws {
        var decoder = MilterPacketDecoder()
        decoder.append(head)
        #expect(throws: MilterProtocolError.self) { try decoder.next() }
    }

    @Test("the longest packet is taken")
    func longest() throws {
        let packet = MilterPacket(0x62, [UInt8](repeating: 1, count: MilterPacketDecoder.maximumLength - 1))
        var decoder = MilterPacketDecoder()
        decoder.append(packet.encoded)
        #expect(try decoder.next() == packet)
    }

    @Test("texts cannot end a packet's text: control octets become blanks")
    func controls() {
        let packet = MilterCommand.hello("a\0b\r\nc\u{7f}").packet
        #expect(packet.data == Array("a b  c ".utf8) + [0])
    }

    static let good: [(MilterPacket, MilterResponse)] = [
        (MilterPacket(UInt8(ascii: "c")), .continue),
        (MilterPacket(UInt8(ascii: "p")), .progress),
        (MilterPacket(UInt8(ascii: "4")), .shutdown),
        (
            MilterPacket(UInt8(ascii: "O"), [0, 0, 0, 6, 0, 0, 0, 17, 0, 16, 7, 2]),
            .negotiate(
                MilterOptions(
                    version: 6, actions: [.addHeaders, .changeHeaders], steps: MilterSteps(rawValue: 0x100702)))
        ),
        (texts("y", "550 no"), .reply(Reply(550, nil, "no"))),
        (texts("y", "451"), .reply(Reply(451, nil, ""))),
        (
            texts("y", "451-4.7.1 later\r\n451 4.7.1 please"),
            .reply(Reply(451, EnhancedStatusCode(4, 7, 1), ["later", "please"]))
        ),
        // A status of another class than the code's is text.
        (texts("y", "550 4.7.1 x"), .reply(Reply(550, nil, "4.7.1 x"))),
        (texts("y", "550 \u{1}\tä"), .reply(Reply(550, nil, "????"))),
        (texts("h", "X-A", " b"), .addField(field("X-A", " b"))),
        (texts("i", "X-A", "b", index: 1), .insertField(index: 1, field("X-A", "b"))),
        (texts("m", "X-A", "", index: 3), .changeField(index: 3, field("X-A", ""))),
        // Folded values stay one field.
        (texts("h", "X-A", "a\r\n\tb\n c"), .addField(field("X-A", "a\n\tb\n c"))),
        (texts("h", "X-A", "a\nBcc: x\n\n\nbody"), .addField(field("X-A", "a\n\tBcc: x\n\tbody"))),
        (texts("h", "X-A", "a\n \r\n\t\n"), .addField(field("X-A", "a"))),
        (texts("h", "X-A", "a\u{1}\rb\u{7f}"), .addField(field("X-A", "a  b "))),
        (texts("+", "<a@B.test>"), .addRecipient("a@B.test", hasParameters: false)),
        (texts("2", "a@b.test", "NOTIFY=NEVER"), .addRecipient("a@b.test", hasParameters: true)),
        (texts("-", "postmaster"), .deleteRecipient("postmaster")),
        (texts("e", "<>\n"), .changeSender("<> ")),
        (texts("q", "bad\r\nthing"), .quarantine("bad  thing")),
        (MilterPacket(UInt8(ascii: "b"), [1, 2, 3]), .replaceBody),
    ]

    @Test("responses are read", arguments: good)
    func responses(packet: MilterPacket, response: MilterResponse) throws {
        #expect(try MilterResponse(packet) == response)
    }

    static let bad: [MilterPacket] = [
        MilterPacket(0), MilterPacket(0xff, [0]), MilterPacket(UInt8(ascii: "c"), [0]),
        MilterPacket(UInt8(ascii: "a"), [1]),
        MilterPacket(UInt8(ascii: "O"), [0, 0, 0, 6]), MilterPacket(UInt8(ascii: "y")),
        MilterPacket(UInt8(ascii: "y"), Array("550 x".utf8)), texts("y", ""),
        texts("y", "250 fine"), texts("y", "5500 x"),
        texts("y", "55"), texts("y", "550-a\r\n551 b"),
        texts("y", "-50 x"), texts("y", "550 a", "b"),
        texts("h", "X-A"), texts("h", "", "b"),
        texts("h", "X A", "b"), texts("h", "X:", "b"),
        texts("h", "X\n", "b"), texts("h", "X-ä", "b"),
        texts("h", "X", "b", "c"),
        texts("h", String(repeating: "X", count: 257), "b"),
        texts("h", "X", String(repeating: "b", count: 60_001)),
        MilterPacket(UInt8(ascii: "i"), [0, 0, 0, 1]), MilterPacket(UInt8(ascii: "m"), [0, 0]),
        MilterPacket(UInt8(ascii: "h"), Array("X\0b".utf8)),
        texts("+", ""), texts("+", "<>"), texts("+", "a"),
        texts("+", "a@b.test\nfrom x"), texts("-", "a@b.test", "c", "d"),
        MilterPacket(UInt8(ascii: "-"), [0xff, 0x40, 0x61, 0]), MilterPacket(UInt8(ascii: "q")),
    ]

    @Test("malformed responses are refused", arguments: bad)
    func malformed(packet: MilterPacket) {
        #expect(throws: MilterProtocolError.self) { try MilterResponse(packet) }
    }

    @Test("a reply has at most 17 lines")
    func replyLines() throws {
        let text = (0..<40).map { "550-line \($0)" }.joined(separator: "\r\n")
        guard case .reply(let reply) = try MilterResponse(texts("y", text)) else {
            Issue.record("no reply")
            return
        }
        #expect(reply.lines.count == 17)
    }
}
