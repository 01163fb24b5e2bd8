import Glibc

/// Writes to a file on a file system that may be slow, so that its progress can be seen: what is written would stand in memory, and
/// all of a large message come to the disk in one call to fsync(2), which may take longer than anybody waits.
struct SteadyWriter {
    let file: OpenFile
    let passage: Passage
    private var count = 0

    /// Octets written between two synchronizations.
    static let stretch = 4 << 20

    init(_ file: OpenFile, _ passage: Passage) {
        self.file = file
        self.passage = passage
    }

    mutating func write(_ octets: UnsafeRawBufferPointer) throws(DeliveryProblem) {
        try file.write(octets)
        passage.advance()
        count += octets.count
        guard count >= Self.stretch else { return }
        count = 0
        try file.synchronizeData()
        passage.advance()
    }

    /// All of it is on stable storage afterwards.
    func finish() throws(DeliveryProblem) {
        passage.advance()
        try file.synchronize()
        passage.advance()
    }
}
