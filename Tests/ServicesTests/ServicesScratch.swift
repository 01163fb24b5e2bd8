import CPosix
import Glibc
import Testing

/// A folder of its own for each test, removed with all that is in it.
final class ScratchFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/zm-services-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        guard info.st_mode & S_IFMT == S_IFDIR, let stream = opendir(path) else {
            unlink(path)
            return
        }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        closedir(stream)
        for name in names where name != "." && name != ".." { remove("\(path)/\(name)") }
        rmdir(path)
    }

    func write(_ name: String, _ text: String, mode: mode_t = 0o600) throws {
        let fd = cposix_open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode)
        try #require(fd >= 0)
        defer { close(fd) }
        let octets = Array(text.utf8)
        try #require(Glibc.write(fd, octets, octets.count) == octets.count)
    }

    func read(_ name: String) -> String? {
        let fd = cposix_open("\(path)/\(name)", O_RDONLY, 0)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        return readAll(fd)
    }
}

/// Everything until the end of the file.
func readAll(_ fd: Int32) -> String {
    var octets: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(fd, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return String(decoding: octets, as: UTF8.self) }
        octets += buffer[0..<count]
    }
}

/// Calls `body` on this many threads at once and returns when all have ended.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    final class Job: Sendable {
        let index: Int
        let body: @Sendable (Int) -> Void
        init(index: Int, body: @escaping @Sendable (Int) -> Void) {
            self.index = index
            self.body = body
        }
    }
    var threads: [pthread_t] = []
    for index in 0..<count {
        var thread = pthread_t()
        let job = Unmanaged.passRetained(Job(index: index, body: body))
        let code = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                let job = Unmanaged<Job>.fromOpaque(raw).takeRetainedValue()
                job.body(job.index)
                return nil
            }, job.toOpaque())
        guard code == 0 else {
            job.release()
            Issue.record("no thread: \(code)")
            continue
        }
        threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
}

/// Whether `condition` becomes true within ten seconds.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = cposix_monotonic_milliseconds() + 10_000
    while true {
        if try condition() { return true }
        if cposix_monotonic_milliseconds() > deadline { return false }
        usleep(2000)
    }
}
