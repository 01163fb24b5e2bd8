extension MessageEnvelope {
    /// Width of the `traits` line with its LF; it is rewritten in place when a streamed message has ended.
    static let traitsLength = 64

    /// Envelope lines, LF-terminated, `env-end` included. A `traits` line of fixed width is the second line
    /// (offset ``traitsOffset``); control characters in values become spaces.
    public func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(512 + recipients.count * 128)
        func line(_ name: StaticString, _ value: String?) {
            guard let value else { return }
            out.append(literal: name)
            out.append(0x20)
            out.append(field: value)
            out.append(0x0a)
        }
        out.append(literal: format == .crlf ? "format crlf\n" : "format lf\n")
        Self.append(traits ?? MessageTraits(), to: &out)
        if isExternal { out.append(literal: "external\n") }
        line("rcvdfrom", receivedFrom)
        for comment in comments { line("comment", comment) }
        line("bodytype", bodyType)
        line("with", with)
        line("via", via)
        line("identinfo", identInfo)
        if isErrorMessage { out.append(literal: "errormsg\n") }
        if isInternationalized { out.append(literal: "smtputf8\n") }
        line("holduntil", release?.text)
        line("deliverby", deliverBy?.text)
        line("mtpriority", priority?.text)
        if requiresTLS { out.append(literal: "requiretls\n") }
        line("smtpauth", submitter?.text)
        line("authuser", authenticatedUser)
        line("submission", submission?.rawValue)
        if sender == nil { out.append(literal: "channel error\n") }
        line("from", sender)
        line("envid", envelopeID)
        line("notaryret", notaryReturn?.rawValue)
        for recipient in recipients {
            out.append(literal: "todsn NOTIFY=")
            out.append(text: recipient.notify.text)
            if let original = recipient.originalRecipient, !original.isEmpty {
                out.append(literal: " ORCPT=")
                out.append(word: original)
            }
            out.append(0x0a)
            line("to", recipient.address)
        }
        out.append(literal: "env-end\n")
        return out
    }

    /// Offset of the `traits` line of an envelope made by ``encoded()`` with ``LineFormat/crlf``.
    public static let traitsOffset = 12

    /// The `traits` line for rewriting in place: always the same length.
    public static func encodedTraits(_ traits: MessageTraits) -> [UInt8] {
        var out: [UInt8] = []
        append(traits, to: &out)
        return out
    }

    private static func append(_ traits: MessageTraits, to out: inout [UInt8]) {
        func padded(_ value: Int, _ width: Int) {
            var rest = max(0, value)
            out.append(contentsOf: repeatElement(0x30, count: width))
            for index in 1...width {
                out[out.count - index] = 0x30 + UInt8(rest % 10)
                rest /= 10
            }
        }
        out.append(literal: "traits size=")
        padded(traits.size, 19)
        out.append(literal: traits.hasDotLines ? " dot=1" : " dot=0")
        out.append(literal: traits.hasEightBit ? " 8bit=1" : " 8bit=0")
        out.append(literal: " longest=")
        padded(min(traits.longestLine, 9_999_999_999), 10)
        out.append(0x0a)
    }
}
