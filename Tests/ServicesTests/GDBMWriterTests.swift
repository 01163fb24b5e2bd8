import Glibc
import Testing

@testable import Tables

/// Files of GDBM where the file system has no files without names (O_TMPFILE), as NFS has none.
@Suite final class GDBMWriterTests {
    private let folder: String
    private var path: String { "\(folder)/.vacation.db" }

    init() throws {
        var template = Array("/tmp/zmg-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in names { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    private var names: [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private func writer(_ code: Int32) throws -> GDBMWriter {
        try GDBMWriter(path: path, mode: 0o600) { _, _ in
            errno = code
            return -1
        }
    }

    @Test("a file with a name of its own until it is complete", arguments: [EOPNOTSUPP, EISDIR, ENOENT])
    func named(code: Int32) throws {
        for value in ["old", "new"] {
            let writer = try writer(code)
            #expect(try writer.insert(Array("key".utf8), Array(value.utf8)))
            #expect(names.count == (value == "old" ? 1 : 2) && names.contains { $0.hasPrefix(".vacation.db-") })
            try writer.commit()
            #expect(names == [".vacation.db"])
            #expect(try GDBMReader(path: path).octets(for: Array("key".utf8)) == Array(value.utf8))
        }
        var info = stat()
        #expect(stat(path, &info) == 0 && info.st_mode & 0o7777 == 0o600)
    }

    @Test("whoever gives up leaves nothing, and other failures are told as they are")
    func abandoned() throws {
        do { _ = try writer(EOPNOTSUPP).insert([1], [2]) }
        #expect(names.isEmpty)
        let failure = #expect(throws: GDBMFailure.self) { _ = try self.writer(EDQUOT) }
        #expect(failure?.code == EDQUOT && names.isEmpty)
    }
}
