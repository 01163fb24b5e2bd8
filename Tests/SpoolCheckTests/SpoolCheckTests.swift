import Glibc
import Postoffice
import SpoolCheck
import SpoolFormat
import Testing

@Suite("zmailer check queue, without daemons") struct SpoolCheckTests {
    @Test("a spool with mail in every state of its life has no strays")
    func inOrder() throws {
        let spool = try SpoolScratch()
        _ = try spool.submitted()
        try spool.routed()
        try spool.routed(recipients: 3)
        let partly = try spool.routed(recipients: 2)
        try spool.append(partly, 0, .delivered, tag: .delivered)
        try spool.append(partly, 1, .delayed, tag: nil)
        let deferred = try spool.submitted()
        try spool.postoffice.move(deferred, from: .router, to: .deferred)
        let id = spool.postoffice.newID()
        try spool.postoffice.submit(
            id, [SpoolScratch.message], to: .freezer(FreezeNote(code: 1, time: 1, source: "policy", reason: "x")))
        // What an operator moves, or has routed again, is on its way.
        try spool.write("router/88.from-\(partly)", SpoolScratch.message)
        try spool.write("transport/\(partly).new", Array("x".utf8))
        let before = spool.everything
        let (findings, summary) = try spool.check(hours: 200)
        #expect(findings == [])
        #expect(spool.everything == before)
        #expect(summary.unrouted == 1 && summary.queued == 3 && summary.deferred == 1 && summary.frozen == 1)
        #expect(summary.router == "down" && summary.scheduler == "down" && !summary.isPartial && summary.open == 0)
    }

    /// What is made wrong, what is found, and where the message's names are afterwards.
    struct Row: CustomTestStringConvertible, Sendable {
        let name: String
        let problem: SpoolFinding.Problem
        let outcome: String
        /// With `X` for the message.
        let after: [String]
        var hours: Int64 = 0
        let make: @Sendable (SpoolScratch) throws -> SpoolID
        var testDescription: String { name }
    }

