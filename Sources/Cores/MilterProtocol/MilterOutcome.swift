import MailModel

/// What a milter has decided about a message.
public struct MilterOutcome: Hashable, Sendable {
    public enum Verdict: Hashable, Sendable {
        case accept
        case refuse(Reply)
        /// Said to be accepted, and thrown away.
        case discard
        /// With the milter's reason.
        case quarantine(String)
    }

    /// One of the fields that the milter was given.
    public struct Removal: Hashable, Sendable {
        public let name: [UInt8]
        /// Counted from 1 among the given fields of that name, from the top.
        public let number: Int
    }

    public var verdict: Verdict
    /// Fields for the top of the header, the first one topmost.
    public var top: [MilterField] = []
    /// Fields for its end.
    public var last: [MilterField] = []
    public var removed: [Removal] = []
    /// `nil`: as they are.
    public var recipients: [String]?
    /// The milter and we speak of a field's leading blanks (``MilterSteps/leadingBlanks``): a value that begins with none has none.
    public var hasLeadingBlanks = false
    /// What the operator should know.
    public var remarks: [String] = []

    public init(_ verdict: Verdict) { self.verdict = verdict }
}

/// The changes of one message, collected at its end.
struct MilterModifications: Sendable {
    private struct Place: Hashable {
        let name: [UInt8]
        let number: Int
    }

    private let fields: [MilterField]
    private var inserted: [MilterField] = []
    private var added: [MilterField] = []
    /// The new value by place; empty: removed.
    private var changed: [Place: MilterField] = [:]
    private var order: [Place] = []
    private var newRecipients: [String] = []
    private var deletedRecipients: [String] = []
    private(set) var remarks: [String] = []
    private(set) var quarantine: String?
    private var count = 0

    init(fields: [MilterField]) { self.fields = fields }

    /// `false` if the response is no modification.
    mutating func apply(
        _ response: MilterResponse, code: UInt8, actions: MilterActions
    ) throws(MilterProtocolError) -> Bool {
        guard let needed = Self.action(response) else { return false }
        // Whoever was built with it tries it without asking: the message is not spoilt by it.
        if case .changeSender(let address) = response {
            remarks.append("the milter wants to change the sender to '\(address)': not possible, not done")
            try countOne()
            return true
        }
        guard !actions.isDisjoint(with: needed) else { throw .notNegotiated(response: code) }
        try countOne()
        switch response {
        case .insertField(let index, let field): insert(field, at: index)
        case .addField(let field): added.append(field)
        case .changeField(let index, let field): change(field, number: max(1, Int(index)))
        case .addRecipient(let address, let hasParameters):
            if hasParameters {
                remarks.append("parameters of the recipient '\(address)' that the milter adds are left out")
            }
            deletedRecipients.removeAll { Self.isSame($0, address) }
            if !newRecipients.contains(where: { Self.isSame($0, address) }) { newRecipients.append(address) }
        case .deleteRecipient(let address):
            newRecipients.removeAll { Self.isSame($0, address) }
            if !deletedRecipients.contains(where: { Self.isSame($0, address) }) { deletedRecipients.append(address) }
        case .quarantine(let reason): quarantine = reason
        default: return false
        }
        return true
    }

    private mutating func countOne() throws(MilterProtocolError) {
        count += 1
        guard count <= MilterSession.maximumModifications else { throw .tooManyModifications }
    }

    private static func action(_ response: MilterResponse) -> MilterActions? {
        switch response {
        case .insertField, .addField: .addHeaders
        case .changeField: .changeHeaders
        case .addRecipient: [.addRecipients, .addRecipientsWithParameters]
        case .deleteRecipient: .deleteRecipients
        case .changeSender: .changeSender
        case .replaceBody: .changeBody
        case .quarantine: .quarantine
        default: nil
        }
    }

    /// 0 is above all fields, 1 below the one that the mail system has put on top and the milter does not see: both are the top.
    private mutating func insert(_ field: MilterField, at index: UInt32) {
        if index <= 1 || Int(index) * 2 <= fields.count {
            inserted.insert(field, at: 0)
        } else {
            added.append(field)
        }
        if index > 1, Int(index) < fields.count {
            let end = Int(index) * 2 <= fields.count ? "top" : "end"
            remarks.append("a field for place \(index) of the header goes to its \(end)")
        }
    }

    private mutating func change(_ field: MilterField, number: Int) {
        let count = fields.count(where: { $0.isNamed(field.name) })
        guard number <= count else {
            // libmilter: a field that is not there is added.
            if !field.value.isEmpty { added.append(field) }
            return
        }
        var place = Place(name: field.name.map(MilterField.lowercased), number: number)
        // Some remove the first one again and again, and mean the next.
        while field.value.isEmpty, changed[place]?.value.isEmpty == true {
            guard place.number < count else { return }
            place = Place(name: place.name, number: place.number + 1)
        }
        if changed.updateValue(field, forKey: place) == nil { order.append(place) }
    }

    /// Puts it all together for `recipients`, those of the message that the milter has not refused.
    func complete(_ outcome: inout MilterOutcome, recipients: [String], all: [String]) {
        outcome.top = inserted
        outcome.last = added
        for place in order {
            guard let field = changed[place] else { continue }
            outcome.removed.append(MilterOutcome.Removal(name: field.name, number: place.number))
            if !field.value.isEmpty { outcome.top.append(field) }
        }
        var left = recipients.filter { one in !deletedRecipients.contains { Self.isSame($0, one) } }
        for address in newRecipients where !left.contains(where: { Self.isSame($0, address) }) { left.append(address) }
        outcome.remarks += remarks
        if left.isEmpty {
            // What is kept for people keeps its recipients.
            if outcome.verdict == .accept { outcome.verdict = .discard }
            outcome.remarks.append("the milter has taken all recipients away")
        } else if left != all {
            outcome.recipients = left
        }
    }

    /// Domains are compared without regard to case.
    private static func isSame(_ one: String, _ other: String) -> Bool {
        if one == other { return true }
        guard let left = Mailbox(one), let right = Mailbox(other) else {
            return asciiLowercased(one) == asciiLowercased(other)
        }
        return left == right
    }
}
