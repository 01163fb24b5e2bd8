import Glibc
import Postoffice
import SpoolFormat
import Testing

@Suite("Frozen messages") struct PostofficeFreezerTests {
    private let body = Array("Subject: x\r\n\r\nbody\r\n".utf8)

    @Test("a message is committed to freezer/ alone, whole or streamed")
    func frozen() throws {
        let spool = try PostofficeFixture()
        let whole = spool.postoffice.newID()
        try spool.postoffice.submit(whole, [body], to: .freezer)
        let draft = try spool.postoffice.draft(spool.postoffice.newID())
        try draft.append(body)
        try draft.commit(to: .freezer)
        #expect(spool.places(whole) == [.freezer] && spool.places(draft.id) == [.freezer])
        #expect(try spool.postoffice.read(.freezer, draft.id, limit: 1000) == body)
    }

    @Test("what cannot be frozen is nowhere, and the next message goes its way")
    func failure() throws {
        let spool = try PostofficeFixture()
        try #require(rmdir("\(spool.postoffice.root)/freezer") == 0)
        let id = spool.postoffice.newID()
        #expect(throws: PostofficeError.self) { try spool.postoffice.submit(id, [body], to: .freezer) }
        try #require(mkdir("\(spool.postoffice.root)/freezer", 0o750) == 0)
        #expect(spool.places(id).isEmpty)
        try spool.postoffice.submit(id, [body])
        #expect(spool.places(id) == [.router])
    }

    @Test("a thawed message, moved by hand, is one to be routed")
    func thaw() throws {
        let spool = try PostofficeFixture()
        let id = spool.postoffice.newID()
        try spool.postoffice.submit(id, [body], to: .freezer)
        try #require(rename(spool.postoffice.path(.freezer, id), spool.postoffice.path(.router, id)) == 0)
        #expect(try spool.postoffice.entries(.router) == [id])
    }
}
