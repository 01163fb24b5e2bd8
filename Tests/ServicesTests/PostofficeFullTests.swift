import CPosix
import Glibc
import Postoffice
import SpoolFormat
import Testing

/// A spool on a file system of 64 KiB; `nil` where mounting is not permitted.
private final class TinySpool {
    let folder: ScratchFolder
    let postoffice: Postoffice

    init?() throws {
        folder = try ScratchFolder()
        guard mount("tmpfs", folder.path, "tmpfs", 0, "size=64k,mode=0750") == 0 else { return nil }
        do {
            postoffice = try Postoffice("\(folder.path)/spool", creating: true)
        } catch {
            umount2(folder.path, Int32(MNT_DETACH))
            throw error
        }
    }

    deinit { umount2(folder.path, Int32(MNT_DETACH)) }
}

private let canMount: Bool = {
    guard geteuid() == 0, let folder = try? ScratchFolder() else { return false }
    guard mount("tmpfs", folder.path, "tmpfs", 0, "size=64k") == 0 else { return false }
    return umount2(folder.path, 0) == 0
}()

@Suite("A full spool", .enabled(if: canMount)) struct PostofficeFullTests {
    @Test("a message that does not fit is refused as full, leaves nothing, and the next small one is taken")
    func submission() throws {
        let spool = try #require(try TinySpool())
        let large = [UInt8](repeating: 0x61, count: 100_000)
        for parts in [
            [large], [Array(large[..<40_000]), Array(large[..<40_000])], (0..<20).map { _ in Array(large[..<5000]) },
        ] {
            let error = try #require(throws: PostofficeError.self) {
                try spool.postoffice.submit(spool.postoffice.newID(), parts)
            }
            #expect(error.kind == .full && error.code == ENOSPC)
            #expect(try spool.postoffice.entries(.router).isEmpty)
        }
        let id = spool.postoffice.newID()
        try spool.postoffice.submit(id, [Array(large[..<1000])])
        #expect(try spool.postoffice.entries(.router) == [id])
    }

    @Test("a control file that does not fit is not there at all, and an older one stays")
    func control() throws {
        let spool = try #require(try TinySpool())
        let id = spool.postoffice.newID()
        let large = [UInt8](repeating: 0x61, count: 100_000)
        #expect(throws: PostofficeError.self) { try spool.postoffice.writeControl(id, large) }
        #expect(try spool.postoffice.entries(.transport).isEmpty)
        try spool.postoffice.writeControl(id, [1, 2, 3])
        #expect(throws: PostofficeError.self) { try spool.postoffice.writeControl(id, large, replacing: true) }
        #expect(try spool.postoffice.read(.transport, id, limit: 10) == [1, 2, 3])
    }

    @Test("a record that does not fit is taken back whole")
    func record() throws {
        let spool = try #require(try TinySpool())
        let id = spool.postoffice.newID()
        let head = [UInt8](repeating: 0x72, count: 4000) + [0x0a]
        try spool.postoffice.writeControl(id, head)
        let record = ResultRecord(
            offset: 0, headerOffset: -1, notaryOffset: -1, time: 0,
            notary: Notary(finalRecipient: "a", action: .failed, status: "5.0.0"),
            message: String(repeating: "x", count: 200_000))
        let error = try #require(throws: PostofficeError.self) {
            try spool.postoffice.append([(record, .failed)], to: id, sync: true)
        }
        #expect(error.kind == .full)
        #expect(try spool.postoffice.read(.transport, id, limit: 100_000) == head)
    }
}
