import MailModel

/// A time by which the sender wants a message delivered (RFC 2852 §4): its deliver-by-time.
public struct DeliverByTime: Hashable, Sendable {
    /// What becomes of a message that is not delivered by then (RFC 2852 §4.1.3).
    public enum Mode: String, Hashable, Sendable {
        /// It goes back to its sender.
        case `return` = "R"
        /// Its sender is told once, and delivery goes on.
        case notify = "N"
    }
    /// Seconds since 1970, within ``EnvelopeTime/range``.
    public let time: Int64
    public let mode: Mode
    /// Whether each relay is to be reported (`by-trace`, RFC 2852 §4.1.4).
    public let isTraced: Bool

    public init(_ time: Int64, _ mode: Mode, isTraced: Bool = false) {
        self.time = EnvelopeTime.clamped(time)
        self.mode = mode
        self.isTraced = isTraced
    }

    /// What is left of it for the members of a list: it may still come back in time, and nobody but the author asked for news
    /// (RFC 3461 §5.2.7.1 has the like for NOTIFY).
    public var forListMembers: DeliverByTime? {
        switch mode {
        case .return: DeliverByTime(time, .return)
        case .notify: nil
        }
    }

    /// `<epoch> R [T]`: the line of the envelope.
    var text: String { "\(time) \(mode.rawValue)\(isTraced ? " T" : "")" }

    init?(words: ArraySlice<ArraySlice<UInt8>>) {
        guard words.count >= 2, let time = words.first.flatMap(EnvelopeTime.parse),
            let mode = Mode(rawValue: Octets.text(words[words.startIndex + 1]))
        else { return nil }
        self.init(time, mode, isTraced: words.dropFirst(2).contains { Octets.equal($0, "T") })
    }

    /// `<epoch>;R[T]`: ZMailer's `BY=` of `todsn` and `N` lines (spool.md §4, §5).
    public var value: String { "\(time);\(mode.rawValue)\(isTraced ? "T" : "")" }

    init?(value: ArraySlice<UInt8>) {
        let parts = Octets.split(value, at: UInt8(ascii: ";"), limit: 2)
        guard parts.count == 2, let time = EnvelopeTime.parse(parts[0]), let letter = parts[1].first,
            let mode = Mode(rawValue: Octets.text([letter]))
        else { return nil }
        self.init(time, mode, isTraced: parts[1].dropFirst().contains(UInt8(ascii: "T")))
    }
}
