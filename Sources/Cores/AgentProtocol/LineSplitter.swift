/// Cuts a stream of octets into lines, the same however it is split. Lines end in LF; a CR before it stays.
public struct LineSplitter: Sendable {
    /// Octets; a longer line is cut there and its rest discarded.
    public let maximumLineLength: Int
    private var partial: [UInt8] = []
    private var isDiscarding = false

    public init(maximumLineLength: Int = 65536) { self.maximumLineLength = maximumLineLength }

    /// Calls `body` with each complete line, without its LF.
    public mutating func append(_ octets: UnsafeRawBufferPointer, _ body: (String) -> Void) {
        var rest = octets[...]
        while let newline = rest.firstIndex(of: 0x0a) {
            finish(rest[rest.startIndex..<newline], body)
            rest = rest[(newline + 1)...]
        }
        keep(rest)
    }

    private mutating func finish(_ octets: Slice<UnsafeRawBufferPointer>, _ body: (String) -> Void) {
        if isDiscarding {
            isDiscarding = false
        } else {
            keep(octets)
            isDiscarding = false
        }
        body(String(decoding: partial, as: UTF8.self))
        partial.removeAll(keepingCapacity: true)
    }

    private mutating func keep(_ octets: Slice<UnsafeRawBufferPointer>) {
        guard !isDiscarding else { return }
        let room = maximumLineLength - partial.count
        partial.append(contentsOf: octets.prefix(room))
        if octets.count > room { isDiscarding = true }
    }
}
