import Glibc
import MailModel
import SpoolFormat

/// The content of a message: header section, empty line and body. It stays in its file and is read in parts, by any thread.
public final class FilterContent: Sendable {
    private let descriptor: Int32
    private let path: String
    private let start: Int
    /// Octets.
    public let count: Int
    /// How its lines end: those of smtpserver's files in CRLF.
    public let format: MessageEnvelope.LineFormat

    /// Takes over the descriptor.
    init(descriptor: Int32, path: String, start: Int, count: Int, format: MessageEnvelope.LineFormat) {
        self.descriptor = descriptor
        self.path = path
        self.start = start
        self.count = count
        self.format = format
    }

    deinit { close(descriptor) }

    /// Fills `buffer` with the octets from `offset` (0 is the first one of the header); fewer only at the end.
    public func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(FilterFileError) -> Int {
        let room = max(0, min(buffer.count, count - offset))
        return try SpoolFile.read(
            descriptor, path, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<room]), at: start + offset)
    }

    /// At most `maximum` octets from `offset`; fewer only at the end, none behind it.
    public func octets(from offset: Int, maximum: Int) throws(FilterFileError) -> [UInt8] {
        var failure: FilterFileError?
        let octets = [UInt8](unsafeUninitializedCapacity: max(0, min(maximum, count - offset))) { buffer, count in
            do throws(FilterFileError) {
                count = try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return octets
    }

    /// The header section, its ``MailModel/HeaderSection/bodyStart`` being the offset of the body; `nil` if it is larger than
    /// `limit` octets.
    public func header(limit: Int = 1 << 20) throws(FilterFileError) -> HeaderSection? {
        var size = 16 << 10
        while true {
            var octets = try octets(from: 0, maximum: min(size, limit))
            let isAll = octets.count == count
            // Half a line may look like the end of the header.
            while !isAll, let last = octets.last, last != 0x0a { octets.removeLast() }
            let section = HeaderSection(octets)
            if isAll || section.end < octets.count { return section }
            guard size < limit else { return nil }
            size *= 4
        }
    }
}

enum SpoolFile {
    static func open(_ path: String) throws(FilterFileError) -> (descriptor: Int32, size: Int) {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(call: "open", path: path, code: errno) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            let code = errno
            close(descriptor)
            throw .system(call: "stat", path: path, code: code)
        }
        guard information.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw .notRegular(path)
        }
        return (descriptor, Int(information.st_size))
    }

    static func read(
        _ descriptor: Int32, _ path: String, into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(FilterFileError) -> Int {
        var count = 0
        while count < buffer.count {
            let got = pread(
                descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count, off_t(offset + count))
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .system(call: "read", path: path, code: errno) }
            if got == 0 { break }
            count += got
        }
        return count
    }
}
