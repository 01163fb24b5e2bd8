import Glibc
import Testing

/// A folder of its own for one test, removed with all that is in it.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    var template = Array("/tmp/zm-lib-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil, "mkdtemp: \(String(cString: strerror(errno)))")
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { removeTree(directory) }
    return try body(directory)
}

func write(_ text: String, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    try #require(descriptor >= 0, "open \(path): \(String(cString: strerror(errno)))")
    defer { close(descriptor) }
    let octets = Array(text.utf8)
    try #require(Glibc.write(descriptor, octets, octets.count) == octets.count)
}

private func removeTree(_ path: String) {
    guard let stream = opendir(path) else { return }
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { unlink("\(path)/\(name)") }
    }
    closedir(stream)
    rmdir(path)
}
