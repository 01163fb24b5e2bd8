import Glibc
import MailModel
import ProgramKit

/// A note with a mailbox file while a message is appended to it. Whoever appends next knows by it what a delivery that was killed
/// has left: a part, which is taken away again, or the whole, which need not come a second time.
///
/// Nothing is cut off but octets that are known as ours: they begin as noted, at the noted place, and no other message begins
/// behind them.
struct AppendJournal: Hashable {
    /// Where the append begins, octets.
    let start: Int
    /// All octets of it.
    let count: Int
    /// Message and recipient.
    let identity: String
    /// The first octets of it.
    let head: [UInt8]

    /// Octets of ``head``.
    static let maximumHead = 512
    private static let attribute = FileAttribute("zmailer.append")

    init(start: Int, count: Int, identity: String, head: [UInt8]) {
        self.start = start
        self.count = count
        self.identity = identity
        self.head = Array(head.prefix(Self.maximumHead))
    }

    /// `1 start count identity` LF, head.
    var encoded: [UInt8] { Array("1 \(start) \(count) \(identity)\n".utf8) + head }

    init?(_ octets: [UInt8]) {
        guard let end = octets.firstIndex(of: 0x0a) else { return nil }
        let words = String(decoding: octets[..<end], as: UTF8.self).split(separator: " ")
        guard words.count == 4, words[0] == "1", let start = Int(words[1]), let count = Int(words[2]), start >= 0,
            count > 0
        else { return nil }
        self.init(start: start, count: count, identity: String(words[3]), head: Array(octets[(end + 1)...]))
    }

    /// Where the file system has no such notes nothing is noted.
    func write(to file: OpenFile) { _ = Self.attribute.write(encoded, to: file.descriptor) }

    static func remove(from file: OpenFile) { _ = attribute.remove(file.descriptor) }

    enum Finding: Hashable {
        /// Nothing is to be done.
        case nothing
        /// The part that begins here is of a delivery that was cut off.
        case part(start: Int)
        /// This very delivery was done before.
        case whole
    }

    /// What an earlier delivery has left in a locked file of `size` octets.
    static func look(at file: OpenFile, size: Int, identity: String) throws(DeliveryProblem) -> Finding {
        guard let journal = attribute.read(file.descriptor).flatMap(AppendJournal.init) else { return .nothing }
        let end = journal.start + journal.count
        guard size > journal.start else { return .nothing }
        let head = journal.head.prefix(size - journal.start)
        guard !head.isEmpty, try file.octets(at: journal.start, count: head.count) == Array(head) else {
            return .nothing
        }
        if size >= end { return journal.identity == identity ? .whole : .nothing }
        return try isAlone(in: file, journal.start + head.count..<size) ? .part(start: journal.start) : .nothing
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
