import Glibc
import Postoffice
import ProgramKit
import SpoolFormat
import Testing

@testable import Supervisor

@Suite("Mail out of a queue: what is held meanwhile is let go or gone, whatever happens")
struct QueueWithdrawalTests {
    private static func ids(_ count: Int) -> [String] { (1...count).map { "id\($0)" } }

    private static func message(_ id: String, isHeld: Bool) throws -> JSONValue {
        let reason = isHeld ? "\"held by bob\"" : "null"
        return try JSONValue(parsing: "{\"id\":\"\(id)\",\"recipients\":[{\"reason\":\(reason)}]}".utf8)
    }

    @Test("with a full disk all is done that can be, it is said, and nothing stays held")
    func fullDisk() throws {
        let scene = try QueueControlTests.Scene()
        let id = try scene.queue()
        let missing = scene.postoffice.newID()
        let stub = try #require(QueueStub(scene.postoffice.root, [id, missing].map(\.description)))
        defer { stub.close() }
        stub.change { $0.unwritten = ["hold", "remove", "release"] }
        let folder = "\(scene.root)/out"
        #expect(QueueTransfer.export(scene.environment, QueueFilter(), to: folder, removes: true) == .temporaryFailure)
        #expect(scene.read("out/\(id).mail").contains("to b@b.test"))
        #expect(stub.read { $0.ids } == [missing.description])
        #expect(stub.read { $0.held }.isEmpty)
    }

    @Test("all of many portions are removed, also when the first could not be written to the disk")
    func portions() throws {
        let scene = try QueueControlTests.Scene()
        let ids = Self.ids(2 * QueueWithdrawal.portion + 1)
        let stub = try #require(QueueStub(scene.postoffice.root, ids))
        defer { stub.close() }
        stub.change { $0.unwritten = ["hold", "remove"] }
        var withdrawal = QueueWithdrawal(scene.environment, [])
        #expect(withdrawal.hold(ids)?.count == ids.count)
        #expect(stub.read { $0.held.count } == ids.count)
        withdrawal.end(removing: ids)
        #expect(stub.read { $0.ids }.isEmpty)
        #expect(withdrawal.code == .temporaryFailure)
    }

    @Test(
        "when the queue does not answer in the middle of it, what is held already is let go; what was held before stays",
        arguments: ["hold 2", "select 2"])
    func interrupted(request: String) throws {
        let scene = try QueueControlTests.Scene()
        let ids = Self.ids(QueueWithdrawal.portion + 10)
        let stub = try #require(QueueStub(scene.postoffice.root, ids, held: ["id7"]))
        defer { stub.close() }
        stub.change { $0.refused = [request] }
        var withdrawal = QueueWithdrawal(scene.environment, try ids.map { try Self.message($0, isHeld: $0 == "id7") })
        #expect(withdrawal.hold(ids) == nil)
        #expect(stub.read { $0.held } == ["id7"])
        #expect(withdrawal.code == .usage)
    }

    @Test("what is written and cannot be removed stays held; the rest of it is removed, and what is not written let go")
    func removal() throws {
        let scene = try QueueControlTests.Scene()
        let ids = Self.ids(2 * QueueWithdrawal.portion + 5)
        let stub = try #require(QueueStub(scene.postoffice.root, ids))
        defer { stub.close() }
        stub.change { $0.refused = ["remove 1"] }
        var withdrawal = QueueWithdrawal(scene.environment, [])
        #expect(withdrawal.hold(ids) != nil)
        withdrawal.end(removing: Array(ids.dropLast(5)))
        #expect(stub.read { $0.held } == Set(ids.prefix(QueueWithdrawal.portion)))
        #expect(stub.read { $0.ids.count } == QueueWithdrawal.portion + 5)
        #expect(withdrawal.code == .usage)
    }
}
