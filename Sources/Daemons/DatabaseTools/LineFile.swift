import Glibc

/// The lines of a file or of standard input, in large portions.
struct LineFile: ~Copyable {
    struct Failure: Error { let description: String }

    /// Octets of a line at most: no source has such.
    static let maximumLine = 1 << 20
    private static let portion = 1 << 20

    let name: String
    private let descriptor: Int32

    /// `-` is standard input.
    init(_ path: String) throws(Failure) {
        name = path == "-" ? "standard input" : path
        descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(description: "\(path): \(String(cString: strerror(errno)))") }
        var info = stat()
        if fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFDIR {
            throw Failure(description: "\(path): \(String(cString: strerror(EISDIR)))")
        }
    }

    deinit {
        if descriptor > 0 { close(descriptor) }
    }

    /// Each line without its LF; the last need not have one. A byte order mark in front of the first is left out.
    func forEach<E: Error>(_ body: (ArraySlice<UInt8>) throws(E) -> Void) throws(E) -> Failure? {
        var rest: [UInt8] = []
        var isFirst = true
        var lines = 0
        while true {
            let (octets, failure) = next(behind: rest)
            if let failure { return failure }
            guard octets.count > rest.count else { break }
            // Fewer than three octets are no portion of a file, and nothing is lost if one of a pipe is.
            var start = isFirst && octets.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
            isFirst = false
            while let end = Self.newline(octets, from: start) {
                try body(octets[start..<end])
                start = end + 1
                lines += 1
            }
            rest = Array(octets[start...])
            if rest.count > Self.maximumLine {
                return Failure(description: "\(name):\(lines + 1): the line is longer than \(Self.maximumLine) octets")
            }
        }
        if !rest.isEmpty { try body(rest[...]) }
        return nil
    }

    private func next(behind rest: [UInt8]) -> ([UInt8], Failure?) {
        var problem: Failure?
        let octets = [UInt8](unsafeUninitializedCapacity: rest.count + Self.portion) { buffer, count in
            count = buffer.update(fromContentsOf: rest)
            while true {
                let got = read(descriptor, buffer.baseAddress?.advanced(by: count), Self.portion)
                if got < 0 {
                    if errno == EINTR { continue }
                    problem = Failure(description: "\(name): \(String(cString: strerror(errno)))")
                } else {
                    count += got
                }
                return
            }
        }
        return (octets, problem)
    }

    private static func newline(_ octets: [UInt8], from start: Int) -> Int? {
        octets.withUnsafeBytes { buffer in
            guard start < buffer.count, let base = buffer.baseAddress,
                let found = memchr(base + start, 0x0a, buffer.count - start)
            else { return nil }
            return UnsafeRawPointer(found) - base
        }
    }
}
