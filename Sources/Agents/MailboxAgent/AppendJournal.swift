import Glibc
import MailModel
import ProgramKit
import SpoolFormat

/// A note that goes with a mailbox file (an extended attribute): which deliveries into it are done, and which is at work. Whoever
/// appends next knows by it what a delivery that was cut off has left: a part, which is taken away again, or the whole, which need
/// not come a second time.
///
/// That it is done is noted before it is reported, but not synchronized, which would double the cost of a delivery: after a power
/// cut the note may be the one from before the append, of a message that was reported and that its reader has changed since. So
/// nothing is cut off but octets that are known as ours and as not reported: they begin as noted, at the noted place, no other
/// message begins behind them, and the machine is still up, or nobody has written to the file since it went down.
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
        /// Of all of it; `nil` in a note of an older version, which has no time and no system either.
        let checksum: Checksum?
        /// The first octets of it, at most ``AppendJournal/maximumHead``.
        let head: [UInt8]
        /// When it began, seconds since 1970.
        let time: Int
        /// ``SystemStart/id`` of the machine.
        let system: String
    }

    static let maximumHead = 512
    /// Deliveries whose agents may have been killed before they could say so.
    private static let maximumDone = 16
    /// Octets.
    private static let maximumIdentity = 64
    private static let attribute = FileAttribute("zmailer.append")

    /// `1 done done …` LF, `identity start count checksum time system` LF, head. Older: `identity start count` LF, head.
    var encoded: [UInt8] {
        var octets = Array((["1"] + done).joined(separator: " ").utf8) + [0x0a]
        if let open {
            var values = "\(open.identity) \(open.start) \(open.count)"
            if let checksum = open.checksum { values += " \(checksum.text) \(open.time) \(open.system)" }
            octets += Array("\(values)\n".utf8) + open.head.prefix(Self.maximumHead)
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
        let values = String(decoding: parts[1], as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard values.count == 3 || values.count == 6, let start = Int(values[1]), let count = Int(values[2]),
            start >= 0, count > 0, !start.addingReportingOverflow(count).overflow
        else { return nil }
        guard values.count == 6 else {
            open = Append(
                identity: String(values[0]), start: start, count: count, checksum: nil, head: Array(parts[2]), time: 0,
                system: "")
            return
        }
        guard let checksum = UInt32(values[3], radix: 16), let time = Int(values[4]) else { return nil }
        open = Append(
            identity: String(values[0]), start: start, count: count, checksum: Checksum(value: checksum),
            head: Array(parts[2]), time: time, system: String(values[5]))
    }

    static func read(from file: OpenFile) -> AppendJournal {
        attribute.read(file.descriptor).flatMap(AppendJournal.init) ?? AppendJournal()
    }

    /// Where the file system has no such notes, or no room for one, none is left. `false`: an older one is still there.
    func write(to file: OpenFile) -> Bool {
        if Self.attribute.write(encoded, to: file.descriptor) == 0 { return true }
        return Self.attribute.remove(from: file.descriptor) == 0 || Self.attribute.read(file.descriptor) == nil
    }

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

    /// What the append at work has left in a locked file, of which `information` was read under the lock.
    func finding(
        in file: OpenFile, _ information: stat, now system: SystemStart, _ passage: Passage = Passage()
    ) throws(DeliveryProblem) -> Finding {
        let size = Int(information.st_size)
        guard let open, size > open.start else { return .nothing }
        let end = open.start + open.count
        guard let checksum = open.checksum else { return try olderFinding(open, in: file, size, passage) }
        if size >= end, try Self.checksum(of: file, open.start..<end, passage) == checksum { return .whole }
        guard system.id == open.system && !system.id.isEmpty || Self.isUntouched(information, since: open.time, system)
        else { return .nothing }
        let head = try file.octets(at: open.start, count: min(open.head.count, size - open.start))
        // What was allocated and not written when the machine went down is zero.
        guard !head.isEmpty, zip(head, open.head).allSatisfy({ $0 == $1 || $0 == 0 }) else { return .nothing }
        let rest = open.start + head.count..<size
        return try Self.isAlone(in: file, rest, passage) ? .part(start: open.start) : .nothing
    }

    /// By a note without a checksum: what begins as noted is ours, as far as no other message begins in it.
    private func olderFinding(
        _ open: Append, in file: OpenFile, _ size: Int, _ passage: Passage
    ) throws(DeliveryProblem) -> Finding {
        let head = Array(open.head.prefix(size - open.start))
        let end = open.start + open.count
        guard !head.isEmpty, head.count <= open.count, try file.octets(at: open.start, count: head.count) == head,
            try Self.isAlone(in: file, open.start + head.count..<min(size, end), passage)
        else { return .nothing }
        return size >= end ? .whole : .part(start: open.start)
    }

    /// Whether the last to write to the file did it after `time`, and before the machine was started.
    private static func isUntouched(_ information: stat, since time: Int, _ system: SystemStart) -> Bool {
        // Times of files are those of the last tick of the clock.
        (time - 1..<max(time - 1, system.time)).contains(information.st_mtim.tv_sec)
    }

    private static func checksum(
        of file: OpenFile, _ range: Range<Int>, _ passage: Passage
    ) throws(DeliveryProblem) -> Checksum {
        var checksum = Checksum()
        var offset = range.lowerBound
        while offset < range.upperBound {
            let octets = try file.octets(at: offset, count: min(LocalCopy.pieceSize, range.upperBound - offset))
            if octets.isEmpty { break }
            passage.advance()
            checksum.update(octets)
            offset += octets.count
        }
        return checksum
    }

    /// With which a message begins, in either format.
    private static let beginnings = ["From ", "\u{1}\u{1}\u{1}\u{1}"].map { Array($0.utf8) }

    /// Whether no message begins in a range.
    private static func isAlone(
        in file: OpenFile, _ range: Range<Int>, _ passage: Passage
    ) throws(DeliveryProblem) -> Bool {
        // One octet in front: the line end that a separator would follow.
        var offset = range.lowerBound - 1
        while offset < range.upperBound {
            let octets = try file.octets(at: offset, count: min(LocalCopy.pieceSize, range.upperBound - offset))
            if octets.isEmpty { return true }
            passage.advance()
            if octets.withUnsafeBytes({ Octets.lineEnd(before: beginnings, in: $0) }) != nil { return false }
            // The next piece sees the end of this one again: a separator may lie across.
            offset += max(1, octets.count == LocalCopy.pieceSize ? octets.count - 8 : octets.count)
        }
        return true
    }
}
