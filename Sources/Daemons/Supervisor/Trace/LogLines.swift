import ChildProcesses
import Glibc

/// Reads the lines of a file of any size in little memory.
struct LogLines {
    struct Failure: Error, CustomStringConvertible {
        let path: String
        let reason: String
        var description: String { "\(path): \(reason)" }
    }

    /// Octets; what is longer is cut there.
    static let maximumLine = 65536
    private static let chunk = 1 << 20

    /// How many octets of the source may be read; of a file that is not compressed these are its last ones.
    let limit: Int

    /// Calls `body` with each line, without its LF, and where in the text it begins. Returns the octets that were read, and whether
    /// that was everything.
    func read(
        _ source: LogSource, _ body: (_ line: UnsafeRawBufferPointer, _ offset: Int) -> Void
    ) throws(Failure) -> (octets: Int, isComplete: Bool) {
        source.isCompressed ? try readCompressed(source.path, body) : try readPlain(source, body)
    }

    private func readPlain(
        _ source: LogSource, _ body: (UnsafeRawBufferPointer, Int) -> Void
    ) throws(Failure) -> (octets: Int, isComplete: Bool) {
        // LOGDIR may be somebody else's: a pipe would keep us waiting.
        let descriptor = open(source.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Failure(path: source.path, reason: String(cString: strerror(errno))) }
        defer { close(descriptor) }
        let start = max(0, source.size - limit)
        if start > 0 { lseek(descriptor, off_t(start), SEEK_SET) }
        let octets = try feed(descriptor, source.path, offset: start, isCut: start > 0, body)
        return (octets, start == 0)
    }

    private func readCompressed(
        _ path: String, _ body: (UnsafeRawBufferPointer, Int) -> Void
    ) throws(Failure) -> (octets: Int, isComplete: Bool) {
        let candidates = ["/bin/gzip", "/usr/bin/gzip", "/usr/local/bin/gzip"]
        guard let program = candidates.first(where: { access($0, X_OK) == 0 }) else {
            throw Failure(path: path, reason: "there is no gzip to read it with")
        }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure(path: path, reason: String(cString: strerror(errno))) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        let request = ChildRequest(
            path: program, arguments: ["-dc", "--", path], environment: ["PATH=/usr/bin:/bin"],
            descriptors: [null, ends[1], null])
        let child: ChildProcess
        do throws(SpawnError) {
            defer { for end in [null, ends[1]] { close(end) } }
            child = try ChildProcess.spawn(request)
        } catch {
            close(ends[0])
            throw Failure(path: path, reason: error.description)
        }
        defer {
            close(ends[0])
            // One that has not finished would wait for a reader for ever.
            child.signal(SIGKILL)
            _ = child.wait(milliseconds: 5000)
        }
        let octets = try feed(ends[0], path, offset: 0, isCut: false, body)
        if octets >= limit { return (octets, false) }
        guard child.wait(milliseconds: 5000) == .code(0) else {
            throw Failure(path: path, reason: "gzip cannot read it")
        }
        return (octets, true)
    }

    private func feed(
        _ descriptor: Int32, _ path: String, offset: Int, isCut: Bool, _ body: (UnsafeRawBufferPointer, Int) -> Void
    ) throws(Failure) -> Int {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk + Self.maximumLine, alignment: 64)
        defer { buffer.deallocate() }
        // The beginning of a line whose end has not come stays at the front; `isPassing`: its rest is passed over.
        var kept = 0
        var total = 0
        var isPassing = isCut
        while total < limit {
            let wanted = min(buffer.count - kept, limit - total)
            let count = Glibc.read(descriptor, buffer.baseAddress?.advanced(by: kept), wanted)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(path: path, reason: String(cString: strerror(errno))) }
            if count == 0 { break }
            let base = offset + total - kept
            total += count
            let octets = UnsafeRawBufferPointer(rebasing: buffer[..<(kept + count)])
            var start = 0
            while let end = Self.newline(in: octets, from: start) {
                if isPassing { isPassing = false } else { body(.init(rebasing: octets[start..<end]), base + start) }
                start = end + 1
            }
            kept = octets.count - start
            if isPassing {
                kept = 0
            } else if kept >= Self.maximumLine {
                body(.init(rebasing: octets[start..<(start + Self.maximumLine)]), base + start)
                isPassing = true
                kept = 0
            } else if kept > 0, start > 0, let front = buffer.baseAddress {
                memmove(front, front + start, kept)
            }
        }
        // The last line may not have its end yet.
        if kept > 0, !isPassing { body(UnsafeRawBufferPointer(rebasing: buffer[..<kept]), offset + total - kept) }
        return total
    }

    private static func newline(in octets: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard start < octets.count, let base = octets.baseAddress,
            let found = memchr(base + start, 0x0a, octets.count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
