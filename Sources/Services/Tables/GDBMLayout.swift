import Glibc

/// Where things are in a GDBM file of a 64-bit machine (gdbm 1.9 to 1.23, `gdbmdefs.h`), over its mapped octets. Every offset and
/// length comes from the file and is checked before it is followed.
///
/// The library is not used for reading: it copies buckets into memory of its own (2.5 times the time for a key), and how far it follows
/// a damaged file is not ours to bound.
struct GDBMLayout {
    /// `gdbm_file_header` up to `next_block`.
    static let headerLength = 40
    /// `hash_bucket` up to `h_table`, and one `bucket_element`.
    private static let bucketHead = 112
    private static let elementLength = 24
    /// `GDBM_MAGIC64`, and `GDBM_OMAGIC`, which older versions wrote.
    private static let magics: Set<UInt32> = [0x1357_9acf, 0x1357_9ace]
    /// The same with other words or extensions: `GDBM_MAGIC32`, the numsync forms; and all of them from the other end.
    private static let foreign: Set<UInt32> = [
        0x1357_9acd, 0x1357_9ad0, 0x1357_9ad1, 0xcf9a_5713, 0xce9a_5713, 0xcd9a_5713,
    ]

    struct Damage: Error { let reason: String }

    private let octets: UnsafeRawBufferPointer
    private let directory: Int
    private let directoryBits: Int
    private let bucketSize: Int
    private let elements: Int

    /// The number of octets that the file must have.
    let size: Int

    /// - Parameter octets: of the file; at least ``headerLength``.
    init(_ octets: UnsafeRawBufferPointer) throws(Damage) {
        func word(_ at: Int) -> Int { Int(octets.loadUnaligned(fromByteOffset: at, as: Int32.self)) }
        func long(_ at: Int) -> Int { octets.loadUnaligned(fromByteOffset: at, as: Int.self) }
        guard octets.count >= 4 else { throw Damage(reason: "is no GDBM database (wrong type of file)") }
        let magic = octets.loadUnaligned(fromByteOffset: 0, as: UInt32.self)
        guard Self.magics.contains(magic) else {
            throw Damage(
                reason: Self.foreign.contains(magic)
                    ? "is a GDBM database of another kind of machine" : "is no GDBM database (wrong type of file)")
        }
        guard octets.count >= Self.headerLength else {
            throw Damage(reason: "is truncated: \(octets.count) octets only")
        }
        self.octets = octets
        directory = long(8)
        directoryBits = word(20)
        bucketSize = word(24)
        elements = word(28)
        size = long(32)
        guard (0...31).contains(directoryBits), word(16) >= 8 << directoryBits, directory >= Self.headerLength,
            elements > 0, bucketSize >= Self.bucketHead, (bucketSize - Self.bucketHead) / Self.elementLength >= elements
        else { throw Damage(reason: "is damaged: its header makes no sense") }
        guard size >= Self.headerLength else { throw Damage(reason: "is damaged: its header makes no sense") }
        guard size <= octets.count else {
            throw Damage(reason: "is truncated: \(octets.count) octets, its header says \(size)")
        }
        guard size - directory >= 8 << directoryBits else {
            throw Damage(reason: "is damaged: its directory is not within the file")
        }
    }

    /// `_gdbm_hash`. The library adds octets as `char`, whose sign is the machine's.
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
        var value = 0x238f_13af &* UInt32(truncatingIfNeeded: key.count)
        var shift: UInt32 = 0
        for octet in key {
            let signed = Int32(truncatingIfNeeded: CChar(truncatingIfNeeded: octet))
            value = (value &+ UInt32(bitPattern: signed &<< shift)) & 0x7fff_ffff
            shift = (shift + 5) % 24
        }
        return (1_103_515_243 &* value &+ 12345) & 0x7fff_ffff
    }

    /// The octets behind a key; `nil`: it is not there.
    func value(_ key: UnsafeRawBufferPointer) throws(Damage) -> UnsafeRawBufferPointer? {
        let hash = Self.hash(key)
        let bucket = try bucket(Int(hash >> UInt32(31 - directoryBits)))
        let count = bucket.loadUnaligned(fromByteOffset: 108, as: Int32.self)
        var index = Int(hash) % elements
        var looked = 0
        while looked < min(Int(count), elements) {
            let element = Element(bucket, Self.bucketHead + index * Self.elementLength)
            if element.hash == -1 { return nil }
            if element.hash == Int32(bitPattern: hash), Int(element.keyLength) == key.count {
                let found = try content(element)
                if Self.equal(found.key, key) { return found.value }
            }
            index = (index + 1) % elements
            looked += 1
        }
        return nil
    }

    private static func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard let one = left.baseAddress, let other = right.baseAddress else { return left.count == right.count }
        return left.count == right.count && memcmp(one, other, left.count) == 0
    }

    /// All keys and values.
    func forEach<E: Error>(
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(E) -> Void
    ) throws(E) -> Damage? {
        var last = -1
        for number in 0..<(1 << directoryBits) {
            // Several entries of the directory in a row lead to a bucket that is not split as far.
            let offset = octets.loadUnaligned(fromByteOffset: directory + 8 * number, as: Int.self)
            if offset == last { continue }
            last = offset
            for index in 0..<elements {
                let found: (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)
                do throws(Damage) {
                    let element = Element(try bucket(number), Self.bucketHead + index * Self.elementLength)
                    if element.hash == -1 { continue }
                    found = try content(element)
                } catch {
                    return error
                }
                try body(found.key, found.value)
            }
        }
        return nil
    }

    private struct Element {
        let hash: Int32
        let offset: Int
        let keyLength: Int32
        let valueLength: Int32

        init(_ bucket: UnsafeRawBufferPointer, _ at: Int) {
            hash = bucket.loadUnaligned(fromByteOffset: at, as: Int32.self)
            offset = bucket.loadUnaligned(fromByteOffset: at + 8, as: Int.self)
            keyLength = bucket.loadUnaligned(fromByteOffset: at + 16, as: Int32.self)
            valueLength = bucket.loadUnaligned(fromByteOffset: at + 20, as: Int32.self)
        }
    }

    private func bucket(_ number: Int) throws(Damage) -> UnsafeRawBufferPointer {
        let offset = octets.loadUnaligned(fromByteOffset: directory + 8 * number, as: Int.self)
        return try part(offset, bucketSize)
    }

    private func content(
        _ element: Element
    ) throws(Damage) -> (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        guard element.keyLength >= 0, element.valueLength >= 0 else { throw Self.lost }
        let keyLength = Int(element.keyLength)
        let all = try part(element.offset, keyLength + Int(element.valueLength))
        return (
            UnsafeRawBufferPointer(rebasing: all[..<keyLength]), UnsafeRawBufferPointer(rebasing: all[keyLength...])
        )
    }

    private func part(_ offset: Int, _ count: Int) throws(Damage) -> UnsafeRawBufferPointer {
        guard offset >= Self.headerLength, offset <= size, count <= size - offset else { throw Self.lost }
        return UnsafeRawBufferPointer(rebasing: octets[offset..<(offset + count)])
    }

    private static let lost = Damage(reason: "is damaged: a part of it is said to be where the file is not")
}
