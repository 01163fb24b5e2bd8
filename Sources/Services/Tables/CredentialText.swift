import CPosix
import Glibc

/// The lines of a table of credentials, read in portions: the whole of a large one is not needed for one user.
struct CredentialText: ~Copyable {
    /// Octets; no line may be longer.
    private static let portion = 1 << 18

    private let path: String
    private let descriptor: Int32

    /// Opens the file if owner and mode are right.
    init(_ path: String) throws(TableTrouble) {
        // Not waiting: a FIFO of that name would never open.
        let descriptor = cposix_open(path, O_RDONLY | O_NONBLOCK, 0)
        guard descriptor >= 0 else { throw TableTrouble("\(path): \(String(cString: strerror(errno)))") }
        var information = stat()
        let problem =
            fstat(descriptor, &information) == 0
            ? CredentialTable.problem(information) : String(cString: strerror(errno))
        if problem == nil, information.st_size <= CredentialTable.maximumSize {
            self.path = path
            self.descriptor = descriptor
            return
        }
        close(descriptor)
        throw TableTrouble("\(path): \(problem ?? "is larger than \(CredentialTable.maximumSize) octets")")
    }

    deinit { close(descriptor) }

    /// Each line without its end, with its number from 1. A byte order mark in front is left out.
    func forEach(_ body: (Int, UnsafeRawBufferPointer) -> Void) throws(TableTrouble) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.portion, alignment: 16)
        defer { buffer.deallocate() }
        var filled = 0
        var number = 0
        while true {
            let count = read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            if count < 0 {
                if errno == EINTR { continue }
                throw TableTrouble("\(path): \(String(cString: strerror(errno)))")
            }
            filled += count
            var start = 0
            while let end = Self.newline(buffer, start, filled) {
                number += 1
                body(number, Self.line(buffer, start, end, isFirst: number == 1))
                start = end + 1
            }
            if count == 0 {
                if start < filled { body(number + 1, Self.line(buffer, start, filled, isFirst: number == 0)) }
                return
            }
            guard start > 0 || filled < buffer.count else {
                throw TableTrouble("\(path):\(number + 1): the line is longer than \(Self.portion) octets")
            }
            buffer.copyBytes(from: buffer[start..<filled])
            filled -= start
        }
    }

    private static func line(
        _ buffer: UnsafeMutableRawBufferPointer, _ start: Int, _ end: Int, isFirst: Bool
    ) -> UnsafeRawBufferPointer {
        let line = UnsafeRawBufferPointer(rebasing: buffer[start..<end])
        return isFirst && line.starts(with: [0xef, 0xbb, 0xbf]) ? UnsafeRawBufferPointer(rebasing: line[3...]) : line
    }

    private static func newline(_ buffer: UnsafeMutableRawBufferPointer, _ start: Int, _ end: Int) -> Int? {
        guard start < end, let base = buffer.baseAddress, let found = memchr(base + start, 0x0a, end - start) else {
            return nil
        }
        return UnsafeRawPointer(found) - UnsafeRawPointer(base)
    }
}
