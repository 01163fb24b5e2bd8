import Glibc
import MailModel
import ProgramKit

/// A note that goes with a mailbox file (an extended attribute): which deliveries into it are done, and which is at work. Whoever
/// appends next knows by it what a delivery that was killed has left: a part, which is taken away again, or the whole, which need
/// not come a second time.
///
/// Nothing is cut off but octets that are known as ours: they begin as noted, at the noted place, and no other message begins
/// behind them.
struct AppendJournal: Hashable {
    /// Deliveries that are whole and durable, the newest first: message and recipient.
    private(set) var done: [String] = []
    /// The one at work.
    var open: Append?

    /// An append that has begun.
    struct Append: Hashable {
        let identity: String
        /// Where it begins, octets.
        let start: Int
        /// All octets of it.
        let count: Int
        /// The first octets of it, at most ``AppendJournal/maximumHead``.
        let head: [UInt8]
    }

    static let maximumHead = 512
    /// Deliveries whose agents may have been killed before they could say so.
    private static let maximumDone = 16
    /// Octets.
    private static let maximumIdentity = 64
    private static let attribute = FileAttribute("zmailer.append")

    /// `1 done done …` LF, `identity start count` LF, head.
    var encoded: [UInt8] {
        var octets = Array((["1"] + done).joined(separator: " ").utf8) + [0x0a]
        if let open {
            octets += Array("\(open.identity) \(open.start) \(open.count)\n".utf8) + open.head.prefix(Self.maximumHead)
        }
        return octets
    }

    init() {}

    /// `nil` for what nobody here has written.
    init?(_ octets: [UInt8]) {
        let parts = octets.split(separator: 0x0a, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2 else { return nil }
        let words = String(decoding: parts[0], as: UTF8.self).split(separator: " ").map(String.init)
        guard words.first == "1" else { return nil }
        done = Array(words.dropFirst().prefix(Self.maximumDone))
        guard parts.count == 3 else { return }
        let values = String(decoding: parts[1], as: UTF8.self).split(separator: " ")
        guard values.count == 3, let start = Int(values[1]), let count = Int(values[2]), start >= 0, count > 0,
            !start.addingReportingOverflow(count).overflow
        else { return nil }
        open = Append(identity: String(values[0]), start: start, count: count, head: Array(parts[2]))
    }

    static func read(from file: OpenFile) -> AppendJournal {
        attribute.read(file.descriptor).flatMap(AppendJournal.init) ?? AppendJournal()
    }

    /// Where the file system has no such notes nothing is noted.
    func write(to file: OpenFile) { _ = Self.attribute.write(encoded, to: file.descriptor) }

    mutating func finish(_ identity: String) {
        open = nil
        guard identity.utf8.count <= Self.maximumIdentity else { return }
        done = Array(([identity] + done.filter { $0 != identity }).prefix(Self.maximumDone))
    }

    enum Finding: Hashable {
        case nothing
        /// Is there and not known to be durable.
        case whole
        /// The part that begins here is of a delivery that was cut off.
        case part(start: Int)
    }

    /// What the append at work has left in a locked file of `size` octets.
    func finding(in file: OpenFile, size: Int) throws(DeliveryProblem) -> Finding {
        guard let open, size > open.start else { return .nothing }
        let head = Array(open.head.prefix(size - open.start))
        guard !head.isEmpty, try file.octets(at: open.start, count: head.count) == head else { return .nothing }
        if size >= open.start + open.count { return .whole }
        return try Self.isAlone(in: file, open.start + head.count..<size) ? .part(start: open.start) : .nothing
    }

    /// With which a message begins, in either format.
    private static let beginnings = ["From ", "\u{1}\u{1}\u{1}\u{1}"].map { Array($0.utf8) }

    /// Whether no message begins in a range.
    private static func isAlone(in file: OpenFile, _ range: Range<Int>) throws(DeliveryProblem) -> Bool {
        // One octet in front: the line end that a separator would follow.
        var offset = range.lowerBound - 1
        while offset < range.upperBound {
            let octets = try file.octets(at: offset, count: min(LocalCopy.pieceSize, range.upperBound - offset))
            if octets.isEmpty { return true }
            if octets.withUnsafeBytes({ Octets.lineEnd(before: beginnings, in: $0) }) != nil { return false }
            // The next piece sees the end of this one again: a separator may lie across.
            offset += max(1, octets.count == LocalCopy.pieceSize ? octets.count - 8 : octets.count)
        }
        return true
    }
}
