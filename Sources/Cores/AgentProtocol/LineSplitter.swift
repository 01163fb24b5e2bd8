/// Cuts a stream of octets into lines, the same however it is split. Lines end in LF; a CR before it stays.
public struct LineSplitter: Sendable {
    /// Octets; a longer line is cut there and its rest discarded.
    public let maximumLineLength: Int
    private var partial: [UInt8] = []
    private var isDiscarding = false

    public init(maximumLineLength: Int = 65536) { self.maximumLineLength = maximumLineLength }

    /// Calls `body` with each complete line, without its LF.
    public mutating func append(_ octets: UnsafeRawBufferPointer, _ body: (String) -> Void) {
        var start = 0
        for index in 0..<octets.count where octets[index] == 0x0a {
            finish(UnsafeRawBufferPointer(rebasing: octets[start..<index]), body)
            start = index + 1
        }
        keep(UnsafeRawBufferPointer(rebasing: octets[start...]))
    }

    private mutating func finish(_ octets: UnsafeRawBufferPointer, _ body: (String) -> Void) {
        if partial.isEmpty, !isDiscarding {
            body(String(decoding: octets.prefix(maximumLineLength), as: UTF8.self))
            return
        }
        keep(octets)
        isDiscarding = false
        let line = String(decoding: partial, as: UTF8.self)
        partial.removeAll(keepingCapacity: partial.capacity <= 65536)
        body(line)
    }

    private mutating func keep(_ octets: UnsafeRawBufferPointer) {
        guard !isDiscarding else { return }
        let room = maximumLineLength - partial.count
        partial.append(contentsOf: octets.prefix(room))
        if octets.count > room { isDiscarding = true }
    }
}
