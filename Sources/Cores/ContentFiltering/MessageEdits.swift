import MailModel
import SpoolFormat

/// All that one filter wants changed, carried out on a message file's envelope and header.
public struct MessageEdits: Hashable, Sendable {
    /// In the filter's order.
    public private(set) var edits: [MessageEdit] = []
    /// Edits of one filter for one message, beside recipients.
    public static let maximumCount = 200
    public static let maximumRecipients = 10_000
    /// More are counted only: a line of the log stays one.
    private static let recipientsInSummary = 5
    private var recipientCount = 0

    public init() {}

    public var isEmpty: Bool { edits.isEmpty }

    /// `false`: there are too many.
    public mutating func add(_ edit: MessageEdit) -> Bool {
        if case .recipient = edit {
            guard recipientCount < Self.maximumRecipients else { return false }
            recipientCount += 1
        } else {
            guard edits.count - recipientCount < Self.maximumCount else { return false }
        }
        edits.append(edit)
        return true
    }

    public var tags: [String] {
        edits.compactMap { edit in
            if case .tag(let word) = edit { word } else { nil }
        }
    }

    /// Who gets the message instead of its recipients; empty: they stay.
    public var recipients: [String] {
        edits.compactMap { edit in
            if case .recipient(let address) = edit { address } else { nil }
        }
    }

    /// How many fields come and go, for the log.
    public var summary: String {
        var counts = (added: 0, removed: 0)
        for edit in edits {
            switch edit {
            case .addFirst, .addLast: counts.added += 1
            case .remove: counts.removed += 1
            case .recipient, .tag: break
            }
        }
        var words: [String] = []
        if counts.added > 0 { words.append("+\(counts.added)") }
        if counts.removed > 0 { words.append("-\(counts.removed)") }
        let recipients = recipients
        words += recipients.prefix(Self.recipientsInSummary).map { "to=\($0)" }
        if recipients.count > Self.recipientsInSummary { words.append("to-all=\(recipients.count)") }
        words += tags
        return words.joined(separator: ",")
    }

    // MARK: envelope

    /// Tags become comments. Recipients that stay keep what they have asked for; new ones ask for reports as the standard says.
    public func apply(to envelope: inout MessageEnvelope) {
        envelope.comments += tags.map { "filter tag \($0)" }
        let recipients = recipients
        guard !recipients.isEmpty else { return }
        var known: [String: EnvelopeRecipient] = [:]
        for recipient in envelope.recipients where known[recipient.address] == nil {
            known[recipient.address] = recipient
        }
        envelope.recipients = recipients.map { known[$0] ?? EnvelopeRecipient(address: $0) }
    }

    // MARK: header

    /// - Parameters:
    ///   - content: the beginning of the content, with the whole header in it.
    ///   - end: of the header in it, as ``headerEnd(of:)`` says.
    /// - Returns: the new header, in front of what stands from `end` on.
    public func header(of content: ArraySlice<UInt8>, end: Int) -> [UInt8] {
        var header: [UInt8] = []
        for case .addFirst(let name, let value) in edits { Self.append(name, value, to: &header) }
        var removals = Self.removals(edits)
        var start = content.startIndex
        while start < end {
            let next = Self.fieldEnd(content, start, end)
            let name = Self.name(of: content[start..<next])
            var isRemoved = false
            for index in removals.indices where removals[index].name.count == name.count {
                if removals[index].takes(name) { isRemoved = true }
            }
            if !isRemoved { header.append(contentsOf: content[start..<next]) }
            start = next
        }
        for case .addLast(let name, let value) in edits { Self.append(name, value, to: &header) }
        return header
    }

    /// Fields of one name that go.
    private struct Removal {
        /// In lower case.
        let name: [UInt8]
        var areAll = false
        var numbers: Set<Int> = []
        /// Fields of the name so far.
        private var count = 0

        init(_ name: [UInt8]) { self.name = name }

        /// Counts the field if it has the name; whether it goes.
        mutating func takes(_ field: ArraySlice<UInt8>) -> Bool {
            guard zip(field, name).allSatisfy({ ((0x41...0x5a).contains($0) ? $0 | 0x20 : $0) == $1 }) else {
                return false
            }
            count += 1
            return areAll || numbers.contains(count)
        }
    }

    private static func removals(_ edits: [MessageEdit]) -> [Removal] {
        var removals: [Removal] = []
        for case .remove(let name, let number) in edits {
            let key = Array(asciiLowercased(name).utf8)
            if !removals.contains(where: { $0.name == key }) { removals.append(Removal(key)) }
            for index in removals.indices where removals[index].name == key {
                if let number { removals[index].numbers.insert(number) } else { removals[index].areAll = true }
            }
        }
        return removals
    }

    private static func append(_ name: String, _ value: [String], to header: inout [UInt8]) {
        header.append(contentsOf: "\(name):\(value.joined(separator: "\r\n"))\r\n".utf8)
    }

    /// Where the header ends: at the first line that is no field and continues none, usually the empty one. `nil`: not in `content`.
    ///
    /// - Parameter isWhole: nothing follows `content`.
    public static func headerEnd(of content: ArraySlice<UInt8>, isWhole: Bool) -> Int? {
        var start = content.startIndex
        var isFirst = true
        while start < content.endIndex {
            guard let newline = Octets.index(of: 0x0a, in: content[start...]) else { break }
            let line = content[start..<newline]
            let continues = line.first == 0x20 || line.first == 0x09
            guard continues ? !isFirst : !name(of: line).isEmpty else { return start }
            isFirst = false
            start = newline + 1
        }
        return isWhole ? start : nil
    }

    /// Empty: the line begins no field.
    private static func name(of line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let name = line.prefix { $0 > 0x20 && $0 < 0x7f && $0 != 0x3a }
        let rest = line[name.endIndex...].drop { $0 == 0x20 || $0 == 0x09 }
        return rest.first == 0x3a ? name : []
    }

    private static func fieldEnd(_ content: ArraySlice<UInt8>, _ start: Int, _ end: Int) -> Int {
        var next = start
        repeat {
            next = Octets.index(of: 0x0a, in: content[next..<end]).map { $0 + 1 } ?? end
        } while next < end && (content[next] == 0x20 || content[next] == 0x09)
        return next
    }
}
