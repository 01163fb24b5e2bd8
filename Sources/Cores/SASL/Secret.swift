/// Octets that nobody shall see: a password. They show in no description, and are overwritten when the last copy goes.
public struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let storage: Storage

    public init(_ octets: some Collection<UInt8>) { storage = Storage(octets) }

    /// In octets.
    public var count: Int { storage.octets.count }

    /// The octets, for as long as `body` runs; it must not keep the pointer.
    public func withOctets<Result, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Result) throws(E) -> Result {
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeRawBufferPointer(storage.octets))
    }

    /// The same time for every pair of one length.
    public static func == (left: Secret, right: Secret) -> Bool {
        left.withOctets { left in right.withOctets { equalInConstantTime(left, $0) } }
    }

    public func hash(into hasher: inout Hasher) { withOctets { hasher.combine(bytes: $0) } }

    public var description: String { "(secret)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// Overwrites octets that are not needed any more. Copies that the array has shared with others are not reached.
    public static func wipe(_ octets: inout [UInt8]) {
        octets.withUnsafeMutableBytes { overwrite($0) }
        octets.removeAll(keepingCapacity: true)
    }

    /// Written in `init` and `deinit` only, when nobody else has it: that makes it safe to share.
    private final class Storage: @unchecked Sendable {
        let octets: UnsafeMutableRawBufferPointer

        init(_ source: some Collection<UInt8>) {
            octets = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 1)
            octets.copyBytes(from: source)
        }

        deinit {
            overwrite(octets)
            octets.deallocate()
        }
    }
}

/// The same time for every pair of one length.
public func equalInConstantTime(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in 0..<left.count { difference |= left[index] ^ right[index] }
    return difference == 0
}

// Not optimized: the compiler would see that nobody reads what is freed next.
@inline(never) @_optimize(none)
private func overwrite(_ octets: UnsafeMutableRawBufferPointer) {
    for index in octets.indices { octets[index] = 0 }
}
