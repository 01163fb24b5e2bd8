import Glibc
import Policy
import Tables
import Testing

@testable import DatabaseTools

@Suite("A policy database that is replaced while it is in use")
struct HotSwapTests {
    final class Events {
        var list: [GDBMPolicyDatabase.Event] = []
    }

    private func open(_ scratch: Scratch, _ events: Events) -> GDBMPolicyDatabase {
        GDBMPolicyDatabase(basename: scratch.file("policy")) { events.list.append($0) }
    }

    private func value(_ database: GDBMPolicyDatabase, _ now: Int64) throws -> String? {
        let octets = try database.current(now: now).value(for: PolicyKey.domain("a.test").octets)
        return octets.flatMap { PolicyRecord(octets: $0)?.pairs.first?.value }
    }

    @Test("a new one is used within a second, the one in use until then")
    func replaced() throws {
        let scratch = try Scratch()
        let events = Events()
        try build("a.test message one\n", scratch)
        let database = open(scratch, events)
        #expect(try value(database, 0) == "one")
        try build("a.test message two\nb.test freeze +\n", scratch)
        #expect(try value(database, 999) == "one")
        #expect(try value(database, 1000) == "two")
        let path = scratch.file("policy.gdbm")
        #expect(
            events.list == [
                .opened(path: path, entries: 1, isFirst: true), .opened(path: path, entries: 2, isFirst: false),
            ])
    }

    @Test("what was taken for a decision stays what it is")
    func steady() throws {
        let scratch = try Scratch()
        try build("a.test message one\n", scratch)
        let database = open(scratch, Events())
        let reader = try database.current(now: 0)
        try build("a.test message two\n", scratch)
        _ = try database.current(now: 5000)
        let octets = try #require(try reader.value(for: PolicyKey.domain("a.test").octets))
        #expect(PolicyRecord(octets: octets)?.pairs.first?.value == "one")
    }

    @Test(
        "a broken new one is told once, and the one before stays in use",
        arguments: ["empty", "text", "truncated", "no metadata", "folder"])
    func broken(kind: String) throws {
        let scratch = try Scratch()
        let events = Events()
        try build("a.test message one\n", scratch)
        let database = open(scratch, events)
        #expect(try value(database, 0) == "one")
        let good = try scratch.octets("policy.gdbm")
        // Beside and renamed, as all that replaces it has to be.
        switch kind {
        case "empty": try scratch.write([], to: "next")
        case "text": try scratch.write("a.test freeze +\n", to: "next")
        case "truncated": try scratch.write(Array(good.dropLast(100)), to: "next")
        case "no metadata":
            let writer = try GDBMWriter(path: scratch.file("next"))
            _ = try writer.insert([1], [2])
            try writer.commit()
        default:
            try #require(unlink(scratch.file("policy.gdbm")) == 0)
            try #require(mkdir(scratch.file("next"), 0o700) == 0)
        }
        try #require(rename(scratch.file("next"), scratch.file("policy.gdbm")) == 0)
        for now in [1000, 2000, 3000] as [Int64] { #expect(try value(database, now) == "one") }
        #expect(events.list.count == 2)
        guard case .broken(let reason, keepsOld: true) = events.list.last else {
            Issue.record("\(events.list)")
            return
        }
        #expect(reason.hasPrefix(scratch.file("policy.gdbm")))
        // Mended: in use again, without a restart.
        if kind == "folder" { try #require(rmdir(scratch.file("policy.gdbm")) == 0) }
        try build("a.test message two\n", scratch)
        #expect(try value(database, 4000) == "two")
    }

    @Test("without any that can be used, each use is trouble that says why; it heals by itself")
    func none() throws {
        let scratch = try Scratch()
        let events = Events()
        let database = open(scratch, events)
        for now in [0, 500, 1000] as [Int64] {
            let trouble = #expect(throws: PolicyTrouble.self) { try database.current(now: now) }
            #expect(trouble?.description.contains("run policy-builder.sh") == true)
        }
        #expect(events.list.count == 1, "told once")
        try scratch.write("nonsense", to: "policy.gdbm")
        #expect(throws: PolicyTrouble.self) { try database.current(now: 2000) }
        #expect(events.list.count == 2)
        try build("a.test message one\n", scratch)
        #expect(try value(database, 3000) == "one")
    }

    @Test("one that is gone for a moment is not gone")
    func vanished() throws {
        let scratch = try Scratch()
        let events = Events()
        try build("a.test message one\n", scratch)
        let database = open(scratch, events)
        #expect(try value(database, 0) == "one")
        try #require(rename(scratch.file("policy.gdbm"), scratch.file("away")) == 0)
        #expect(try value(database, 1000) == "one")
        #expect(events.list.count == 1)
        #expect(try value(database, 5000) == "one", "and the one in use stays even then")
        #expect(events.list.count == 2, "but it is told")
        database.lookAgain()
        try #require(rename(scratch.file("away"), scratch.file("policy.gdbm")) == 0)
        #expect(try value(database, 5001) == "one")
    }

    @Test("one that may not be read is trouble until it may")
    func unreadable() throws {
        // The superuser may read everything.
        guard geteuid() != 0 else { return }
        let scratch = try Scratch()
        try build("a.test message one\n", scratch)
        try #require(chmod(scratch.file("policy.gdbm"), 0) == 0)
        let database = open(scratch, Events())
        let trouble = #expect(throws: PolicyTrouble.self) { try database.current(now: 0) }
        #expect(trouble?.description.contains("Permission denied") == true)
        try #require(chmod(scratch.file("policy.gdbm"), 0o644) == 0)
        #expect(try value(database, 1000) == "one")
    }
}
