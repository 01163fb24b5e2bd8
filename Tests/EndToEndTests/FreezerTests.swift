import Foundation
import Testing

/// What the policy has frozen, and what an operator does with it.
@Suite("The freezer")
struct FreezerTests {
    /// An instance that freezes everything from here.
    private static func settings(_ zenv: [String: String] = [:]) -> Instance.Settings {
        var settings = Instance.Settings()
        settings.usePolicy(["[127.0.0.1]/32 freezenet +"])
        for (key, value) in zenv { settings.zenv[key] = value }
        return settings
    }

    /// The queue id of a message that was frozen.
    private static func freeze(
        _ instance: Instance, from sender: String = "bob@example.test",
        to recipients: [String] = ["alice@example.test"],
        subject: String
    ) throws -> String {
        let before = Set(instance.spoolFiles["freezer"] ?? [])
        let client = try Connection.greeted(port: instance.port)
        let reply = try client.transact(
            from: sender, to: recipients, message: "Subject: \(subject)\r\n\r\nbody of it\r\n")
        #expect(reply.code == 250, "\(reply)")
        let new = Set(instance.spoolFiles["freezer"] ?? []).subtracting(before)
        #expect(new.count == 1)
        return try #require(new.first)
    }

    private static func freezer(
        _ instance: Instance, _ arguments: [String]
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        try await instance.run(Programs.zmailer, ["freezer"] + arguments + ["-Z", instance.configuration])
    }

    private static func freezerIsEmpty(_ instance: Instance) -> Bool {
        (try? FileManager.default.contentsOfDirectory(atPath: "\(instance.postoffice)/freezer"))?.isEmpty == true
    }

    private static func trace(_ instance: Instance, _ id: String) async throws -> String {
        try await instance.run(
            Programs.zmailer,
            ["trace", id, "--log", "\(instance.directory)/zmailer.out", "-Z", instance.configuration]
        ).output
    }

    @Test("what is in it and why is listed and shown; released mail is delivered, once, and the trace tells it")
    func release() async throws {
        try await Instance.run {
            $0 = Self.settings()
        } _: { instance in
            let id = try Self.freeze(
                instance, to: ["alice@example.test", "postmaster@example.test"], subject: "cold \u{1b}[2J")
            let other = try Self.freeze(instance, subject: "other")
            #expect(instance.read("postoffice/freezer/\(id).reason").contains("\nsource policy\nreason freezenet + "))

            let list = try await Self.freezer(instance, ["list"])
            #expect(list.status == .exited(0), "\(list.output)")
            #expect(
                list.output.contains(
                    "<bob@example.test> to <alice@example.test> and 1 more\n    code 1, policy: freezenet +"))
            #expect(list.output.contains("\(id) ") && list.output.contains("\(other) "))
            let json = try await Self.freezer(instance, ["list", "--json", "--to", "postmaster@example.test"])
            let value = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
            #expect(value?["id"] as? String == id && value?["recipients"] as? Int == 2, "\(json.output)")
            #expect(try await Self.freezer(instance, ["list", "--older-than", "1h"]).output.isEmpty)

            let show = try await Self.freezer(instance, ["show", id])
            #expect(show.status == .exited(0), "\(show.output)")
            for text in [
                "from     <bob@example.test>", "why      code 1, policy: freezenet +", "Subject: cold \\x1b[2J",
            ] {
                #expect(show.output.contains(text), "\(text) is missing in\n\(show.output)")
            }
            let raw = try await Self.freezer(instance, ["show", id, "--raw"])
            #expect(raw.output.hasSuffix("Subject: cold \u{1b}[2J\r\n\r\nbody of it\r\n"), "\(raw.output)")

            let released = try await Self.freezer(instance, ["release", id])
            #expect(released.status == .exited(0), "\(released.output)")
            try await instance.waitForMail(of: "alice", count: 1)
            try await instance.waitForMail(of: "postmaster", count: 1)
            #expect(instance.maildir("alice").texts.first?.contains("body of it") == true)
            #expect(instance.spoolFiles["freezer"] == [other], "the other one stays")
            let again = try await Self.freezer(instance, ["release", id])
            #expect(
                again.status == .exited(66) && again.output.contains("\(id) is not in the freezer"), "\(again.output)")

