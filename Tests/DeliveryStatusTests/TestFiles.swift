import Glibc
import Testing

/// Files beside these tests, and of the tree.
enum TestFiles {
    static let golden = "\(#filePath.split(separator: "/").dropLast().map { "/\($0)" }.joined())/Golden"
    static let forms = "\(#filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined())/proto/forms"

    static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return octets }
            octets += chunk[..<count]
        }
    }

    static func write(_ octets: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "w"), "\(path)")
        defer { fclose(file) }
        #expect(fwrite(octets, 1, octets.count, file) == octets.count)
    }

    /// What Golden/check.py says of files; empty: all of them are right.
    static func mistakes(_ paths: [String]) throws -> String {
        let quoted = (["\(golden)/check.py"] + paths).map { "'\($0)'" }.joined(separator: " ")
        let pipe = try #require(popen("python3 -B \(quoted) 2>&1", "r"))
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = fread(&chunk, 1, chunk.count, pipe)
            if count == 0 { break }
            octets += chunk[..<count]
        }
        let status = pclose(pipe)
        let output = String(decoding: octets, as: UTF8.self)
        return status == 0 ? "" : "exit status \(status): \(output)"
    }
}
