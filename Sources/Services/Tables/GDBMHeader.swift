import Glibc

/// The first octets of a GDBM file, checked before the library maps it: behind the end of a truncated file a mapping ends in a
/// signal and not in an error.
enum GDBMHeader {
    /// Of `gdbm_file_header` up to `next_block`.
    private static let length = 40
    /// `GDBM_MAGIC`, `GDBM_MAGIC32`, `GDBM_MAGIC64` and their `NUMSYNC` forms, on a machine of this byte order.
    private static let magics: Set<UInt32> = [
        0x1357_9ace, 0x1357_9acd, 0x1357_9acf, 0x1357_9ad0, 0x1357_9ad1, 0x1357_9ad2,
    ]

    /// What is wrong with the open file; `nil`: nothing that can be seen here.
    static func problem(_ descriptor: Int32, _ path: String, _ info: stat) -> GDBMFailure? {
        guard info.st_mode & S_IFMT == S_IFREG else { return GDBMFailure(path, "is no file") }
        guard info.st_size > 0 else { return GDBMFailure(path, "is empty, no GDBM database") }
        var octets = [UInt8](repeating: 0, count: length)
        let count = pread(descriptor, &octets, length, 0)
        if count < 0 { return GDBMFailure(path, errno: errno, doing: "read") }
        func word(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(octets[at + $1]) << UInt32(8 * $1) } }
        func long(_ at: Int) -> UInt64 { UInt64(word(at)) | UInt64(word(at + 4)) << 32 }
        guard count >= 4, magics.contains(word(0)) else {
            return GDBMFailure(path, "is no GDBM database (wrong type of file)")
        }
        guard count == length else { return GDBMFailure(path, "is truncated: \(info.st_size) octets only") }
        // The directory of buckets lies within the file, and the file ends where the header says.
        let size = UInt64(info.st_size)
        let (directoryEnd, overflow) = long(8).addingReportingOverflow(UInt64(word(16)))
        guard !overflow, directoryEnd <= size, long(32) <= size else {
            return GDBMFailure(path, "is truncated: \(size) octets, its header says \(max(long(32), directoryEnd))")
        }
        return nil
    }
}
