/// A fuzzer's input: its first two octets choose how the rest is split, and the variant of the test.
public struct Input {
    public let variant: UInt8
    public let octets: [UInt8]
    private var seed: UInt32

    public init?(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        guard let start, count >= 2 else { return nil }
        variant = start[0]
        seed = UInt32(start[1]) &* 2_654_435_761 | 1
        octets = Array(UnsafeBufferPointer(start: start + 2, count: count - 2))
    }

    /// The octets in pieces of 0 to 15, or all of one length when the seed says so.
    public var pieces: [[UInt8]] {
        var pieces: [[UInt8]] = []
        var state = seed
        var index = 0
        while index < octets.count {
            state = state &* 1_664_525 &+ 1_013_904_223
            let length = seed & 0x100 == 0 ? 1 : Int(state >> 28)
            let end = min(index + length, octets.count)
            pieces.append(Array(octets[index..<end]))
            index = end
        }
        return pieces
    }
}

/// Calls `body` with ever shorter rests of `octets`; it returns how many it consumed and whether to go on.
@discardableResult
public func drain(_ octets: [UInt8], _ body: (UnsafeRawBufferPointer) -> (consumed: Int, goesOn: Bool)) -> Int {
    var used = 0
    octets.withUnsafeBytes { all in
        while true {
            let (consumed, goesOn) = body(UnsafeRawBufferPointer(rebasing: all[used...]))
            used += consumed
            if !goesOn { return }
        }
    }
    return used
}
