import CPosix
import Glibc
import Postoffice
import SpoolFormat
import Synchronization
import Testing

private let body = Array("Subject: x\r\n\r\nbody\r\n".utf8)

/// A spool in a folder of its own.
struct ScratchSpool {
    let folder: ScratchFolder
    let postoffice: Postoffice

    init() throws {
        folder = try ScratchFolder()
        postoffice = try Postoffice("\(folder.path)/spool", creating: true)
    }

    func exists(_ directory: SpoolDirectory, _ id: SpoolID) -> Bool {
        access(postoffice.path(directory, id), F_OK) == 0
    }

    /// A message in `router/`.
    func submitted() throws -> SpoolID {
        let id = postoffice.newID()
        try postoffice.submit(id, [body])
        return id
    }

    func info(_ path: String) throws -> stat {
        var info = stat()
        try #require(lstat(path, &info) == 0, "\(path)")
        return info
    }
}

@Suite("The spool's directories") struct PostofficeCheckTests {
    @Test(
        "creating makes all of them, with their modes, below folders that are missing",
        arguments: ["spool", "a/b/spool", "spool/"])
    func creating(name: String) throws {
        let folder = try ScratchFolder()
        let postoffice = try Postoffice("\(folder.path)/\(name)", creating: true)
        #expect(!postoffice.root.hasSuffix("/"))
        for (directory, mode) in [
            (SpoolDirectory.public, 0o700), (.router, 0o700), (.queue, 0o750), (.transport, 0o750), (.postman, 0o750),
        ] {
            var info = stat()
            #expect(stat("\(postoffice.root)/\(directory.rawValue)", &info) == 0)
            #expect(info.st_mode & 0o7777 == mode_t(mode))
        }
        var info = stat()
        #expect(stat(postoffice.root, &info) == 0 && info.st_mode & 0o022 == 0 && info.st_mode & 0o005 == 0)
        // A second time it is there already.
        _ = try Postoffice(postoffice.root, creating: true)
        _ = try Postoffice(postoffice.root)
    }

    @Test("a missing directory is named", arguments: SpoolDirectory.allCases)
    func missing(directory: SpoolDirectory) throws {
        let spool = try ScratchSpool()
        let path = "\(spool.postoffice.root)/\(directory.rawValue)"
        try #require(rmdir(path) == 0)
        let error = try #require(throws: PostofficeError.self) { try Postoffice(spool.postoffice.root) }
        #expect(error.kind == .missing && error.path == path && error.code == ENOENT)
        #expect(error.description.contains(path))
        _ = try Postoffice(spool.postoffice.root, creating: true)
    }

    @Test("a spool that is not there, or below a file, is an error and not made without being asked")
    func absent() throws {
        let folder = try ScratchFolder()
        let error = try #require(throws: PostofficeError.self) { try Postoffice("\(folder.path)/none") }
        #expect(error.kind == .missing)
        #expect(access("\(folder.path)/none", F_OK) != 0)
        try folder.write("file", "")
        #expect(throws: PostofficeError.self) { try Postoffice("\(folder.path)/file/spool", creating: true) }
    }

    @Test("a directory that others may write to is refused", arguments: [0o770, 0o777, 0o1777, 0o702])
    func writable(mode: Int) throws {
        let spool = try ScratchSpool()
        for path in [spool.postoffice.root, "\(spool.postoffice.root)/router"] {
            try #require(chmod(path, mode_t(mode)) == 0)
            let error = try #require(throws: PostofficeError.self) { try Postoffice(spool.postoffice.root) }
            #expect(error.kind == .notOwner && error.path == path)
            try #require(chmod(path, 0o750) == 0)
        }
    }

    @Test("a file or a symbolic link in the place of a directory is refused")
    func noDirectory() throws {
        let spool = try ScratchSpool()
        let path = "\(spool.postoffice.root)/queue"
        try #require(rename(path, "\(path).moved") == 0)
        try #require(symlink("\(path).moved", path) == 0)
        #expect(try #require(throws: PostofficeError.self) { try Postoffice(spool.postoffice.root) }.path == path)
        try #require(unlink(path) == 0)
        try spool.folder.write("spool/queue", "")
        #expect(try #require(throws: PostofficeError.self) { try Postoffice(spool.postoffice.root) }.path == path)
    }

    @Test("what root makes belongs to the spool's owner", .enabled(if: geteuid() == 0))
    func ownership() throws {
        let spool = try ScratchSpool()
        for path in [spool.postoffice.root] + SpoolDirectory.allCases.map({ "\(spool.postoffice.root)/\($0.rawValue)" })
        {
            try #require(chown(path, 65534, 65533) == 0)
        }
        try #require(rmdir("\(spool.postoffice.root)/freezer") == 0)
        let postoffice = try Postoffice(spool.postoffice.root, creating: true)
        let id = postoffice.newID()
        try postoffice.submit(id, [body])
        try postoffice.writeControl(id, [0x40])
        let receiver = try NoticeReceiver(socketPath: "\(spool.postoffice.root)/.scheduler.notify")
        for path in [
            postoffice.path(.router, id), postoffice.path(.transport, id), "\(spool.postoffice.root)/freezer",
            "\(spool.postoffice.root)/.scheduler.notify",
        ] {
            let info = try spool.info(path)
            #expect(info.st_uid == 65534 && info.st_gid == 65533, "\(path)")
        }
        _ = receiver.receive()
    }
}

