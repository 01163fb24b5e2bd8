import CGDBM
import Glibc
import Testing

@Suite("GDBM")
struct GDBMTests {
    /// Calls `body` with a datum that points at `text` and is valid during the call only.
    private func withDatum<Result>(_ text: String, _ body: (datum) throws -> Result) rethrows -> Result {
        var octets = text.utf8.map { CChar(bitPattern: $0) }
        return try octets.withUnsafeMutableBufferPointer { buffer in
            try body(datum(dptr: buffer.baseAddress, dsize: Int32(buffer.count)))
        }
    }

    private func fetch(_ key: String, from file: GDBM_FILE) -> String? {
        let value = withDatum(key) { gdbm_fetch(file, $0) }
        guard let octets = value.dptr else { return nil }
        defer { free(octets) }
        return String(
            decoding: UnsafeRawBufferPointer(start: octets, count: Int(value.dsize)), as: UTF8.self)
    }

    @Test("what was stored is found by another opening, and what was not stored is not")
    func storeAndFetch() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/aliases.gdbm"
            let writer = try #require(gdbm_open(path, 0, GDBM_NEWDB, 0o600, nil))
            let stored = withDatum("postmaster") { key in
                withDatum("alice@example.test") { value in gdbm_store(writer, key, value, GDBM_INSERT) }
            }
            #expect(stored == 0)
            #expect(gdbm_close(writer) == 0)

            let reader = try #require(gdbm_open(path, 0, GDBM_READER, 0, nil))
            defer { gdbm_close(reader) }
            #expect(fetch("postmaster", from: reader) == "alice@example.test")
            #expect(fetch("nobody", from: reader) == nil)
            #expect(cgdbm_errno() == Int32(GDBM_ITEM_NOT_FOUND))
        }
    }
}
