import Glibc
import Postoffice
import SpoolFormat
import Testing

@Suite("Postoffice: records of results")
struct PostofficeRecordTests {
    private let spool: PostofficeFixture
    private let id: SpoolID

    init() throws {
        spool = try PostofficeFixture()
        id = spool.postoffice.newID()
        try spool.postoffice.writeControl(id, Self.head(id))
    }

    static func head(_ id: SpoolID) -> [UInt8] {
        var file = ControlFile(
            id: id, headerStart: 0, bodyOffset: 0, messageSize: 0, logID: "",
            groups: [
                ControlGroup(
                    sender: Quad(channel: "smtp", host: "-", user: "s@a.test", privilege: 0), errorsTo: "s@a.test",
                    recipients: [
                        ControlRecipient(quad: Quad(channel: "smtp", host: "b.test", user: "r@b.test", privilege: 0))
                    ])
            ])
        return file.encodeHead()
    }

    private func record(_ time: Int64) -> ResultRecord {
        ResultRecord(
            offset: 1, headerOffset: -1, notaryOffset: -1, time: time,
            notary: Notary(finalRecipient: "r@b.test", action: .failed, status: "5.0.0"), message: "no")
    }

    @Test("a record behind one that a kill or a power cut has torn stays whole", arguments: [1, 5, 20])
    func torn(missing: Int) throws {
        try spool.postoffice.append([(record(1), nil), (record(2), nil)], to: id, sync: false)
        let size = try spool.postoffice.read(.transport, id, limit: 1 << 20).count
        #expect(truncate(spool.postoffice.path(.transport, id), size - missing) == 0)
        try spool.postoffice.append([(record(3), nil)], to: id, sync: false)
        try spool.postoffice.append([(record(4), nil)], to: id, sync: false)
        let file = try ControlFile.parse(try spool.postoffice.read(.transport, id, limit: 1 << 20))
        // Only its line end may be missing from the torn one: then it counts.
        #expect(file.records.map(\.time) == (missing == 1 ? [1, 2, 3, 4] : [1, 3, 4]))
    }
}