@Suite("Submission to the spool") struct PostofficeSubmissionTests {
    @Test("a submitted message is there whole, and only under its name")
    func submit() throws {
        let spool = try ScratchSpool()
        let id = spool.postoffice.newID()
        try spool.postoffice.submit(id, [Array("a".utf8), [], Array("bc".utf8), body])
        #expect(try spool.postoffice.read(.router, id, limit: 1000) == Array("abc".utf8) + body)
        #expect(try spool.postoffice.entries(.router) == [id])
        let info = try spool.info(spool.postoffice.path(.router, id))
        #expect(info.st_mode & 0o7777 & 0o037 == 0 && info.st_nlink == 1)
    }

    @Test("many pieces and empty ones make one file", arguments: [0, 1, 15, 16, 17, 40])
    func pieces(count: Int) throws {
        let spool = try ScratchSpool()
        let id = spool.postoffice.newID()
        let parts = (0..<count).map { [UInt8](repeating: UInt8($0), count: $0 % 5 * 100) }
        try spool.postoffice.submit(id, parts)
        #expect(try spool.postoffice.read(.router, id, limit: 100_000) == parts.flatMap { $0 })
    }

    @Test("a name that is taken is an error and the first message stays as it is")
    func taken() throws {
        let spool = try ScratchSpool()
        let id = try spool.submitted()
        let error = try #require(throws: PostofficeError.self) { try spool.postoffice.submit(id, [[1]]) }
        #expect(error.kind == .exists)
        #expect(try spool.postoffice.read(.router, id, limit: 1000) == body)
    }

    @Test("a draft is invisible until its commit, and its octets can be replaced")
    func draft() throws {
        let spool = try ScratchSpool()
        let id = spool.postoffice.newID()
        let draft = try spool.postoffice.draft(id)
        try draft.append(Array("0123456789".utf8))
        try draft.append(pieces: [Array("ab".utf8), Array("cd".utf8)])
        try draft.overwrite(at: 3, Array("xyz".utf8))
        #expect(draft.size == 14)
        #expect(try spool.postoffice.entries(.router).isEmpty)
        try draft.commit()
        #expect(try spool.postoffice.read(.router, id, limit: 100) == Array("012xyz6789abcd".utf8))
    }

    @Test("a draft that is dropped leaves nothing")
    func dropped() throws {
        let spool = try ScratchSpool()
        let draft = try spool.postoffice.draft(spool.postoffice.newID())
        try draft.append(body)
        draft.discard()
        draft.discard()
        var names: [String] = []
        try spool.postoffice.forEachEntry(.router) {
            names.append($0)
            return true
        }
        #expect(names.isEmpty)
        #expect(throws: PostofficeError.self) { try draft.append(body) }
    }

    @Test("names are unique over threads")
    func unique() throws {
        let spool = try ScratchSpool()
        let postoffice = spool.postoffice
        let seen = Mutex<Set<SpoolID>>([])
        onThreads(8) { _ in
            let ids = (0..<2000).map { _ in postoffice.newID() }
            seen.withLock { $0.formUnion(ids) }
        }
        #expect(seen.withLock { $0.count } == 16_000)
    }

    @Test("many threads submit at once and everything is there")
    func parallel() throws {
        let spool = try ScratchSpool()
        let postoffice = spool.postoffice
        let failures = Mutex(0)
        onThreads(32) { _ in
            for _ in 0..<10 {
                do throws(PostofficeError) {
                    try postoffice.submit(postoffice.newID(), [body])
                } catch {
                    failures.withLock { $0 += 1 }
                }
            }
        }
        #expect(failures.withLock { $0 } == 0)
        let ids = try postoffice.entries(.router)
        #expect(ids.count == 320 && ids == ids.sorted())
    }

    @Test("entries that are no spool names are passed over")
    func strangers() throws {
        let spool = try ScratchSpool()
        for name in ["5", "12", "07", "5:poison", ".x", "core", "-1"] {
            try spool.folder.write("spool/router/\(name)", "")
        }
        #expect(try spool.postoffice.entries(.router).map(\.description) == ["5", "12"])
        var count = 0
        try spool.postoffice.forEachEntry(.router) { _ in
            count += 1
            return count < 3
        }
        #expect(count == 3)
    }

    @Test("reading is bounded, follows no link and names what is gone")
    func reading() throws {
        let spool = try ScratchSpool()
        let id = try spool.submitted()
        #expect(try spool.postoffice.read(.router, id, limit: body.count) == body)
        #expect(
            try #require(throws: PostofficeError.self) { try spool.postoffice.read(.router, id, limit: body.count - 1) }
                .code == EFBIG)
        let prefix = try spool.postoffice.readPrefix(.router, id, limit: 4)
        #expect(prefix.octets == Array(body.prefix(4)) && prefix.size == body.count)
        #expect(
            try #require(throws: PostofficeError.self) { try spool.postoffice.read(.queue, id, limit: 10) }.kind
                == .notFound)
        try #require(symlink(spool.postoffice.path(.router, id), spool.postoffice.path(.queue, id)) == 0)
        #expect(
            try #require(throws: PostofficeError.self) { try spool.postoffice.read(.queue, id, limit: 1000) }.code
                == ELOOP)
    }

    @Test("free space is what the file system says")
    func space() throws {
        let spool = try ScratchSpool()
        let (bytes, inodes) = try spool.postoffice.freeSpace()
        #expect(bytes > 0 && inodes > 0)
    }
}