    static let rows: [Row] = [
        Row(
            name: "a message file without a control file is routed again", problem: .noControl, outcome: "repaired",
            after: ["router/X", "queue/X"]
        ) { spool in
            let id = try spool.routed()
            unlink(spool.path("transport/\(id)"))
            return id
        },
        Row(
            name: "a torn control file: the message is routed again", problem: .tornControl, outcome: "repaired",
            after: ["router/X", "queue/X", "transport/X"]
        ) { spool in
            let id = try spool.routed()
            truncate(spool.path("transport/\(id)"), 40)
            return id
        },
        Row(
            name: "an empty control file: the message is routed again", problem: .tornControl, outcome: "repaired",
            after: ["router/X", "queue/X", "transport/X"]
        ) { spool in
            let id = try spool.routed()
            truncate(spool.path("transport/\(id)"), 0)
            return id
        },
        Row(
            name: "a control file of a message whose removal had begun is removed", problem: .noMessage,
            outcome: "repaired", after: []
        ) { spool in
            let id = try spool.routed(recipients: 2)
            try spool.append(id, 0, .delivered, tag: .delivered)
            try spool.append(id, 1, .failed, tag: .failed)
            unlink(spool.path("queue/\(id)"))
            return id
        },
        Row(
            name: "a control file without its message, with recipients that are owed something, is set aside",
            problem: .noMessage, outcome: "set-aside", after: ["postman/X:control"]
        ) { spool in
            let id = try spool.routed(recipients: 2)
            unlink(spool.path("queue/\(id)"))
            return id
        },
        Row(
            name: "a torn control file without its message is set aside", problem: .noMessage, outcome: "set-aside",
            after: ["postman/X:control"]
        ) { spool in
            let id = try spool.routed()
            unlink(spool.path("queue/\(id)"))
            truncate(spool.path("transport/\(id)"), 30)
            return id
        },
        Row(
            name: "a control file that names another message is set aside, and the message routed again",
            problem: .foreignControl, outcome: "set-aside", after: ["router/X", "queue/X", "postman/X:control"]
        ) { spool in
            let id = try spool.routed()
            var other = SpoolScratch.control(SpoolID(rawValue: 7))
            try spool.write("transport/\(id)", other.encodeHead())
            return id
        },
        Row(
            name: "a routed message's further name in deferred/ is removed", problem: .twoNames, outcome: "repaired",
            after: ["queue/X", "transport/X"]
        ) { spool in
            let id = try spool.routed()
            try spool.link("queue/\(id)", "deferred/\(id)")
            return id
        },
        Row(
            name: "another file of a routed message's name in deferred/ is left alone", problem: .twoNames,
            outcome: "left", after: ["queue/X", "transport/X", "deferred/X"]
        ) { spool in
            let id = try spool.routed()
            try spool.write("deferred/\(id)", SpoolScratch.message)
            return id
        },
        Row(
            name: "a frozen message that is also on its way is left alone", problem: .twoNames, outcome: "left",
            after: ["router/X", "freezer/X"]
        ) { spool in
            let id = try spool.submitted()
            try spool.link("router/\(id)", "freezer/\(id)")
            return id
        },
        Row(
            name: "a message file that is shorter than what was routed is named", problem: .shortMessage,
            outcome: "left", after: ["queue/X", "transport/X"]
        ) { spool in
            let id = try spool.routed()
            truncate(spool.path("queue/\(id)"), 50)
            return id
        },
        Row(
            name: "a tag that says less than its record is set", problem: .wrongTag, outcome: "repaired",
            after: ["queue/X", "transport/X"]
        ) { spool in
            let id = try spool.routed(recipients: 2)
            try spool.append(id, 0, .delivered, tag: nil)
            return id
        },
        Row(
            name: "a record of nobody is named", problem: .strangeRecord, outcome: "left",
            after: ["queue/X", "transport/X"]
        ) { spool in
            let id = try spool.routed(recipients: 2)
            var nobody = ControlRecipient(quad: Quad(channel: "smtp", host: "h", user: "x", privilege: 0))
            nobody.offset = 3
            try spool.postoffice.append([(SpoolScratch.record(nobody, .failed), nil)], to: id, sync: false)
            return id
        },
        Row(
            name: "a release that died behind its second step is completed", problem: .oldRelease,
            outcome: "repaired", after: ["router/X"], hours: 3
        ) { spool in
            let id = try spool.submitted()
            try #require(rename(spool.path("router/\(id)"), spool.path("router/\(id).released")) == 0)
            return id
        },
        Row(
            name: "a release that died behind its first step is taken back", problem: .oldRelease,
            outcome: "repaired", after: ["freezer/X"], hours: 3
        ) { spool in
            let id = try spool.submitted()
            try #require(rename(spool.path("router/\(id)"), spool.path("freezer/\(id)")) == 0)
            try spool.link("freezer/\(id)", "router/\(id).released")
            return id
        },
        Row(
            name: "a freezer's note without a message is removed", problem: .orphanNote, outcome: "repaired",
            after: [], hours: 2
        ) { spool in
            try spool.write("freezer/77.reason", Array("code 1\n".utf8))
            return SpoolID(rawValue: 77)
        },
        Row(
            name: "a draft that nobody finishes is removed", problem: .oldDraft, outcome: "repaired", after: [],
            hours: 25
        ) { spool in
            try spool.write("public/77", Array("x".utf8))
            return SpoolID(rawValue: 77)
        },
        Row(
            name: "a file of a strange name goes to the postmaster", problem: .strangeFile, outcome: "set-aside",
            after: ["postman/queue:core.77"], hours: 2
        ) { spool in
            try spool.write("queue/core.77", Array("x".utf8))
            return SpoolID(rawValue: 77)
        },
        Row(
            name: "a name with a leading zero is no message's", problem: .strangeFile, outcome: "set-aside",
            after: ["postman/router:077"], hours: 2
        ) { spool in
            try spool.write("router/077", SpoolScratch.message)
            return SpoolID(rawValue: 77)
        },
        Row(
            name: "a symbolic link is named and left", problem: .notAFile, outcome: "left", after: ["router/X"]
        ) { spool in
            try #require(symlink("/etc/passwd", spool.path("router/77")) == 0)
            return SpoolID(rawValue: 77)
        },
        Row(
            name: "a directory is named and left", problem: .notAFile, outcome: "left", after: ["transport/X"]
        ) { spool in
            try #require(mkdir(spool.path("transport/77"), 0o700) == 0)
            return SpoolID(rawValue: 77)
        },
        Row(
            name: "a file that others may write gets its mode", problem: .wrongMode, outcome: "repaired",
            after: ["router/X"]
        ) { spool in
            let id = try spool.submitted()
            chmod(spool.path("router/\(id)"), 0o666)
            return id
        },
        Row(
            name: "a control file that its owner may not write gets its mode", problem: .wrongMode,
            outcome: "repaired", after: ["queue/X", "transport/X"]
        ) { spool in
            let id = try spool.routed()
            chmod(spool.path("transport/\(id)"), 0o440)
            return id
        },
    ]

