import SpoolFormat
import Testing

@Suite("What SMTP extensions have asked for") struct EnvelopeRequestTests {
    static var asking: MessageEnvelope {
        var envelope = MessageEnvelope()
        envelope.sender = "s@a.test"
        envelope.traits = MessageTraits()
        envelope.release = FutureRelease(at: 1_900_000_000, interval: 3600)
        envelope.deliverBy = DeliverByTime(1_900_100_000, .return, isTraced: true)
        envelope.priority = MessagePriority(-4)
        envelope.requiresTLS = true
        envelope.submitter = Submitter("e+3Dmc2@example.com")
        envelope.authenticatedUser = "e mc2"
        envelope.recipients = [EnvelopeRecipient(address: "r@b.test", originalRecipient: "rfc822;r@b.test")]
        return envelope
    }

    private static func envelope(_ lines: String) throws -> MessageEnvelope {
        try MessageEnvelope.parse(Array("format crlf\nfrom s@a.test\n\(lines)to r@b.test\nenv-end\n".utf8)).envelope
    }

    @Test("an envelope says it in lines of its own")
    func lines() throws {
        let text = String(decoding: Self.asking.encoded(), as: UTF8.self)
        for line in [
            "holduntil 1900000000 for=3600", "deliverby 1900100000 R T", "mtpriority -4", "requiretls",
            "smtpauth e+3Dmc2@example.com", "authuser e mc2",
        ] { #expect(text.contains("\n\(line)\n")) }
    }

    @Test("an envelope with requests is read again as the same value")
    func envelopeRoundTrip() throws {
        var envelope = Self.asking
        for deliverBy in [
            nil, DeliverByTime(5, .notify), DeliverByTime(5, .notify, isTraced: true), DeliverByTime(0, .return),
        ] {
            envelope.deliverBy = deliverBy
            envelope.release = FutureRelease(at: 7)
            envelope.priority = MessagePriority(9)
            envelope.submitter = Submitter("<>")
            #expect(try MessageEnvelope.parse(envelope.encoded()).envelope == envelope)
        }
    }

    @Test("values that are too large become the nearest that can be calculated with")
    func clamped() {
        #expect(FutureRelease(at: .max).time == EnvelopeTime.range.upperBound)
        #expect(FutureRelease(at: .min).time == 0)
        #expect(FutureRelease(at: 5, interval: 0).interval == nil)
        #expect(FutureRelease(at: 5, interval: 1_000_000_000).interval == nil)
        #expect(DeliverByTime(.max, .notify).time == EnvelopeTime.range.upperBound)
        #expect(DeliverByTime(.min, .notify).time == 0)
        #expect(MessagePriority(100) == MessagePriority(9))
        #expect(MessagePriority(-100) == MessagePriority(-9))
    }

    @Test(
        "an AUTH value is xtext or nothing",
        arguments: [
            ("<>", true), ("a+20b@c", true), ("", false), ("a b", false), ("a=b", false), ("a+2", false),
            ("a\nfrom x", false),
            ("<x>", true), ("\u{e9}", false), (String(repeating: "a", count: 501), false),
        ])
    func submitter(text: String, isValid: Bool) {
        #expect(Submitter(text)?.text == (isValid ? text : nil))
    }

    @Test(
        "a promise that cannot be read makes the file invalid, with what would be valid",
        arguments: [
            "holduntil", "holduntil x", "holduntil -1", "holduntil 253402300800", "holduntil 99999999999999999999",
            "holduntil 1.5", "deliverby", "deliverby 5", "deliverby 5 X", "deliverby 5 r", "deliverby R 5",
            "deliverby -1 R",
            "deliverby 253402300800 N", "deliverby 5 RT",
        ])
    func unreadable(line: String) {
        let error = #expect(throws: MessageFileError.self) { try Self.envelope("\(line)\n") }
        #expect(error?.line == 3)
        #expect(error?.reason.contains("valid is EPOCH") == true)
    }

    @Test(
        "a hint that cannot be read is none",
        arguments: [
            "mtpriority", "mtpriority 10", "mtpriority -10", "mtpriority +3", "mtpriority x", "smtpauth",
            "smtpauth a b",
        ])
    func hints(line: String) throws {
        let envelope = try Self.envelope("\(line)\n")
        #expect(envelope.priority == nil)
        #expect(envelope.submitter == nil)
    }

    @Test("words that a later version may add are passed over")
    func laterWords() throws {
        let envelope = try Self.envelope("holduntil 5 why=x for=7 z\ndeliverby 6 N later T\n")
        #expect(envelope.release == FutureRelease(at: 5, interval: 7))
        #expect(envelope.deliverBy == DeliverByTime(6, .notify, isTraced: true))
    }

    @Test("the time that ZMailer's smtpserver gives with each recipient is the message's")
    func zmailer() throws {
        let envelope = try Self.envelope("todsn BY=1900000000;NT NOTIFY=FAILURE\n")
        #expect(envelope.deliverBy == DeliverByTime(1_900_000_000, .notify, isTraced: true))
        #expect(envelope.recipients.map(\.notify) == [.failure])
        #expect(try Self.envelope("todsn BY=x;N\n").deliverBy == nil)
        #expect(try Self.envelope("deliverby 5 R\ntodsn BY=6;N\n").deliverBy == DeliverByTime(5, .return))
    }

    @Test("a report says what was asked for in its own words")
    func requests() {
        #expect(FutureRelease(at: 1_900_000_000, interval: 3600).request == "for;3600")
        #expect(FutureRelease(at: 1_900_000_000).request == "until;2030-03-17T17:46:40Z")
    }

    @Test("list members get back what is too late, and no news")
    func listMembers() {
        #expect(DeliverByTime(5, .return, isTraced: true).forListMembers == DeliverByTime(5, .return))
        #expect(DeliverByTime(5, .notify, isTraced: true).forListMembers == nil)
    }

    // MARK: Control files

    private static func control(_ change: (inout ControlFile) -> Void) throws -> (ControlFile, text: String) {
        var file = ControlFile(
            id: SpoolID(rawValue: 9), headerStart: 5, bodyOffset: 9, messageSize: 20, logID: "<x@y>",
            groups: [
                ControlGroup(
                    sender: Quad(channel: "smtp", host: "-", user: "s@a.test", privilege: 0), errorsTo: "s@a.test",
                    recipients: [
                        ControlRecipient(quad: Quad(channel: "smtp", host: "b.test", user: "r@b.test", privilege: 0)),
                        ControlRecipient(quad: Quad(channel: "smtp", host: "b.test", user: "q@b.test", privilege: 0)),
                    ])
            ])
        change(&file)
        let octets = file.encodeHead()
        #expect(try ControlFile.parse(octets) == file)
        return (file, String(decoding: octets, as: UTF8.self))
    }

    @Test("a control file carries it, each recipient its own deliver-by-time")
    func controlFile() throws {
        let (_, text) = try Self.control { file in
            file.release = Self.asking.release
            file.priority = Self.asking.priority
            file.requiresTLS = true
            file.submitter = Self.asking.submitter
            file.groups[0].recipients[0].deliverBy = Self.asking.deliverBy
        }
        for line in [
            "E version 2", "E holduntil 1900000000 for=3600", "E mtpriority -4", "E requiretls 1",
            "E smtpauth e+3Dmc2@example.com", "N BY=1900100000;RT NOTIFY=FAILURE,DELAY", "N NOTIFY=FAILURE,DELAY",
        ] { #expect(text.contains("\n\(line)\n")) }
    }

    @Test("versions before this one take the messages that they can do justice to, and leave the others alone")
    func version() throws {
        func version(_ change: (inout ControlFile) -> Void) throws -> String {
            let (_, text) = try Self.control(change)
            return String(text.split(separator: "\n")[1])
        }
        #expect(try version { _ in } == "E version 1")
        #expect(try version { $0.priority = MessagePriority(3) } == "E version 1")
        #expect(try version { $0.submitter = Submitter("<>") } == "E version 1")
        #expect(try version { $0.groups[0].recipients[1].deliverBy = DeliverByTime(5, .notify) } == "E version 1")
        #expect(try version { $0.groups[0].recipients[1].deliverBy = DeliverByTime(5, .return) } == "E version 2")
        #expect(try version { $0.release = FutureRelease(at: 5) } == "E version 2")
        #expect(try version { $0.requiresTLS = true } == "E version 2")
    }

    @Test("an extension of an unknown tool cannot take the place of a request")
    func reservedNames() throws {
        var file = try Self.control { _ in }.0
        file.extensions = ["holduntil 5", "requiretls 1", "mtpriority 9", "smtpauth x", "other 1"]
        let again = try ControlFile.parse(file.encodeHead())
        #expect(again.release == nil && !again.requiresTLS && again.priority == nil && again.submitter == nil)
        #expect(again.extensions == ["other 1"])
    }

    @Test(
        "a control file whose promise cannot be read is refused",
        arguments: [
            "E holduntil\n", "E holduntil x\n", "E holduntil 99999999999999999999\n",
            "s a b c 0\nr           a b c 0\nN BY=5\n", "s a b c 0\nr           a b c 0\nN BY=5;X\n",
        ])
    func refused(lines: String) {
        let octets = Array("@ 0x00000007\ni 1\n\(lines)".utf8)
        let error = #expect(throws: ControlFileError.self) {
            try ControlFile.parse(octets + Array("E sum \(Checksum(octets).text)\n".utf8))
        }
        #expect(error != .torn)
    }

    @Test("control files of the version before are read as ever")
    func oldFile() throws {
        let head =
            "@ 0x00000007\nE version 1\ni 1\no 1\nE content 1 5 crlf\ns a b c 0\nr           a b c 0\nN NOTIFY=NEVER\n"
        let file = try ControlFile.parse(Array("\(head)E sum \(Checksum(head.utf8).text)\n".utf8))
        #expect(file.release == nil && file.priority == nil && !file.requiresTLS && file.submitter == nil)
        #expect(file.groups[0].recipients[0].deliverBy == nil)
    }
}
