import SpoolFormat
import Testing

@Suite("Message envelopes") struct MessageEnvelopeTests {
    static var full: MessageEnvelope {
        var envelope = MessageEnvelope()
        envelope.isExternal = true
        envelope.receivedFrom = "mail.example.com ([192.0.2.1]:4711 EHLO)"
        envelope.bodyType = "8BITMIME"
        envelope.with = "UTF8SMTPS"
        envelope.via = "suspension"
        envelope.identInfo = "NO-IDENT"
        envelope.isErrorMessage = true
        envelope.sender = "\"a b\"@example.com"
        envelope.envelopeID = "QQ+2B314159"
        envelope.notaryReturn = .headers
        envelope.isInternationalized = true
        envelope.submission = .authenticated
        envelope.comments = ["smtp-auth: \"bob\"", "two"]
        envelope.traits = MessageTraits(size: 123_456, hasDotLines: true, hasEightBit: true, longestLine: 998)
        envelope.recipients = [
            EnvelopeRecipient(
                address: "alice@example.test", notify: .never, originalRecipient: "rfc822;alice+2B@example.test"),
            EnvelopeRecipient(
                address: "\u{301}ü@example.test", notify: [.success, .delay], originalRecipient: "utf-8;\u{301}x"),
            EnvelopeRecipient(address: "postmaster"),
            EnvelopeRecipient(address: "\"a, b\"@example.test", notify: [.success, .failure, .delay]),
        ]
        return envelope
    }