    @Test("each kind of stray is found, and put in order", arguments: rows)
    func stray(_ row: Row) throws {
        let spool = try SpoolScratch()
        let id = try row.make(spool)
        let made = spool.everything
        let (planned, plannedSummary) = try spool.check(repairs: false, hours: row.hours)
        #expect(planned.map(\.problem).contains(row.problem), "\(planned)")
        #expect(spool.everything == made, "a dry run changes nothing")
        #expect(plannedSummary.open == planned.count)
        let (findings, summary) = try spool.check(hours: row.hours)
        let finding = try #require(findings.first { $0.problem == row.problem }, "\(findings)")
        #expect(finding.outcomeName == row.outcome, "\(finding)")
        #expect(spool.everything.sorted() == row.after.map { $0.replacing("X", with: "\(id)") }.sorted())
        #expect(summary.open == findings.count { !$0.isSettled })
        // What can be put in order is in order now.
        let (again, _) = try spool.check(hours: row.hours)
        if row.outcome == "left" {
            #expect(again.map(\.problem) == [row.problem])
        } else if row.problem != .tornControl {
            #expect(again == [], "\(again)")
        }
    }

    @Test("a tag is set to what the record says")
    func tagIsSet() throws {
        let spool = try SpoolScratch()
        let id = try spool.routed(recipients: 2)
        try spool.append(id, 1, .failed, tag: nil)
        _ = try spool.check()
        let file = try ControlFile.parse(try spool.postoffice.read(.transport, id, limit: 1 << 20))
        #expect(Array(file.recipients).map(\.tag) == [.pending, .failed])
    }

    @Test("what is young may be somebody's work", arguments: ["public/77", "queue/77.tmp", "freezer/77.reason"])
    func young(name: String) throws {
        let spool = try SpoolScratch()
        try spool.write(name, Array("x".utf8))
        let (findings, _) = try spool.check()
        #expect(findings == [])
        #expect(spool.everything == [name])
    }

    @Test("files of others: root gives them back, those with a further name excepted", .enabled(if: geteuid() == 0))
    func owners() throws {
        let spool = try SpoolScratch()
        let id = try spool.submitted()
        let linked = try spool.submitted()
        try spool.link("router/\(linked)", "postman/x")
        for name in ["router/\(id)", "router/\(linked)"] { chown(spool.path(name), 65534, 65534) }
        let (found, _) = try spool.check()
        #expect(found.map(\.problem) == [.wrongOwner, .wrongOwner] && found.allSatisfy { $0.outcomeName == "left" })
        let given = try SpoolOwnership.restore(spool.postoffice, repairs: true)
        #expect(given.count == 2)
        #expect(given.first { $0.file == "router/\(id)" }?.outcomeName == "repaired")
        #expect(given.first { $0.file == "router/\(linked)" }?.outcomeName == "left")
        #expect(try spool.check().findings.map(\.file) == ["router/\(linked)"])
    }
}
