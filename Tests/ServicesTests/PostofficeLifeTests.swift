import CPosix
import Glibc
import Postoffice
import SpoolFormat
import Testing

@Suite("The way of a message through the spool") struct PostofficeLifeTests {
    @Test("claiming tells what became of it")
    func claim() throws {
        let spool = try ScratchSpool()
        let id = try spool.submitted()
        #expect(try spool.postoffice.claimForQueue(id) == .claimed)
        #expect(spool.exists(.router, id) && spool.exists(.queue, id))
        #expect(try spool.postoffice.claimForQueue(id) == .alreadyQueued)
        try spool.postoffice.settle([id])
        #expect(try spool.postoffice.claimForQueue(id) == .gone)
        #expect(try spool.postoffice.claimForQueue(spool.postoffice.newID()) == .gone)
    }

    @Test("a missing directory is an error and not a message that is gone", arguments: ["queue", "router"])
    func claimWithoutDirectory(name: String) throws {
        let spool = try ScratchSpool()
        let id = try spool.submitted()
        try #require(rename("\(spool.postoffice.root)/\(name)", "\(spool.postoffice.root)/\(name).moved") == 0)
        #expect(try #require(throws: PostofficeError.self) { try spool.postoffice.claimForQueue(id) }.kind == .missing)
    }

    @Test("a control file is written whole, stays, and is replaced only when asked")
    func control() throws {
        let spool = try ScratchSpool()
        let id = spool.postoffice.newID()
        let head = [UInt8](repeating: 0x41, count: 300_000)
        try spool.postoffice.writeControl(id, [1])
        #expect(try !spool.postoffice.writeControl(id, head))
        #expect(try spool.postoffice.read(.transport, id, limit: 10) == [1])
        #expect(try spool.postoffice.writeControl(id, head, replacing: true))
        #expect(try spool.postoffice.read(.transport, id, limit: 1_000_000) == head)
        #expect(try spool.postoffice.entries(.transport) == [id])
    }

    @Test("settling removes the router's names and passes over those that are gone")
    func settle() throws {
        let spool = try ScratchSpool()
        let ids = try (0..<3).map { _ in try spool.submitted() }
        for id in ids { _ = try spool.postoffice.claimForQueue(id) }
        try #require(unlink(spool.postoffice.path(.router, ids[1])) == 0)
        try spool.postoffice.settle(ids + [spool.postoffice.newID()])
        #expect(try spool.postoffice.entries(.router).isEmpty)
        #expect(try spool.postoffice.entries(.queue) == ids)
        try spool.postoffice.settle(ids)
        try spool.postoffice.settle([])
    }

    @Test(
        "requeueing gives the message a name in the router again and takes none, at whatever point it was interrupted before"
    )
    func requeue() throws {
        for hasRouterName in [false, true] {
            let spool = try ScratchSpool()
            let id = try spool.submitted()
            _ = try spool.postoffice.claimForQueue(id)
            if !hasRouterName { try spool.postoffice.settle([id]) }
            try spool.postoffice.writeControl(id, [1])
            try spool.postoffice.requeue(id)
            #expect(spool.exists(.router, id) && spool.exists(.queue, id) && spool.exists(.transport, id))
        }
        let spool = try ScratchSpool()
        #expect(
            try #require(throws: PostofficeError.self) { try spool.postoffice.requeue(SpoolID(rawValue: 5)) }.kind
                == .notFound)
    }

    @Test("moving takes the file along, and goes on after a crash in its middle")
    func move() throws {
        let spool = try ScratchSpool()
        let id = try spool.submitted()
        let target = "\(spool.postoffice.path(.postman, id)):poison"
        try spool.postoffice.move(id, from: .router, to: .postman, suffix: ":poison")
        #expect(!spool.exists(.router, id) && access(target, F_OK) == 0)
        let other = try spool.submitted()
        try #require(link(spool.postoffice.path(.router, other), spool.postoffice.path(.deferred, other)) == 0)
        try spool.postoffice.move(other, from: .router, to: .deferred)
        #expect(!spool.exists(.router, other) && spool.exists(.deferred, other))
        #expect(
            try #require(throws: PostofficeError.self) {
                try spool.postoffice.move(other, from: .router, to: .deferred)
            }.kind == .notFound)
    }

    @Test("a move never gives up a file for another that has the name")
    func moveOntoAnother() throws {
        let spool = try ScratchSpool()
        let id = try spool.submitted()
        try spool.folder.write("spool/deferred/\(id)", "another")
        #expect(
            try #require(throws: PostofficeError.self) { try spool.postoffice.move(id, from: .router, to: .deferred) }
                .kind == .exists)
        #expect(spool.exists(.router, id))
        try spool.folder.write("spool/queue/\(id)", "another")
        #expect(try #require(throws: PostofficeError.self) { try spool.postoffice.requeue(id) }.kind == .exists)
        #expect(spool.exists(.queue, id))
    }

    @Test("removal goes from the router's name to the control file, and again does no harm")
    func remove() throws {
        let spool = try ScratchSpool()
        let id = try spool.submitted()
        try spool.postoffice.writeControl(id, [1])
        // What cannot be unlinked stops it half-way: the records must be the last to go.
        try #require(mkdir(spool.postoffice.path(.queue, id), 0o700) == 0)
        #expect(throws: PostofficeError.self) { try spool.postoffice.remove(id) }
        #expect(!spool.exists(.router, id) && spool.exists(.transport, id))
        try #require(rmdir(spool.postoffice.path(.queue, id)) == 0)
        try spool.postoffice.remove(id)
        #expect(!spool.exists(.transport, id))
        try spool.postoffice.remove(id)
    }
}

