/// Directories between that of the mailboxes and a mailbox, made from its name: so that no directory gets too large.
struct DirectoryHashing: Hashable, Sendable {
    /// `-D`: one for each of so many first letters of the name, as far as it has them.
    var letters = 0
    /// `-P`: so many digits of the PJW hash.
    var pjw = 0
    /// `-X`: so many digits of the CRC-32.
    var crc = 0

    /// Each kind at most.
    static let maximum = 10

    func path(_ path: String) -> String {
        guard letters + pjw + crc > 0, let slash = path.lastIndex(of: "/") else { return path }
        let name = path[path.index(after: slash)...]
        var directories = name.prefix(letters).map(String.init)
        directories += Self.digits(NameHash.pjw(String(name)), pjw)
        directories += Self.digits(NameHash.crc(String(name)), crc)
        return (["\(path[..<slash])"] + directories + ["\(name)"]).joined(separator: "/")
    }

    /// The least digit last.
    private static func digits(_ hash: UInt32, _ count: Int) -> [String] {
        var rest = hash
        return (0..<count).map { _ in NameHash.nextLetter(&rest) }.reversed()
    }
}

/// Hashes of names as digits `A` to `Z`.
enum NameHash {
    /// Peter J. Weinberger's, 32 bits.
    static func pjw(_ name: String) -> UInt32 {
        var hash: UInt32 = 0
        for octet in name.utf8 {
            hash = hash << 4 &+ UInt32(octet)
            let high = hash & 0xf000_0000
            if high != 0 { hash = hash ^ high >> 24 ^ high }
        }
        return hash
    }

    /// CRC-32 as in Ethernet and zip (polynomial 0xedb88320, reflected).
    static func crc(_ name: String) -> UInt32 {
        var hash: UInt32 = 0xffff_ffff
        for octet in name.utf8 {
            hash ^= UInt32(octet)
            for _ in 0..<8 { hash = hash & 1 == 0 ? hash >> 1 : hash >> 1 ^ 0xedb8_8320 }
        }
        return ~hash
    }

    /// The lowest digit, which is taken off.
    static func nextLetter(_ hash: inout UInt32) -> String {
        defer { hash /= 26 }
        return String(UnicodeScalar(UInt8(65 + hash % 26)))
    }
}
