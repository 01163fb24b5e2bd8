import Glibc
import ProgramKit
import Testing

@Suite("Whole small files") struct FileOctetsTests {
    @Test("a file within the limit is read, one beyond it is not", arguments: [0, 1, 4096, 10_000])
    func limit(size: Int) throws {
        let folder = try ScratchFolder()
        try folder.write("f", String(repeating: "x", count: size))
        #expect(try FileOctets.read("\(folder.path)/f", limit: size).count == size)
        #expect(try FileOctets.read("\(folder.path)/f", limit: size + 1).count == size)
        guard size > 0 else { return }
        let error = try #require(throws: FileOctets.Failure.self) {
            try FileOctets.read("\(folder.path)/f", limit: size - 1)
        }
        #expect(error.code == EFBIG && error.path == "\(folder.path)/f" && error.description.contains("too large"))
    }

    @Test("a file whose size the kernel does not tell is read and bounded all the same")
    func proc() throws {
        #expect(try FileOctets.read("/proc/self/status", limit: 1 << 20).starts(with: "Name:".utf8))
        #expect(
            try #require(throws: FileOctets.Failure.self) { try FileOctets.read("/proc/self/status", limit: 100) }.code
                == EFBIG)
    }

    @Test(
        "what cannot be read says why",
        arguments: [("/nonexistent", ENOENT), ("/tmp", EISDIR), ("/etc/passwd/x", ENOTDIR)])
    func errors(path: String, code: Int32) throws {
        #expect(
            try #require(throws: FileOctets.Failure.self) { try FileOctets.read(path, limit: 1 << 20) }.code == code)
    }

    @Test("the running program is known by its path")
    func executable() {
        #expect(Program.executablePath().hasPrefix("/"))
        #expect(access(Program.executablePath(), X_OK) == 0)
        #expect(Program.inheritedEnvironment.allSatisfy { $0.contains("=") })
    }
}
