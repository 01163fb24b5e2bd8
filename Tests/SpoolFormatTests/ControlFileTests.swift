import SpoolFormat
import Testing

@Suite("Control files") struct ControlFileTests {
    static func file() -> ControlFile {
        let id = SpoolID(rawValue: 7_123_456_789_012_345_678)
        let sender = Quad(channel: "smtp", host: "example.com", user: "s@example.com", privilege: 99)
        var file = ControlFile(
            id: id, headerStart: 300, bodyOffset: 900, messageSize: 4400, logID: "<x y@example.com>",
            groups: [
                ControlGroup(
                    sender: sender, errorsTo: "s@example.com",
                    recipients: [
                        ControlRecipient(
                            quad: Quad(
                                channel: "smtp", host: "example.test", user: "\"a  b\"@example.test", privilege: 99),
                            notify: .never, originalRecipient: "rfc822;a+20b@example.test",
                            envelopeRecipient: "a b@example.test"),
                        ControlRecipient(quad: Quad(channel: "local", host: "-", user: "\u{301}é", privilege: -2)),
                    ]),
                ControlGroup(
                    sender: sender, errorsTo: nil,
                    recipients: [
                        ControlRecipient(
                            quad: Quad(channel: "local", host: "-", user: "|/bin/cat -n", privilege: 1000),
                            notify: [.success, .failure, .delay], originalRecipient: "utf-8;\u{301}x")
                    ],
                    header: Array("Subject: hi\r\nE sum 00000000\r\nr looks like one\r\nX: ü\r\n".utf8)),
                ControlGroup(sender: sender, errorsTo: "", recipients: [], header: []),
            ])
        file.envelopeID = "QQ+2B"
        file.notaryReturn = .full
        file.format = .lf
        file.traits = MessageTraits(size: 4100, hasDotLines: true, hasEightBit: true, longestLine: 77)
        file.isInternationalized = true
        file.isErrorMessage = true
        file.bodyType = "8BITMIME"
        file.extensions = ["future 123", "x"]
        return file
    }

    static func record(_ offset: Int, _ text: String = "250 ok", action: Notary.Action = .relayed) -> ResultRecord {
        ResultRecord(
            offset: offset, headerOffset: -1, notaryOffset: 12, time: 1_700_000_000,
            notary: Notary(finalRecipient: "a@b", action: action, status: "2.0.0"), message: text)
    }

    @Test("what is encoded is read again as the same value, offsets included")
    func roundTrip() throws {
        var file = Self.file()
        let head = file.encodeHead()
        let again = try ControlFile.parse(head)
        #expect(again == file)
        for recipient in again.recipients {
            #expect(head[recipient.offset] == UInt8(ascii: "r"))
            #expect(head[recipient.offset - 1] == 0x0a)
            #expect(head[recipient.notaryOffset] == UInt8(ascii: "N"))
            #expect(again.recipient(at: recipient.offset)?.recipient == recipient)
        }
        #expect(again.groups[1].headerOffset > 0 && again.groups[0].headerOffset == -1)
        #expect(head[again.groups[1].headerOffset...].starts(with: "Subject: hi".utf8))
        #expect(again.recipient(at: 1) == nil)
        // A second encoding gives the same octets.
        var second = again
        #expect(second.encodeHead() == head)
    }

    @Test("every truncation of the head is torn")
    func truncation() {
        var file = Self.file()
        let head = file.encodeHead()
        for length in 0..<head.count {
            #expect(throws: ControlFileError.torn) { try ControlFile.parse(Array(head[..<length])) }
        }
    }

