import Glibc
import Telemetry
import Testing

/// A folder of its own, removed at the end with all that is in it.
final class Scratch {
    let path: String
    let log: EventLog

    init() throws {
        var template = Array("/tmp/policy-engine-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? "/nonexistent"
        }
        log = try EventLog(program: "test", destination: .file("\(path)/log"), level: .debug)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        for name in names(path) {
            let entry = "\(path)/\(name)"
            var info = stat()
            if lstat(entry, &info) == 0, info.st_mode & S_IFMT == S_IFDIR { remove(entry) } else { unlink(entry) }
        }
        rmdir(path)
    }

    static func names(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func write(_ text: String, to name: String) {
        let file = "\(path)/\(name)"
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        #expect(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
    }

    func text(_ name: String) -> String {
        let descriptor = open("\(path)/\(name)", O_RDONLY)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return String(decoding: octets, as: UTF8.self) }
            octets += buffer[..<count]
        }
    }

    var logText: String { text("log") }

    func logLines(_ event: String) -> [Substring] {
        logText.split(separator: "\n").filter { $0.contains(" \(event)") }
    }
}