@Suite("Results in control files") struct PostofficeResultTests {
    private struct Fixture {
        let spool: ScratchSpool
        let id: SpoolID
        let head: [UInt8]
        let offsets: [Int]

        init() throws {
            spool = try ScratchSpool()
            id = spool.postoffice.newID()
            let quad = Quad(channel: "smtp", host: "example.test", user: "a@example.test", privilege: 99)
            var file = ControlFile(
                id: id, headerStart: 0, bodyOffset: 0, messageSize: 0, logID: "",
                groups: [
                    ControlGroup(
                        sender: quad, errorsTo: nil,
                        recipients: [ControlRecipient(quad: quad), ControlRecipient(quad: quad)])
                ])
            head = file.encodeHead()
            offsets = file.recipients.map(\.offset)
            try spool.postoffice.writeControl(id, head)
        }

        func record(_ index: Int, _ action: Notary.Action = .relayed) -> ResultRecord {
            ResultRecord(
                offset: offsets[index], headerOffset: -1, notaryOffset: -1, time: 5,
                notary: Notary(finalRecipient: "a", action: action, status: "2.0.0"), message: "m")
        }

        func parsed() throws -> ControlFile {
            try ControlFile.parse(try spool.postoffice.read(.transport, id, limit: 100_000))
        }
    }

    @Test("records are appended and tags set")
    func append() throws {
        let fixture = try Fixture()
        let postoffice = fixture.spool.postoffice
        try postoffice.append(
            [(fixture.record(0), .delivered), (fixture.record(1, .delayed), nil)], to: fixture.id, sync: true)
        try postoffice.append([(fixture.record(1, .failed), .failed)], to: fixture.id, sync: false)
        try postoffice.syncControl(fixture.id)
        let file = try fixture.parsed()
        #expect(file.records.map(\.offset) == [0, 1, 1].map { fixture.offsets[$0] })
        #expect(file.recipients.map(\.tag) == [.delivered, .failed])
        try postoffice.append([], to: fixture.id, sync: false)
        #expect(try fixture.parsed() == file)
    }

    @Test("reported records are marked in place")
    func reported() throws {
        let fixture = try Fixture()
        try fixture.spool.postoffice.append(
            [(fixture.record(0), nil), (fixture.record(1), nil)], to: fixture.id, sync: false)
        let positions = try fixture.parsed().records.map { fixture.head.count + $0.position }
        try fixture.spool.postoffice.markReported(fixture.id, recordOffsets: [positions[1]])
        #expect(try fixture.parsed().records.map(\.isReported) == [false, true])
        try fixture.spool.postoffice.markReported(fixture.id, recordOffsets: positions)
        #expect(try fixture.parsed().records.map(\.isReported) == [true, true])
    }

    @Test("a record behind one that a crash has torn is not lost with it")
    func torn() throws {
        let fixture = try Fixture()
        let record = fixture.record(0).encoded()
        for length in [1, 10, record.count - 1] {
            let octets = fixture.head + record[..<length]
            try fixture.spool.postoffice.writeControl(fixture.id, octets, replacing: true)
            try fixture.spool.postoffice.append([(fixture.record(1), .delivered)], to: fixture.id, sync: false)
            #expect(
                try fixture.parsed().records.contains { $0.offset == fixture.offsets[1] }, "torn after \(length) octets"
            )
        }
    }

    @Test("a tag is written nowhere but behind the letter of its line", arguments: [-1, 0, 3, Int.max - 1, 1_000_000])
    func wrongOffset(offset: Int) throws {
        let fixture = try Fixture()
        var record = fixture.record(0)
        record.offset = offset
        #expect(throws: PostofficeError.self) {
            try fixture.spool.postoffice.append([(record, .failed)], to: fixture.id, sync: false)
        }
        #expect(throws: PostofficeError.self) {
            try fixture.spool.postoffice.markReported(fixture.id, recordOffsets: [offset])
        }
        #expect(try fixture.spool.postoffice.read(.transport, fixture.id, limit: 100_000).starts(with: fixture.head))
    }

    @Test("a control file that is gone is an error")
    func gone() throws {
        let spool = try ScratchSpool()
        let fixture = try Fixture()
        let actions: [() throws -> Void] = [
            { try spool.postoffice.append([(fixture.record(0), nil)], to: fixture.id, sync: true) },
            { try spool.postoffice.syncControl(fixture.id) },
            { try spool.postoffice.markReported(fixture.id, recordOffsets: [1]) },
        ]
        for action in actions {
            #expect(try #require(throws: PostofficeError.self, performing: action).kind == .notFound)
        }
    }
}
