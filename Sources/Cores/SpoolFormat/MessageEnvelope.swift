import MailModel

/// The `NOTIFY` of a recipient (RFC 3461 §4.1).
public struct Notify: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let success = Notify(rawValue: 1)
    public static let failure = Notify(rawValue: 2)
    public static let delay = Notify(rawValue: 4)
    /// `NOTIFY=NEVER`.
    public static let never: Notify = []
    /// What applies when the sender said nothing.
    public static let standard: Notify = [.failure, .delay]

    /// Parses `NEVER` or a list of `SUCCESS`, `FAILURE`, `DELAY`, any case; `nil` for anything else.
    public init?(_ text: some StringProtocol) {
        var value: Notify = []
        let words = text.split(separator: ",", omittingEmptySubsequences: false).map(asciiLowercased)
        if words == ["never"] {
            self = .never
            return
        }
        for word in words {
            switch word {
            case "success": value.insert(.success)
            case "failure": value.insert(.failure)
            case "delay": value.insert(.delay)
            default: return nil
            }
        }
        self = value
    }

    public var text: String {
        if isEmpty { return "NEVER" }
        let names: [(Notify, String)] = [(.success, "SUCCESS"), (.failure, "FAILURE"), (.delay, "DELAY")]
        return names.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}

/// `RET` of MAIL (RFC 3461 §4.3).
public enum NotaryReturn: String, Hashable, Sendable {
    case full = "FULL"
    case headers = "HDRS"
}

/// What was seen while the message was received, so that a sender need not scan it again.
public struct MessageTraits: Hashable, Sendable {
    /// Octets of the content behind `env-end`, trace lines included.
    public var size: Int
    /// Whether any line begins with a dot.
    public var hasDotLines: Bool
    /// Whether any octet is above 127.
    public var hasEightBit: Bool
    /// Octets of the longest line, without its line end.
    public var longestLine: Int

    public init(size: Int = 0, hasDotLines: Bool = false, hasEightBit: Bool = false, longestLine: Int = 0) {
        self.size = size
        self.hasDotLines = hasDotLines
        self.hasEightBit = hasEightBit
        self.longestLine = longestLine
    }
}

/// One `to` with its `todsn`.
public struct EnvelopeRecipient: Hashable, Sendable {
    /// Without angle brackets: `local@domain`, or a bare local part such as `postmaster`.
    public var address: String
    public var notify: Notify
    /// `type;xtext` as given by the client, or our own `rfc822;xtext`.
    public var originalRecipient: String?

    public init(address: String, notify: Notify = .standard, originalRecipient: String? = nil) {
        self.address = address
        self.notify = notify
        self.originalRecipient = originalRecipient
    }
}

/// The envelope of a message file (docs/spool.md §2; ZMailer's format is in the specification's spool.md §4).
public struct MessageEnvelope: Hashable, Sendable {
    public enum LineFormat: Hashable, Sendable {
        /// Content holds wire octets: `format crlf`.
        case crlf
        /// Content lines end in LF: files made by ZMailer's own tools.
        case lf
    }
    /// Why the router may complete the header (design §2.8).
    public enum Submission: String, Hashable, Sendable {
        /// A local program.
        case local
        /// A network of `smtp-policy.relay` with the word `submit`.
        case client
        case authenticated
    }

    public var format: LineFormat = .crlf
    public var isExternal = false
    /// `rcvdfrom` without the keyword.
    public var receivedFrom: String?
    public var bodyType: String?
    public var with: String?
    public var via: String?
    public var identInfo: String?
    /// Made by the scheduler or errormail: no report is made about it.
    public var isErrorMessage = false
    /// `nil` for `<>` (`channel error`); else `local@domain`.
    public var sender: String?
    public var envelopeID: String?
    public var notaryReturn: NotaryReturn?
    public var isInternationalized = false
    public var submission: Submission?
    public var recipients: [EnvelopeRecipient] = []
    public var comments: [String] = []
    public var traits: MessageTraits?
    /// Fields this version does not know, in order: kept, not acted on.
    public var unknown: [String] = []

    public init() {}
}

public struct MessageFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// 1-based; 0 for the file as a whole.
    public let line: Int
    public let reason: String
    public var description: String { line > 0 ? "line \(line): \(reason)" : reason }
}

extension MessageEnvelope {
    /// Width of the `traits` line, which is rewritten in place when a streamed message has ended.
    static let traitsLength = 62

    /// Envelope lines, LF-terminated, `env-end` included. A `traits` line of fixed width is the second line
    /// (offset ``traitsOffset``); control characters in values become spaces.
    public func encoded() -> [UInt8] {
        var text = "format \(format == .crlf ? "crlf" : "lf")\n"
        text += Self.encode(traits ?? MessageTraits())
        func line(_ name: String, _ value: String?) {
            guard let value else { return }
            text += name
            text += " "
            text += Self.clean(value)
            text += "\n"
        }
        if isExternal { text += "external\n" }
        line("rcvdfrom", receivedFrom)
        for comment in comments { line("comment", comment) }
        line("bodytype", bodyType)
        line("with", with)
        line("via", via)
        line("identinfo", identInfo)
        if isErrorMessage { text += "errormsg\n" }
        if isInternationalized { text += "smtputf8\n" }
        line("submission", submission?.rawValue)
        if let sender { line("from", sender) } else { text += "channel error\n" }
        line("envid", envelopeID)
        line("notaryret", notaryReturn?.rawValue)
        for recipient in recipients {
            text += "todsn NOTIFY="
            text += recipient.notify.text
            if let original = recipient.originalRecipient {
                text += " ORCPT="
                text += Self.clean(original)
            }
            text += "\n"
            line("to", recipient.address)
        }
        text += "env-end\n"
        return Array(text.utf8)
    }

