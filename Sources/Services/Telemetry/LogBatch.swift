/// Lines that strangers can cause by the thousand, collected and written together: a system call each would cost more than
/// what they tell about. Confined to one thread; its owner calls ``flush()`` soon after ``isEmpty`` turned false.
public final class LogBatch {
    /// Octets; more are written at once.
    static let limit = 32768

    private let log: EventLog
    private var lines: [UInt8] = []

    public init(_ log: EventLog) { self.log = log }

    public var isEmpty: Bool { lines.isEmpty }

    public func info(_ event: StaticString, _ fields: KeyValuePairs<StaticString, String> = [:]) {
        guard log.level >= .info else { return }
        log.append(.info, event, fields, to: &lines)
        if lines.count >= Self.limit { flush() }
    }

    public func flush() {
        guard !lines.isEmpty else { return }
        log.write(lines)
        lines.removeAll(keepingCapacity: lines.capacity <= 2 * Self.limit)
    }
}
