import Configuration
import ProgramKit

/// What ``QueueTransfer/export(_:_:to:removes:)`` does to a queue out of which mail goes: it is held, then removed or let go again,
/// whatever happens in between. Every request that is not answered as it should be is told on standard error.
///
/// What the scheduler has done and could not write to the disk just now counts as done: it is done as long as that scheduler lives,
/// and it tries again by itself. ``code`` says so in the end.
struct QueueWithdrawal {
    /// Messages of a request.
    static let portion = 5000

    private let environment: ZEnvironment
    /// They are not let go afterwards.
    private let heldBefore: Set<String>
    /// Those that we hold.
    private var held: [String] = []
    /// ``ExitCode/temporaryFailure``: all is done, and not all of it is on the disk.
    private(set) var code = ExitCode.ok

    /// `messages`: what the queue has said of them before.
    init(_ environment: ZEnvironment, _ messages: [JSONValue]) {
        self.environment = environment
        heldBefore = Set(messages.filter(Self.isHeld).compactMap { $0["id"]?.string })
    }

    private static func isHeld(_ message: JSONValue) -> Bool {
        (message["recipients"]?.elements ?? []).contains { $0["reason"]?.string?.hasPrefix("held by ") ?? false }
    }

    /// What the queue says of them when they are held. `nil`: it does not answer, and those that were held are let go.
    mutating func hold(_ ids: [String]) -> [JSONValue]? {
        var messages: [JSONValue] = []
        for portion in Self.portions(ids) {
            // Also if it fails: a scheduler that was interrupted may have held some of them.
            held += portion.filter { !heldBefore.contains($0) }
            var filter = QueueFilter()
            filter.ids = portion
            guard change(.hold, portion),
                take(QueueControl.ask(environment, ["select"], filter.fields) { messages.append($0) })
            else {
                end(removing: [])
                return nil
            }
        }
        return messages
    }

    /// Removes what is written, and lets go what else was held. What cannot be removed stays held, or it would be delivered beside
    /// its file.
    mutating func end(removing written: [String]) {
        var stays: [String] = []
        for portion in Self.portions(written) where !change(.remove, portion) { stays += portion }
        if !stays.isEmpty {
            Program.print(
                "zmailer: \(stays.count) messages are written and may be in the queue still, held: zmailer queue list says "
                    + "which, zmailer queue remove removes them", to: 2)
        }
        let gone = Set(written)
        var keeps = 0
        for portion in Self.portions(held.filter { !gone.contains($0) }) where !change(.release, portion) {
            keeps += portion.count
        }
        held = []
        if keeps > 0 {
            Program.print("zmailer: \(keeps) messages may be held still: zmailer queue release lets them go", to: 2)
        }
    }

    /// Whether it is done.
    private mutating func change(_ verb: QueueControl.Verb, _ ids: [String]) -> Bool {
        var filter = QueueFilter()
        filter.ids = ids
        let fields = filter.fields + ["by=\(QueueControl.operatorName)", "reason=export"]
        var problem: String?
        let answer = QueueControl.operate(environment, verb, fields) { problem = $0["not_stored"]?.string }
        guard let problem else { return take(answer) }
        Program.print(
            "zmailer: \(verb.rawValue): done, and not on the disk, so that a restart of the scheduler may undo it: "
                + QueueListing.printable(problem), to: 2)
        if code == .ok { code = answer }
        return true
    }

    private mutating func take(_ answer: ExitCode) -> Bool {
        guard answer != .ok else { return true }
        code = answer
        return false
    }

    static func portions(_ ids: [String]) -> [[String]] {
        stride(from: 0, to: ids.count, by: portion).map { Array(ids[$0..<min($0 + portion, ids.count)]) }
    }
}