    /// Offset of the `traits` line of an envelope made by ``encoded()`` with ``LineFormat/crlf``.
    public static let traitsOffset = 12

    /// The `traits` line for rewriting in place: always the same length.
    public static func encodedTraits(_ traits: MessageTraits) -> [UInt8] { Array(encode(traits).utf8) }

    private static func encode(_ traits: MessageTraits) -> String {
        func padded(_ value: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, 19 - digits.count)) + digits
        }
        return "traits size=\(padded(traits.size)) dot=\(traits.hasDotLines ? 1 : 0) "
            + "8bit=\(traits.hasEightBit ? 1 : 0) longest=\(padded(traits.longestLine).suffix(10))\n"
    }

    private static func clean(_ value: String) -> String {
        if value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) { return value }
        return String(decoding: value.utf8.map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }, as: UTF8.self)
    }

    /// Reads the envelope from the beginning of a message file. `octets` must hold the whole envelope.
    /// Returns the index of the first header octet.
    public static func parse(_ octets: [UInt8]) throws(MessageFileError) -> (
        envelope: MessageEnvelope, headerStart: Int
    ) {
        var envelope = MessageEnvelope()
        envelope.format = .lf
        var index = 0
        var number = 0
        var pending: EnvelopeRecipient?
        var sawSender = false
        while index < octets.count {
            number += 1
            guard let newline = octets[index...].firstIndex(of: 0x0a) else {
                throw MessageFileError(line: number, reason: "envelope ends within a line")
            }
            var end = newline
            if end > index, octets[end - 1] == 0x0d { end -= 1 }
            let line = octets[index..<end]
            let nameEnd = line.firstIndex { $0 == 0x20 || $0 == 0x09 || $0 == 0x3a } ?? line.endIndex
            // A header field name is ended by a colon, an envelope field name by white space (spool.md §4).
            if nameEnd < end, octets[nameEnd] == 0x3a { return (try checked(envelope, sawSender), index) }
            if line.isEmpty { return (try checked(envelope, sawSender), index) }
            guard let name = String(validating: octets[index..<nameEnd], as: UTF8.self),
                let rest = String(validating: octets[nameEnd..<end].drop { $0 == 0x20 || $0 == 0x09 }, as: UTF8.self)
            else { throw MessageFileError(line: number, reason: "not UTF-8") }
            index = newline + 1
            switch asciiLowercased(name) {
            case "format":
                switch rest {
                case "crlf": envelope.format = .crlf
                case "lf": envelope.format = .lf
                default: throw MessageFileError(line: number, reason: "format '\(rest)': valid are crlf and lf")
                }
            case "traits": envelope.traits = parseTraits(rest)
            case "external": envelope.isExternal = true
            case "rcvdfrom": envelope.receivedFrom = rest
            case "comment": envelope.comments.append(rest)
            case "bodytype": envelope.bodyType = rest
            case "with": envelope.with = rest
            case "via": envelope.via = rest
            case "identinfo": envelope.identInfo = rest
            case "errormsg": envelope.isErrorMessage = true
            case "smtputf8": envelope.isInternationalized = true
            case "submission": envelope.submission = Submission(rawValue: rest)
            case "from":
                sawSender = true
                envelope.sender = rest == "<>" || rest.isEmpty ? nil : rest
            case "channel":
                if rest == "error" {
                    sawSender = true
                    envelope.sender = nil
                } else {
                    envelope.unknown.append("channel \(rest)")
                }
            case "envid": envelope.envelopeID = rest
            case "notaryret": envelope.notaryReturn = NotaryReturn(rawValue: rest)
            case "todsn": pending = parseTodsn(rest)
            case "to":
                guard !rest.isEmpty else { throw MessageFileError(line: number, reason: "empty recipient") }
                var recipient = pending ?? EnvelopeRecipient(address: rest)
                recipient.address = rest
                envelope.recipients.append(recipient)
                pending = nil
            case "env-end", "env-eof": return (try checked(envelope, sawSender), index)
            default: envelope.unknown.append(rest.isEmpty ? name : "\(name) \(rest)")
            }
        }
        throw MessageFileError(line: number, reason: "envelope has no end")
    }

    private static func checked(
        _ envelope: MessageEnvelope, _ sawSender: Bool
    ) throws(MessageFileError) -> MessageEnvelope {
        guard sawSender else {
            throw MessageFileError(line: 0, reason: "envelope has neither 'from' nor 'channel error'")
        }
        return envelope
    }

    private static func parseTodsn(_ text: String) -> EnvelopeRecipient {
        var recipient = EnvelopeRecipient(address: "")
        for word in text.split(separator: " ") {
            if word.hasPrefix("NOTIFY="), let notify = Notify(word.dropFirst(7)) { recipient.notify = notify }
            if word.hasPrefix("ORCPT=") { recipient.originalRecipient = String(word.dropFirst(6)) }
        }
        return recipient
    }

    private static func parseTraits(_ text: String) -> MessageTraits {
        var traits = MessageTraits()
        for word in text.split(separator: " ") {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let value = Int(parts[1]) else { continue }
            switch parts[0] {
            case "size": traits.size = value
            case "dot": traits.hasDotLines = value != 0
            case "8bit": traits.hasEightBit = value != 0
            case "longest": traits.longestLine = value
            default: continue
            }
        }
        return traits
    }
}
