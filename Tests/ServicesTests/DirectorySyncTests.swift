import CPosix
import Glibc
import Synchronization
import Testing

@testable import Postoffice

@Suite("Shared directory syncs") struct DirectorySyncTests {
    @Test("thirty-two threads wait, each as often as it likes, and all come back")
    func parallel() throws {
        let folder = try ScratchFolder()
        let sync = try DirectorySync(folder.path)
        let done = Mutex(0)
        onThreads(32) { _ in
            for _ in 0..<50 {
                do throws(PostofficeError) {
                    try sync.wait()
                    done.withLock { $0 += 1 }
                } catch {
                    Issue.record("\(error)")
                }
            }
        }
        #expect(done.withLock { $0 } == 32 * 50)
    }

    @Test("everyone whom a failed sync was to cover hears of it, and the next one may succeed")
    func failure() throws {
        let folder = try ScratchFolder()
        let sync = try DirectorySync(folder.path)
        let directory = dup(sync.descriptor)
        let null = cposix_open("/dev/null", O_RDONLY, 0)
        defer {
            close(directory)
            close(null)
        }
        // /dev/null cannot be synced: EINVAL.
        try #require(dup2(null, sync.descriptor) >= 0)
        let failures = Mutex(0)
        onThreads(32) { _ in
            for _ in 0..<20 {
                do throws(PostofficeError) {
                    try sync.wait()
                } catch {
                    failures.withLock { $0 += error.code == EINVAL ? 1 : 0 }
                }
            }
        }
        #expect(failures.withLock { $0 } == 32 * 20)
        try #require(dup2(directory, sync.descriptor) >= 0)
        try sync.wait()
    }

    @Test("a directory that is not there is missing, a file is none")
    func missing() throws {
        let folder = try ScratchFolder()
        #expect(
            try #require(throws: PostofficeError.self) { try DirectorySync("\(folder.path)/none") }.kind == .missing)
        try folder.write("file", "")
        #expect(try #require(throws: PostofficeError.self) { try DirectorySync("\(folder.path)/file") }.code == ENOTDIR)
    }
}
