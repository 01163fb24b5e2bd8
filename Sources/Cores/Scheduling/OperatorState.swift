import HeapModule
import SpoolFormat

/// What operators have asked for and the queue has to remember.
struct OperatorState {
    struct JobKey: Hashable {
        let id: SpoolID
        let vertex: Int
    }

    /// What is to become of recipients that an agent has in hand, unless it delivers them.
    enum Verdict: Hashable {
        case remove(OperatorNote)
        case bounce(OperatorNote)
    }

    /// Messages that are kept until they are released.
    var holds: [SpoolID: OperatorNote] = [:]
    /// By the offset of the recipient.
    var verdicts: [JobKey: [Int: Verdict]] = [:]
    var suspensions = Suspensions()
    /// Messages whose recipients are on their way to another destination.
    var moves: [SpoolID: Move] = [:]
    /// Messages that must be looked at because ``suspensions`` has changed, in their order. To sort a large queue at once would take
    /// too long.
    var sweep = Heap<SpoolID>()
    /// ``suspensions`` has changed since ``DeliveryScheduler/takeSuspensions()``.
    var areSuspensionsNew = false
}

/// Who wanted something, why, and when.
public struct OperatorNote: Hashable, Sendable {
    public var operatorName: String
    public var reason: String
    /// Seconds since 1970.
    public var time: Int64

    public init(operatorName: String, reason: String, time: Int64) {
        self.operatorName = operatorName
        self.reason = reason
        self.time = time
    }

    /// `alice: looks like spam`.
    public var text: String { reason.isEmpty ? operatorName : "\(operatorName): \(reason)" }
}

extension OperatorNote {
    /// Of a record with a ``ResultRecord/wish``.
    init(_ record: ResultRecord) {
        self.init(operatorName: record.notary.finalRecipient, reason: record.message, time: record.time)
    }
}
