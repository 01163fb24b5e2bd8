import CPosix
import Glibc
import SpoolFormat
import Testing

@testable import Postoffice

@Suite("Frozen messages") struct PostofficeFreezerTests {
    private let body = Array("Subject: x\r\n\r\nbody\r\n".utf8)
    private let note = FreezeNote(code: 3, time: 1_795_237_801, source: "/filter", reason: "looks odd")

    private func freeze(_ spool: PostofficeFixture) throws -> SpoolID {
        let id = spool.postoffice.newID()
        try spool.postoffice.submit(id, [body], to: .freezer(note))
        return id
    }

    @Test("a message is committed to freezer/ alone, whole or streamed, with the reason beside it")
    func frozen() throws {
        let spool = try PostofficeFixture()
        let whole = try freeze(spool)
        let draft = try spool.postoffice.draft(spool.postoffice.newID())
        try draft.append(body)
        try draft.commit(to: .freezer(note))
        #expect(spool.places(whole) == [.freezer] && spool.places(draft.id) == [.freezer])
        #expect(try spool.postoffice.read(.freezer, draft.id, limit: 1000) == body)
        for id in [whole, draft.id] { #expect(try spool.postoffice.freezeNote(id) == note) }
        #expect(try spool.postoffice.entries(.freezer) == [whole, draft.id], "a note is no message")
        var info = stat()
        #expect(stat(spool.postoffice.notePath(whole), &info) == 0 && info.st_mode & 0o777 == 0o640)
    }

    @Test("what cannot be frozen is nowhere, nor is its note, and the next message goes its way")
    func failure() throws {
        let spool = try PostofficeFixture()
        let id = spool.postoffice.newID()
        // The name is taken by something else.
        try #require(mkdir(spool.postoffice.path(.freezer, id), 0o700) == 0)
        #expect(throws: PostofficeError.self) { try spool.postoffice.submit(id, [body], to: .freezer(note)) }
        try #require(rmdir(spool.postoffice.path(.freezer, id)) == 0)
        #expect(spool.names(.freezer).isEmpty)
        try #require(rmdir("\(spool.postoffice.root)/freezer") == 0)
        #expect(throws: PostofficeError.self) { try spool.postoffice.submit(id, [body], to: .freezer(note)) }
        try #require(mkdir("\(spool.postoffice.root)/freezer", 0o750) == 0)
        #expect(spool.places(id).isEmpty && spool.names(.freezer).isEmpty)
        try spool.postoffice.submit(id, [body])
        #expect(spool.places(id) == [.router])
    }

    @Test("a message without a note, or with a torn one, has no reason; that is no error")
    func noReason() throws {
        let spool = try PostofficeFixture()
        let id = try freeze(spool)
        try #require(truncate(spool.postoffice.notePath(id), 20) == 0)
        #expect(try spool.postoffice.freezeNote(id) == nil)
        try #require(unlink(spool.postoffice.notePath(id)) == 0)
        #expect(try spool.postoffice.freezeNote(id) == nil)
        try #require(symlink("/etc/passwd", spool.postoffice.notePath(id)) == 0)
        #expect(throws: PostofficeError.self) { try spool.postoffice.freezeNote(id) }
    }

    @Test("a thawed message, moved by hand, is one to be routed")
    func thaw() throws {
        let spool = try PostofficeFixture()
        let id = try freeze(spool)
        try #require(rename(spool.postoffice.path(.freezer, id), spool.postoffice.path(.router, id)) == 0)
        #expect(try spool.postoffice.entries(.router) == [id])
    }

    @Test("a released message is in router/ alone, and nothing is left of it in the freezer")
    func release() throws {
        let spool = try PostofficeFixture()
        let id = try freeze(spool)
        try spool.postoffice.release(id)
        #expect(spool.places(id) == [.router])
        #expect(spool.names(.freezer).isEmpty && spool.names(.router) == ["\(id)"])
        #expect(try spool.postoffice.read(.router, id, limit: 1000) == body)
        #expect(throws: PostofficeError.self) { try spool.postoffice.release(id) }
        #expect(spool.names(.router) == ["\(id)"], "a second release changes nothing")
    }

    /// What a release does one after the other; a process may die behind each.
    enum Stage: Int, CaseIterable, Sendable {
        case nothing, staged, left, finished
    }

    private func run(_ id: SpoolID, upTo stage: Stage, _ postoffice: Postoffice) throws {
        if stage.rawValue >= Stage.staged.rawValue { try postoffice.stageRelease(id) }
        if stage.rawValue >= Stage.left.rawValue { try postoffice.leaveFreezer(id) }
        if stage.rawValue >= Stage.finished.rawValue { try postoffice.finishRelease(id) }
    }

    @Test(
        "wherever a release dies, the message is at one place where something happens to it", arguments: Stage.allCases)
    func dies(stage: Stage) throws {
        let spool = try PostofficeFixture()
        let id = try freeze(spool)
        try run(id, upTo: stage, spool.postoffice)
        // The router sees it only when it can no more be released again.
        let isRouted = try spool.postoffice.entries(.router) == [id]
        let isFrozen = try spool.postoffice.entries(.freezer) == [id]
        #expect(!(isRouted && isFrozen))
        #expect(isRouted == (stage == .finished))
        // Delivered and gone meanwhile.
        if isRouted { try spool.postoffice.remove(id) }
        let finished = try spool.postoffice.finishReleases()
        #expect(finished == (stage == .left ? [id] : []))
        switch stage {
        case .nothing, .staged:
            #expect(spool.places(id) == [.freezer] && spool.names(.router).isEmpty)
            #expect(try spool.postoffice.freezeNote(id) == note)
            try spool.postoffice.release(id)
            #expect(spool.places(id) == [.router])
        case .left:
            #expect(spool.names(.router) == ["\(id)"] && spool.names(.freezer).isEmpty)
        case .finished:
            #expect(spool.places(id).isEmpty, "it must not come a second time")
            #expect(throws: PostofficeError.self) { try spool.postoffice.release(id) }
            #expect(spool.places(id).isEmpty)
        }
    }

    @Test("a release that is asked for again after it died goes on where it was", arguments: [Stage.staged, .left])
    func again(stage: Stage) throws {
        let spool = try PostofficeFixture()
        let id = try freeze(spool)
        try run(id, upTo: stage, spool.postoffice)
        try spool.postoffice.release(id)
        #expect(spool.names(.router) == ["\(id)"] && spool.names(.freezer).isEmpty)
    }

    @Test("a message that stands in router/ too is released once, another's name is left alone")
    func names() throws {
        let spool = try PostofficeFixture()
        let id = try freeze(spool)
        try #require(link(spool.postoffice.path(.freezer, id), spool.postoffice.path(.router, id)) == 0)
        try spool.postoffice.release(id)
        #expect(spool.names(.router) == ["\(id)"] && spool.names(.freezer).isEmpty)
        let other = try freeze(spool)
        try spool.postoffice.submit(other, [Array("other".utf8)])
        #expect(throws: PostofficeError.self) { try spool.postoffice.release(other) }
        #expect(try spool.postoffice.read(.router, other, limit: 100) == Array("other".utf8))
        #expect(spool.names(.freezer) == ["\(other)", "\(other).reason"], "it stays")
    }

    @Test("a dropped message is gone with its note and with what a release has begun")
    func drop() throws {
        let spool = try PostofficeFixture()
        let id = try freeze(spool)
        try spool.postoffice.stageRelease(id)
        try spool.postoffice.drop(id)
        #expect(spool.names(.freezer).isEmpty && spool.names(.router).isEmpty)
        let error = #expect(throws: PostofficeError.self) { try spool.postoffice.drop(id) }
        #expect(error?.kind == .notFound)
    }

    @Test("a note whose message is gone is removed when it is old, others are not")
    func orphans() throws {
        let spool = try PostofficeFixture()
        let kept = try freeze(spool)
        let gone = try freeze(spool)
        try #require(unlink(spool.postoffice.path(.freezer, gone)) == 0)
        let now = Int64(time(nil))
        #expect(try spool.postoffice.removeOrphanNotes(before: now - 60).isEmpty, "its message may be coming")
        #expect(try spool.postoffice.removeOrphanNotes(before: now + 60) == ["\(gone).reason"])
        #expect(spool.names(.freezer) == ["\(kept)", "\(kept).reason"])
    }

    @Test("one program at a time takes something out")
    func lock() throws {
        let spool = try PostofficeFixture()
        let lock = try FreezerLock(spool.postoffice, milliseconds: 0)
        let error = #expect(throws: PostofficeError.self) { try FreezerLock(spool.postoffice, milliseconds: 50) }
        #expect(error?.code == EAGAIN)
        lock.end()
        #expect(throws: Never.self) { try FreezerLock(spool.postoffice, milliseconds: 0) }
    }
}
