import MailModel

extension MessageEnvelope {
    /// Reads the envelope from the beginning of a message file. `octets` must hold the whole envelope.
    /// Returns the index of the first header octet.
    public static func parse(_ octets: [UInt8]) throws(MessageFileError) -> (
        envelope: MessageEnvelope, headerStart: Int
    ) {
        var reader = EnvelopeReader()
        var index = 0
        while index < octets.count {
            reader.number += 1
            guard let newline = Octets.index(of: 0x0a, in: octets[index...]) else {
                throw MessageFileError(line: reader.number, reason: "envelope ends within a line")
            }
            let end = newline > index && octets[newline - 1] == 0x0d ? newline - 1 : newline
            var nameEnd = index
            while nameEnd < end, !(octets[nameEnd] == 0x20 || octets[nameEnd] == 0x09 || octets[nameEnd] == 0x3a) {
                nameEnd += 1
            }
            // A header field name is ended by a colon, an envelope field name by white space (spool.md §4).
            if end == index || (nameEnd < end && octets[nameEnd] == 0x3a) { return (try reader.checked(), index) }
            let isEnd = try reader.line(
                name: octets[index..<nameEnd],
                value: octets[nameEnd..<end].drop { $0 == 0x20 || $0 == 0x09 })
            index = newline + 1
            if isEnd { return (try reader.checked(), index) }
        }
        throw MessageFileError(line: reader.number, reason: "envelope has no end")
    }

    /// Whether a file of this many octets holds all of the content that ``traits`` announces. A file that was linked but
    /// not yet durable when the power failed may be shorter; nothing was promised for it.
    public func isWhole(headerStart: Int, fileSize: Int) -> Bool {
        guard let traits else { return true }
        return fileSize - headerStart >= traits.size
    }
}

private struct EnvelopeReader {
    var number = 0
    private var envelope = MessageEnvelope()
    private var pending: EnvelopeRecipient?
    private var sawSender = false

    init() { envelope.format = .lf }

    func checked() throws(MessageFileError) -> MessageEnvelope {
        guard sawSender else {
            throw MessageFileError(line: 0, reason: "envelope has neither 'from' nor 'channel error'")
        }
        return envelope
    }

    private func failure(_ reason: String) -> MessageFileError { MessageFileError(line: number, reason: reason) }

    /// One field; `true` if it ends the envelope.
    mutating func line(name: ArraySlice<UInt8>, value: ArraySlice<UInt8>) throws(MessageFileError) -> Bool {
        guard name.count <= 64, name.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw failure("no envelope field")
        }
        let key = String(decoding: name.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
        // Texts of other tools may be in any character set; addresses may not.
        let text = Octets.text(value)
        switch key {
        case "format":
            switch text {
            case "crlf": envelope.format = .crlf
            case "lf": envelope.format = .lf
            default: throw failure("format '\(text)': valid are crlf and lf")
            }
        case "traits": envelope.traits = Self.traits(value)
        case "external": envelope.isExternal = true
        case "rcvdfrom": envelope.receivedFrom = text
        case "comment": envelope.comments.append(text)
        case "bodytype": envelope.bodyType = text
        case "with": envelope.with = text
        case "via": envelope.via = text
        case "identinfo": envelope.identInfo = text
        case "errormsg": envelope.isErrorMessage = true
        case "smtputf8": envelope.isInternationalized = true
        case "submission": envelope.submission = MessageEnvelope.Submission(rawValue: text)
        case "from":
            sawSender = true
            envelope.sender = try addresses(value).first.flatMap { $0.isEmpty || $0 == "<>" ? nil : $0 }
        case "channel":
            if text == "error" {
                sawSender = true
                envelope.sender = nil
            } else {
                envelope.unknown.append("channel \(text)")
            }
        case "envid": envelope.envelopeID = text
        case "notaryret": envelope.notaryReturn = NotaryReturn(rawValue: text)
        case "todsn":
            let (recipient, deliverBy) = Self.todsn(value)
            pending = recipient
            // ZMailer's smtpserver gives the time of the message with each recipient.
            envelope.deliverBy = envelope.deliverBy ?? deliverBy
        case "to":
            let addresses = try addresses(value).filter { !$0.isEmpty }
            guard !addresses.isEmpty else { throw failure("empty recipient") }
            for address in addresses {
                var recipient = pending ?? EnvelopeRecipient(address: address)
                recipient.address = address
                envelope.recipients.append(recipient)
            }
            pending = nil
        case "env-end", "env-eof": return true
        case _ where try request(key, value): break
        default: envelope.unknown.append(text.isEmpty ? Octets.text(name) : "\(Octets.text(name)) \(text)")
        }
        return false
    }

    /// What SMTP extensions have asked for. A request that cannot be read and whose loss would break a promise makes the file
    /// invalid; of the others it is as if they were not there.
    private mutating func request(_ key: String, _ value: ArraySlice<UInt8>) throws(MessageFileError) -> Bool {
        let words = Octets.words(value)[...]
        switch key {
        case "holduntil":
            guard let release = FutureRelease(words: words) else {
                throw failure("holduntil '\(Octets.text(value))': valid is EPOCH [for=SECONDS]")
            }
            envelope.release = release
        case "deliverby":
            guard let deliverBy = DeliverByTime(words: words) else {
                throw failure("deliverby '\(Octets.text(value))': valid is EPOCH R|N [T]")
            }
            envelope.deliverBy = deliverBy
        case "mtpriority": envelope.priority = MessagePriority(octets: value)
        case "requiretls": envelope.requiresTLS = true
        case "smtpauth": envelope.submitter = Submitter(Octets.text(value))
        case "authuser": envelope.authenticatedUser = Octets.text(value)
        default: return false
        }
        return true
    }

    /// Our own files hold one bare address a line; other tools may write any RFC 822 list.
    private func addresses(_ value: ArraySlice<UInt8>) throws(MessageFileError) -> [String] {
        if value.contains(where: { $0 >= 0x80 }), String(validating: value, as: UTF8.self) == nil {
            throw failure("not UTF-8")
        }
        return envelope.format == .crlf ? [Octets.text(value)] : AddressList.split(value)
    }

    private static func todsn(_ value: ArraySlice<UInt8>) -> (EnvelopeRecipient, DeliverByTime?) {
        var recipient = EnvelopeRecipient(address: "")
        var deliverBy: DeliverByTime?
        for word in Octets.words(value) {
            if Octets.hasPrefix(word, "NOTIFY=", anyCase: true) {
                if let notify = Notify(octets: word.dropFirst(7)) { recipient.notify = notify }
            } else if Octets.hasPrefix(word, "ORCPT=", anyCase: true) {
                recipient.originalRecipient = Octets.text(word.dropFirst(6))
            } else if Octets.hasPrefix(word, "BY=", anyCase: true) {
                deliverBy = DeliverByTime(value: word.dropFirst(3))
            }
        }
        return (recipient, deliverBy)
    }

    private static func traits(_ value: ArraySlice<UInt8>) -> MessageTraits {
        var traits = MessageTraits()
        for word in Octets.words(value) {
            let parts = Octets.split(word, at: UInt8(ascii: "="), limit: 2)
            guard parts.count == 2, let number = Octets.decimal(parts[1]), number >= 0 else { continue }
            if Octets.equal(parts[0], "size") { traits.size = number }
            if Octets.equal(parts[0], "dot") { traits.hasDotLines = number != 0 }
            if Octets.equal(parts[0], "8bit") { traits.hasEightBit = number != 0 }
            if Octets.equal(parts[0], "longest") { traits.longestLine = number }
        }
        return traits
    }
}