            let trace = try await Self.trace(instance, id)
            for text in ["frozen (1): freezenet +", "let out of the freezer, by ", "routed, recipients 2", "delivered"]
            {
                #expect(trace.contains(text), "\(text) is missing in\n\(trace)")
            }
            #expect(try await Self.trace(instance, other).contains("frozen (code 1, policy): freezenet +"))
        }
    }

    @Test("a returned message comes back to its sender with the reason; one from nobody stays until it is dropped")
    func bounce() async throws {
        try await Instance.run {
            $0 = Self.settings()
        } _: { instance in
            let id = try Self.freeze(instance, subject: "unwanted")
            let null = try Self.freeze(instance, from: "", subject: "from nobody")
            let bounced = try await Self.freezer(instance, ["bounce", id, null])
            #expect(bounced.status == .exited(65), "\(bounced.output)")
            #expect(bounced.output.contains("\(null): its sender is <>"), "\(bounced.output)")
            try await instance.waitForMail(of: "bob", count: 1)
            let report = try #require(instance.maildir("bob").texts.first)
            for text in [
                "Return-Path: <>", "report-type=delivery-status", "Action: failed", "Status: 5.7.1",
                "alice@example.test", "freezenet +", "Subject: unwanted",
            ] {
                #expect(report.contains(text), "\(text) is missing in\n\(report)")
            }
            #expect(instance.spoolFiles["freezer"] == [null])
            let dropped = try await Self.freezer(instance, ["drop", null])
            #expect(dropped.status == .exited(0), "\(dropped.output)")
            try await instance.waitForEmptySpool()
            #expect(Self.freezerIsEmpty(instance), "no note is left")
            #expect(instance.maildir("alice").count == 0)
            let trace = try await Self.trace(instance, id)
            #expect(trace.contains("returned from the freezer, by "), "\(trace)")
        }
    }

    @Test("a release that was killed in the middle is completed when the router starts, and delivers once")
    func killed() async throws {
        try await Instance.run {
            $0 = Self.settings()
        } _: { instance in
            let id = try Self.freeze(instance, subject: "half out")
            instance.crash()
            try FileManager.default.moveItem(
                atPath: "\(instance.postoffice)/freezer/\(id)", toPath: "\(instance.postoffice)/router/\(id).released")
            try await instance.start()
            try await instance.waitForMail(of: "alice", count: 1)
            try await instance.waitForEmptySpool()
            #expect(Self.freezerIsEmpty(instance), "no note is left")
        }
    }

    @Test(
        "mail that stays too long goes as zmailer.conf says",
        arguments: [("drop", 0, 0), ("bounce", 0, 1), ("release", 1, 0)])
    func ageing(action: String, delivered: Int, reported: Int) async throws {
        try await Instance.run {
            $0 = Self.settings(["FREEZERMAXAGE": "2s", "FREEZERAGED": action])
        } _: { instance in
            _ = try Self.freeze(instance, subject: "forgotten")
            try await instance.waitForEmptySpool()
            try await instance.waitForMail(of: "alice", count: delivered)
            try await instance.waitForMail(of: "bob", count: reported)
            try await waitUntil("nothing is left", details: { instance.report }) { Self.freezerIsEmpty(instance) }
            try await waitUntil("it is in the log", details: { instance.report }) {
                instance.log.contains("by=FREEZERMAXAGE=2s")
            }
        }
    }

    @Test("a wrong setting is told by zmailer check, and an id that is none by the command line")
    func mistakes() async throws {
        var settings = Self.settings(["FREEZERAGED": "burn"])
        settings.buildsPolicy = false
        let instance = try await Instance(settings)
        let check = try await instance.zmailer("check")
        #expect(check.status == .exited(78), "\(check.output)")
        #expect(
            check.output.contains("FREEZERAGED: 'burn' is not known; valid are bounce, drop, release"),
            "\(check.output)")
        let wrong = try await instance.zmailer("freezer", "drop", "12x")
        #expect(wrong.status == .exited(64), "\(wrong.output)")
        #expect(wrong.output.contains("'12x' is no queue id"), "\(wrong.output)")
    }
}