    private static func octets(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("what is encoded is read again as the same value", arguments: [true, false])
    func roundTrip(isFull: Bool) throws {
        var envelope = isFull ? Self.full : MessageEnvelope()
        if !isFull { envelope.traits = MessageTraits() }
        let encoded = envelope.encoded()
        let (again, start) = try MessageEnvelope.parse(encoded + Self.octets("Received: x\r\n\r\n"))
        #expect(again == envelope)
        #expect(start == encoded.count)
    }

    @Test("every prefix is an error and never a shorter envelope")
    func prefixes() {
        let encoded = Self.full.encoded()
        for length in 0..<encoded.count {
            #expect(throws: MessageFileError.self) { try MessageEnvelope.parse(Array(encoded[..<length])) }
        }
    }

    @Test("any changed octet is read or refused, never fatal")
    func corruption() {
        let encoded = Self.full.encoded()
        for index in encoded.indices {
            for value in [0, 0x0a, 0x0d, 0x20, 0x3a, 0x3d, 0xff] as [UInt8] {
                var octets = encoded
                octets[index] = value
                _ = try? MessageEnvelope.parse(octets)
            }
        }
    }

    @Test("the traits line has its place and its length whatever its values")
    func traits() throws {
        let line = MessageEnvelope.encodedTraits(MessageTraits())
        for traits in [
            MessageTraits(size: .max, hasDotLines: true, hasEightBit: true, longestLine: .max),
            MessageTraits(size: -1, longestLine: -1), MessageTraits(size: 4096, longestLine: 78),
        ] {
            let rewritten = MessageEnvelope.encodedTraits(traits)
            #expect(rewritten.count == line.count)
            var octets = Self.full.encoded()
            octets.replaceSubrange(
                MessageEnvelope.traitsOffset..<(MessageEnvelope.traitsOffset + line.count), with: rewritten)
            let read = try #require(try MessageEnvelope.parse(octets).envelope.traits)
            #expect(read.size == max(0, traits.size))
            #expect(read.longestLine == min(max(0, traits.longestLine), 9_999_999_999))
            #expect(read.hasDotLines == traits.hasDotLines && read.hasEightBit == traits.hasEightBit)
        }
        let zero = MessageEnvelope.encodedTraits(MessageTraits())
        #expect(Array(MessageEnvelope().encoded()[12..<(12 + zero.count)]) == zero)
    }

    @Test("a file shorter than its traits say is not whole")
    func whole() {
        var envelope = MessageEnvelope()
        #expect(envelope.isWhole(headerStart: 100, fileSize: 100))
        envelope.traits = MessageTraits(size: 50)
        #expect(envelope.isWhole(headerStart: 100, fileSize: 150))
        #expect(!envelope.isWhole(headerStart: 100, fileSize: 149))
        #expect(!envelope.isWhole(headerStart: 100, fileSize: 20))
    }

    @Test("values cannot break out of their line")
    func injection() throws {
        var envelope = MessageEnvelope()
        envelope.sender = "a\nto evil@example.test\r\n@b"
        envelope.receivedFrom = "x\nenv-end\n"
        envelope.comments = ["\n\nenv-end"]
        envelope.recipients = [
            EnvelopeRecipient(address: "a@b\nto c@d", originalRecipient: "rfc822;x\nto e@f NOTIFY=NEVER")
        ]
        let (again, _) = try MessageEnvelope.parse(envelope.encoded())
        #expect(again.recipients.count == 1)
        #expect(again.recipients[0].address == "a@b to c@d")
        #expect(again.recipients[0].notify == .standard)
        #expect(again.recipients[0].originalRecipient == "rfc822;x_to_e@f_NOTIFY=NEVER")
    }

    @Test("a file of ZMailer's own tools is read: LF, no traits, lists and brackets")
    func foreign() throws {
        let text = """
            external
            fullname Joe D. Sender
            loginname joe@host
            rcvdfrom mail.example.com ([192.0.2.1] EHLO)
            comment x
            bodytype 8BITMIME
            with ESMTP
            identinfo joe
            verbose ../public/v
            from <joe@example.com>
            envid abc
            notaryret FULL
            todsn NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b BY=120;RNT INRCPT=rfc822;x
            to <a@b>
            to c@d, "Smith, J." <e@f> (home, sweet), <@relay,@x:g@h> ,i
            env-end
            From: joe
            To: a

            body

            """
        let (envelope, start) = try MessageEnvelope.parse(Self.octets(text))
        #expect(envelope.format == .lf)
        #expect(envelope.sender == "joe@example.com")
        #expect(envelope.recipients.map(\.address) == ["a@b", "c@d", "e@f", "g@h", "i"])
        #expect(envelope.recipients[0].notify == [.success, .failure])
        #expect(envelope.recipients[0].originalRecipient == "rfc822;a@b")
        #expect(envelope.recipients[1].notify == .standard)
        #expect(envelope.unknown == ["fullname Joe D. Sender", "loginname joe@host", "verbose ../public/v"])
        #expect(envelope.traits == nil && envelope.notaryReturn == .full)
        #expect(text.utf8.dropFirst(start).starts(with: "From: joe\n".utf8))
    }

    @Test(
        "sender and end are found in all their forms",
        arguments: [
            ("from a@b\nto c@d\nenv-end\nX: y\n", "a@b", "X: y\n"), ("FROM a@b\nTo c@d\nENV-END\n", "a@b", ""),
            ("from\ta@b\r\nto \t c@d\r\nenv-eof\r\nrest", "a@b", "rest"),
            ("channel error\nto c@d\nX: y\n", nil, "X: y\n"),
            ("from <>\nto c@d\nenv-end\n", nil, ""), ("from\nto c@d\nenv-end\n", nil, ""),
            ("from a@b\nto c@d\n\nbody", "a@b", "\nbody"), ("from a@b\nchannel error\nto c@d\nenv-end\n", nil, ""),
            ("from \"a\\\"b,c\"@d\nto c@d\nenv-end\n", "\"a\\\"b,c\"@d", ""),
            ("from a@b\nfullname Jos\u{fffd}\nto c@d\nenv-end\n", "a@b", ""),
        ] as [(String, String?, String)])
    func forms(text: String, sender: String?, rest: String) throws {
        let octets = Self.octets(text)
        let (envelope, start) = try MessageEnvelope.parse(octets)
        #expect(envelope.sender == sender)
        #expect(envelope.recipients.map(\.address) == ["c@d"])
        #expect(String(decoding: octets[start...], as: UTF8.self) == rest)
    }

    @Test(
        "what is no envelope is refused with its line",
        arguments: [
            ("", 0), ("\n", 0), ("X: y\n", 0), ("to a@b\nenv-end\n", 0), ("from a@b\nto\nenv-end\n", 2),
            ("from a@b\nto ,\nenv-end\n", 2),
            ("format xml\nfrom a@b\nenv-end\n", 1), ("from a@b\nto c@d\n", 2), ("from a@b\nto c@d", 2),
            ("from a@b\nenv-end", 2),
            ("from a@b\n\u{1} x\nenv-end\n", 2), ("\u{fc}x y\n", 1),
        ])
    func refused(text: String, line: Int) {
        let error = #expect(throws: MessageFileError.self) { try MessageEnvelope.parse(Self.octets(text)) }
        #expect(error?.line == line)
        #expect(error?.description.isEmpty == false)
    }

    @Test("octets that are no UTF-8 are refused in addresses and repaired elsewhere")
    func notUTF8() throws {
        let front = Self.octets("from a@b\nfullname Jos")
        let (envelope, _) = try MessageEnvelope.parse(front + [0xe9] + Self.octets("\nto c@d\nenv-end\n"))
        #expect(envelope.unknown == ["fullname Jos\u{fffd}"])
        #expect(throws: MessageFileError.self) {
            try MessageEnvelope.parse(Self.octets("from a@b\nto c") + [0xe9] + Self.octets("@d\nenv-end\n"))
        }
        #expect(throws: MessageFileError.self) {
            try MessageEnvelope.parse(Self.octets("format crlf\nfrom ") + [0xff] + Self.octets("\nto c@d\nenv-end\n"))
        }
    }

    @Test("a hundred thousand recipients are read in one pass")
    func many() throws {
        var envelope = MessageEnvelope()
        envelope.recipients = (0..<100_000).map { EnvelopeRecipient(address: "user\($0)@example.test") }
        let start = ContinuousClock.now
        #expect(try MessageEnvelope.parse(envelope.encoded()).envelope.recipients.count == 100_000)
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    @Test(
        "NOTIFY is a list or NEVER",
        arguments: [
            ("NEVER", []), ("never", []), ("SUCCESS", .success), ("failure,DELAY", [.failure, .delay]),
            ("SUCCESS,SUCCESS", .success), ("", nil), (",", nil), ("NEVER,SUCCESS", nil), ("SUCCESS,", nil), ("X", nil),
            ("SUCCESS ,DELAY", nil),
        ] as [(String, Notify?)])
    func notify(text: String, value: Notify?) {
        #expect(Notify(text) == value)
        if let value { #expect(Notify(value.text) == value) }
    }
}