    @Test("every changed octet of the head is torn, but for tag, pid and delay")
    func corruption() throws {
        var file = Self.file()
        let head = file.encodeHead()
        let mutable = file.recipients.map { ($0.offset + 1)...($0.offset + 11) }
        let expected = try ControlFile.parse(head)
        for index in head.indices {
            for mask in [0x01, 0x20, 0x80, 0xff, head[index] ^ 0x0a, head[index] ^ 0x72] as [UInt8] where mask != 0 {
                var octets = head
                octets[index] ^= mask
                if mutable.contains(where: { $0.contains(index) }), octets[index] != 0x0a {
                    var read = try ControlFile.parse(octets)
                    for group in read.groups.indices {
                        for recipient in read.groups[group].recipients.indices {
                            read.groups[group].recipients[recipient].tag = .pending
                            read.groups[group].recipients[recipient].lockHolder = nil
                        }
                    }
                    #expect(read == expected)
                } else {
                    #expect(throws: ControlFileError.torn, "octet \(index) xor \(mask)") {
                        try ControlFile.parse(octets)
                    }
                }
            }
        }
    }

    @Test("tags and lock holders are read")
    func tags() throws {
        var file = Self.file()
        let head = file.encodeHead()
        let offset = file.groups[0].recipients[0].offset
        for (tag, value) in [
            ("+", ControlRecipient.Tag.delivered), ("-", .failed), (" ", .pending), ("~", .locked), ("?", .pending),
        ] {
            var octets = head
            octets.replaceSubrange((offset + 1)..<(offset + 8), with: "\(tag)  4711".utf8)
            let recipient = try #require(try ControlFile.parse(octets).recipient(at: offset)?.recipient)
            #expect(recipient.tag == value)
            #expect(recipient.lockHolder == (value == .locked ? 4711 : nil))
        }
    }

    @Test("records behind the head are read, several to a recipient, in order")
    func records() throws {
        var file = Self.file()
        let head = file.encodeHead()
        let offsets = file.recipients.map(\.offset)
        let records = [
            Self.record(offsets[0], "deferred", action: .delayed), Self.record(offsets[0], "later\nwith\tnewline"),
            Self.record(offsets[1], "550 no\u{301}", action: .failed), Self.record(offsets[2], ""),
        ]
        let encoded = records.map { $0.encoded() }
        let read = try ControlFile.parse(head + encoded.flatMap { $0 }).records
        #expect(read.map(\.offset) == records.map(\.offset))
        #expect(read.map(\.message) == ["deferred", "later\rwith newline", "550 no\u{301}", ""])
        #expect(read.map(\.notary) == records.map(\.notary))
        #expect(
            read.map(\.position) == [
                0, encoded[0].count, encoded[0].count + encoded[1].count,
                encoded[0].count + encoded[1].count + encoded[2].count,
            ])
        #expect(
            read.allSatisfy {
                !$0.isReported && $0.time == 1_700_000_000 && $0.headerOffset == -1 && $0.notaryOffset == 12
            })
    }

    @Test("a torn last record is left out, and the one written behind it is not lost with it")
    func tornRecord() throws {
        var file = Self.file()
        let head = file.encodeHead()
        let record = Self.record(210).encoded()
        for length in 0..<record.count {
            let octets = head + Self.record(100).encoded() + record[..<length]
            #expect(try ControlFile.parse(octets).records.map(\.offset) == [100])
            let continued = octets + [0x0a] + Self.record(300).encoded()
            let offsets = try ControlFile.parse(continued).records.map(\.offset)
            #expect(offsets == [100, 300] || length == record.count - 1 && offsets == [100, 210, 300])
        }
    }

    @Test("a record with any changed octet is left out, but for its tag")
    func corruptedRecord() throws {
        var file = Self.file()
        let head = file.encodeHead()
        let record = Self.record(210, "250 2.0.0 ok").encoded()
        for index in record.indices where index != 1 {
            for mask in [0x01, 0x20, 0x80, 0xff] as [UInt8] {
                var octets = record
                octets[index] ^= mask
                let read = try ControlFile.parse(head + octets + Self.record(300).encoded()).records
                // A changed line end takes the next line along.
                #expect(read.map(\.offset) == (index == record.count - 1 ? [] : [300]), "octet \(index) xor \(mask)")
            }
        }
        var reported = record
        reported[1] = UInt8(ascii: "+")
        let read = try ControlFile.parse(head + reported).records
        #expect(read.map(\.isReported) == [true])
        var again = Self.record(210, "250 2.0.0 ok")
        again.isReported = true
        #expect(again.encoded() == reported)
    }

    @Test("random octets behind the head are passed over")
    func garbage() throws {
        var file = Self.file()
        let head = file.encodeHead()
        var state: UInt64 = 3720
        for _ in 0..<500 {
            var junk: [UInt8] = []
            for _ in 0..<60 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                junk.append([0x64, 0x20, 0x3a, 0x09, 0x0a, 0x31, 0x01, 0xff, 0x2d][Int(state >> 33) % 9])
            }
            #expect(try ControlFile.parse(head + junk + [0x0a] + Self.record(5).encoded()).records.map(\.offset) == [5])
        }
    }

    private static func summed(_ text: String) -> [UInt8] {
        let octets = Array(text.utf8)
        return octets + Array("E sum \(Checksum(octets).text)\n".utf8)
    }

    @Test(
        "a head that must not be understood wrongly is refused",
        arguments: [
            "@ 0x00000008\ni 1\n", "@ 0x00000004\ni 1\n", "@ 7\ni 1\n", "@ 0xzz\ni 1\n", "i x\n", "i 01\n", "o 1\n",
            "i 1\no -1\n", "i 1\no x\n",
            "i 1\no 99999999999999999999\n", "i 1\n\n", "i 1\nE version 3\n", "i 1\nE version\n", "i 1\nE version x\n",
            "i 1\nE content 1\n", "i 1\nE content -1 5 crlf\n", "i 1\nE content 1 -5 crlf\n", "i 1\nE traits 1 0 0\n",
            "i 1\nE traits -1 0 0 0\n", "i 1\nr           a b c 0\n", "i 1\nN NOTIFY=NEVER\n", "i 1\nm\nX: y\n\n",
            "i 1\ns a\n",
            "i 1\ns a b c\n", "i 1\ns a b c x\n", "i 1\ns a b c 0\nr           a b c\n", "i 1\ns a b c 0\nr \n",
            "i 1\ns a b c 0\nr           a b c 0\nN NOTIFY=MAYBE\n", "i 1\n? x\n", "i 1\nd x\n",
        ])
    func refused(text: String) {
        let error = #expect(throws: ControlFileError.self) { try ControlFile.parse(Self.summed(text)) }
        #expect(error != .torn)
        #expect(error?.description.isEmpty == false)
    }

    @Test("lines and extensions that may be ignored are")
    func ignored() throws {
        let file = try ControlFile.parse(
            Self.summed(
                "@ 0x00000007\nv x\nx <old@id>\nT t\ni 1\nE future thing\nE \ns a b  c d 5\nr           a b c 0\n"))
        #expect(file.extensions == ["future thing", ""])
        #expect(file.groups[0].sender == Quad(channel: "a", host: "b", user: " c d", privilege: 5))
        #expect(file.groups[0].recipients[0].notaryOffset == -1)
    }

    @Test("texts cannot break out of their line, nor a header out of its block")
    func injection() throws {
        var file = Self.file()
        file.logID = "x\ns evil"
        file.envelopeID = "a\nb"
        file.extensions = ["sum deadbeef", "version 99", "a\ni 5", ""]
        file.groups[0].errorsTo = "x\nr"
        file.groups[0].recipients[0].quad = Quad(channel: "a b", host: "", user: "u\nr", privilege: 1)
        file.groups[1].header = Array("X: y\nno end".utf8)
        file.groups[2].header = Array("X: y\n\nr           a b c 0\n".utf8)
        let read = try ControlFile.parse(file.encodeHead())
        #expect(read.logID == "x s evil")
        #expect(read.envelopeID == "a b")
        #expect(read.extensions == ["a i 5"])
        #expect(read.groups[0].errorsTo == "x r")
        #expect(read.groups[0].recipients[0].quad == Quad(channel: "a_b", host: "-", user: "u r", privilege: 1))
        #expect(read.groups.map(\.recipients.count) == [2, 1, 0])
        #expect(read.groups[1].header == Array("X: y\nno end\n".utf8))
        #expect(read.groups[2].header == Array("X: y\n".utf8))
    }

    @Test("a head of ten thousand recipients and a header full of lines is read in one pass")
    func huge() throws {
        var file = Self.file()
        file.groups[0].recipients = (0..<10_000).map {
            ControlRecipient(
                quad: Quad(channel: "smtp", host: "example.test", user: "u\($0)@example.test", privilege: 99))
        }
        file.groups[1].header = Array(String(repeating: "X: y\r\n", count: 100_000).utf8)
        let start = ContinuousClock.now
        #expect(try ControlFile.parse(file.encodeHead()).groups[0].recipients.count == 10_000)
        #expect(ContinuousClock.now - start < .seconds(20))
    }
}

