import Glibc
import Postoffice
import SpoolFormat
import Testing

@Suite("Postoffice: from router/ to queue/, whoever else is at it")
struct PostofficeRoutingTests {
    private let spool: PostofficeFixture
    private var postoffice: Postoffice { spool.postoffice }

    init() throws { spool = try PostofficeFixture() }

    private func accept() throws -> SpoolID {
        let id = postoffice.newID()
        try postoffice.submit(id, [Array("env-end\n\r\nbody\r\n".utf8)])
        return id
    }

    @Test("a message that two programs find without control file, and that is routed in between, is not lost")
    func requeuedTwice() throws {
        let id = try accept()
        #expect(try postoffice.claimForQueue(id) == .claimed)
        try postoffice.settle([id])
        #expect(spool.places(id) == [.queue])
        // The router's own recovery, and its worker at once.
        try postoffice.requeue(id)
        #expect(try postoffice.claimForQueue(id) == .alreadyQueued)
        #expect(try postoffice.writeControl(id, PostofficeRecordTests.head(id)))
        // The scheduler comes late with what it has found before.
        try postoffice.requeue(id)
        try postoffice.settle([id])
        #expect(spool.places(id) == [.queue, .transport])
    }

    @Test("the only name of a message is never removed")
    func onlyName() throws {
        let id = try accept()
        try postoffice.settle([id])
        #expect(spool.places(id) == [.router])
    }

    @Test("a control file that is there stays unless it is to be replaced")
    func control() throws {
        let id = try accept()
        let head = PostofficeRecordTests.head(id)
        #expect(try postoffice.writeControl(id, head))
        #expect(try !postoffice.writeControl(id, [1]))
        #expect(try postoffice.read(.transport, id, limit: 1000) == head)
        #expect(try postoffice.writeControl(id, [1], replacing: true))
        #expect(try postoffice.read(.transport, id, limit: 1000) == [1])
    }
}
