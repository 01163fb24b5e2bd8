import ChildProcesses
import MailModel
import NIOCore
import Synchronization

/// The last command of each event loop, where the master finds it when the worker has crashed.
///
/// A command is noted before it is looked at, so that the one that brings a worker down is there; content and what belongs to AUTH
/// is not.
final class FlightRecorder: Sendable {
    /// Octets of a loop: two of length, then text.
    static let slotSize = 512
    static let slots = 64
    static let size = slotSize * slots
    private static let maximumCommand = 100

    private let memory: SharedMemory

    init(_ memory: SharedMemory) { self.memory = memory }

    /// One loop's part. Confined to that loop.
    struct Slot {
        fileprivate let recorder: FlightRecorder
        fileprivate let octets: UnsafeMutableRawBufferPointer

        func record(_ session: SessionHandler, _ input: ByteBuffer) {
            var text: [UInt8] = []
            text.reserveCapacity(FlightRecorder.slotSize)
            text.append(contentsOf: session.sessionID.utf8)
            text.append(0x09)
            text.append(contentsOf: session.client.literal.utf8)
            text.append(0x09)
            let line = input.readableBytesView.prefix(FlightRecorder.maximumCommand).prefix { $0 != 0x0a && $0 != 0x0d }
            if FlightRecorder.isSecret(line) {
                text.append(contentsOf: "AUTH ...".utf8)
            } else {
                text.append(contentsOf: line)
            }
            let count = min(text.count, octets.count - 2)
            octets.storeBytes(of: 0, as: UInt16.self)
            octets[2...].copyBytes(from: text.prefix(count))
            octets.storeBytes(of: UInt16(count), as: UInt16.self)
        }
    }

    private static func isSecret(_ line: some Collection<UInt8>) -> Bool {
        let words = line.drop { $0 == 0x20 || $0 == 0x09 }
        return Octets.hasPrefix(Array(words.prefix(4))[...], "AUTH", anyCase: true)
    }

    /// - Parameter loop: 0 and up; loops beyond ``slots`` have none.
    func slot(_ loop: Int) -> Slot? {
        guard loop < Self.slots else { return nil }
        let start = loop * Self.slotSize
        return Slot(
            recorder: self,
            octets: UnsafeMutableRawBufferPointer(rebasing: memory.octets[start..<(start + Self.slotSize)]))
    }

    /// What is there of each loop: session, client, command.
    var entries: [(session: String, client: String, command: String)] {
        (0..<Self.slots).compactMap { index in
            let start = index * Self.slotSize
            let slot = UnsafeRawBufferPointer(rebasing: memory.octets[start..<(start + Self.slotSize)])
            let count = Int(slot.load(as: UInt16.self))
            guard (1...(Self.slotSize - 2)).contains(count) else { return nil }
            let fields = Octets.split(Array(slot[2..<(2 + count)])[...], at: 0x09, limit: 3)
            guard fields.count == 3 else { return nil }
            return (Octets.text(fields[0]), Octets.text(fields[1]), Octets.text(fields[2]))
        }
    }
}
