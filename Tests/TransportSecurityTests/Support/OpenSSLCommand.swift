import Glibc
import Testing

/// Runs openssl(1); fails the test with its words if it does not end with 0.
func openssl(_ arguments: String..., in folder: String) throws { try openssl(arguments, in: folder) }

func openssl(_ arguments: [String], in folder: String) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let log = "\(folder)/openssl-\(arguments.hashValue).log"
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    let words = (["env", "-C", folder, "openssl"] + arguments).map { strdup($0) }
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    let code = posix_spawnp(&pid, "env", &actions, nil, words + [nil], environ)
    try #require(code == 0, "openssl: \(String(cString: strerror(code)))")
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    let complaint = status == 0 ? "" : String(decoding: (try? octets(of: log)) ?? [], as: UTF8.self)
    unlink(log)
    try #require(status == 0, "openssl \(arguments.joined(separator: " ")): \(complaint)")
}

func octets(of path: String) throws -> [UInt8] {
    let stream = try #require(fopen(path, "r"), "\(path): \(String(cString: strerror(errno)))")
    defer { fclose(stream) }
    var octets: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&buffer, 1, buffer.count, stream)
        if count == 0 { return octets }
        octets += buffer[..<count]
    }
}

func write(_ octets: [UInt8], to path: String, mode: mode_t = 0o600) throws {
    unlink(path)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
    try #require(descriptor >= 0, "open \(path): \(String(cString: strerror(errno)))")
    defer { close(descriptor) }
    // The mode that the test asks for, whatever the umask is.
    fchmod(descriptor, mode)
    try #require(octets.isEmpty || Glibc.write(descriptor, octets, octets.count) == octets.count)
}

func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

/// A folder of its own for one test, removed with the files in it.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    var template = Array("/tmp/zm-tls-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil, "mkdtemp: \(String(cString: strerror(errno)))")
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { removeTree(folder) }
    return try body(folder)
}

private func removeTree(_ path: String) {
    guard let stream = opendir(path) else { return }
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        guard name != ".", name != ".." else { continue }
        if unlink("\(path)/\(name)") != 0 { removeTree("\(path)/\(name)") }
    }
    closedir(stream)
    rmdir(path)
}