@Suite("Result records") struct ResultRecordTests {
    @Test("fields of a notary lose what would break it")
    func notary() throws {
        let notary = Notary(
            finalRecipient: "a\u{1}b\t", action: .failed, status: "5.1.1\n", diagnostic: "smtp; 550 no\r\n",
            remoteHost: "", agent: "\u{301}x")
        let again = try #require(Notary(notary.encoded))
        #expect(
            again
                == Notary(
                    finalRecipient: "a b ", action: .failed, status: "5.1.1 ", diagnostic: "smtp; 550 no  ",
                    agent: "\u{301}x"))
        #expect(Notary(again.encoded) == again)
    }

    @Test(
        "what is no notary is refused",
        arguments: [
            "", "a", "a\u{1}failed\u{1}5.1.1\u{1}\u{1}", "a\u{1}unknown\u{1}5\u{1}\u{1}\u{1}",
            "\u{1}\u{1}\u{1}\u{1}\u{1}",
        ])
    func badNotary(text: String) { #expect(Notary(text) == nil) }

    @Test("more fields than six are ignored")
    func more() { #expect(Notary("a\u{1}failed\u{1}5\u{1}d\u{1}r\u{1}g\u{1}h\u{1}i")?.agent == "g") }

    @Test("extreme numbers come back", arguments: [(0, 0, 0, 0), (Int.max, -1, Int.max, Int64.max), (1, 2, 3, -5)])
    func numbers(offset: Int, header: Int, notaryOffset: Int, time: Int64) throws {
        var file = ControlFileTests.file()
        let record = ResultRecord(
            offset: offset, headerOffset: header, notaryOffset: notaryOffset, time: time,
            notary: Notary(finalRecipient: "a", action: .delivered, status: "2.1.5"), message: "x")
        #expect(try ControlFile.parse(file.encodeHead() + record.encoded()).records == [record])
    }

    @Test("words and fields of spool lines")
    func spoolText() {
        #expect(SpoolText.word("") == "-" && SpoolText.word("a b\t") == "a_b_" && SpoolText.word("ü") == "ü")
        #expect(SpoolText.field("a\u{0}b\n") == "a b ")
        #expect(SpoolText.quad(Quad(channel: "c", host: "", user: "a b", privilege: -1)) == "c - a b -1")
    }
}
