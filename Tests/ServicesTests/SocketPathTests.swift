import CPosix
import ChildProcesses
import Glibc
import Testing

@Suite("Unix sockets in folders with long names")
struct SocketPathTests {
    /// A folder whose path alone is longer than a socket address; its parents stay until the test ends.
    private func withLongFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/zm-long-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let base = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let middle = "\(base)/\(String(repeating: "m", count: 80))"
        let folder = "\(middle)/\(String(repeating: "n", count: 80))"
        for path in [middle, folder] { try #require(mkdir(path, 0o700) == 0) }
        defer { for path in [folder, middle, base] { rmdir(path) } }
        try body(folder)
    }

    @Test("a listener there is reached by its path, and no descriptor stays open for it")
    func reached() throws {
        try withLongFolder { folder in
            let path = "\(folder)/.policy"
            defer { unlink(path) }
            let listener = cposix_unix_listen(path, Int32(SOCK_STREAM.rawValue), 0o600, 8)
            try #require(listener >= 0, "\(String(cString: strerror(errno)))")
            defer { close(listener) }
            var info = stat()
            try #require(stat(path, &info) == 0)
            #expect(info.st_mode & 0o777 == 0o600)
            let client = cposix_unix_connect(path, Int32(SOCK_STREAM.rawValue), 1)
            #expect(client >= 0, "\(String(cString: strerror(errno)))")
            close(client)
        }
    }

    @Test("a long path gets a name that fits into an address, the same each time; a short one is left alone")
    func names() throws {
        #expect(SocketPath.reachable("/run/zmailer/.policy") == "/run/zmailer/.policy")
        try withLongFolder { folder in
            let name = SocketPath.reachable("\(folder)/.policy")
            #expect(name.hasPrefix("/proc/self/fd/"))
            #expect(name.hasSuffix("/.policy"))
            #expect(name.utf8.count < 108)
            #expect(SocketPath.reachable("\(folder)/.policy") == name)
        }
    }

    @Test("a last component that is too long, or a folder that is not there, is an error and not a truncated name")
    func errors() throws {
        try withLongFolder { folder in
            let long = "\(folder)/\(String(repeating: "x", count: 120))"
            #expect(cposix_unix_connect(long, Int32(SOCK_STREAM.rawValue), 1) == -1)
            #expect(errno == ENAMETOOLONG)
            #expect(cposix_unix_connect("\(folder)/missing/.policy", Int32(SOCK_STREAM.rawValue), 1) == -1)
            #expect(errno == ENOENT)
        }
    }
}
