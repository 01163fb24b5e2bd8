import Configuration
import Glibc
import Postoffice
import ProgramKit
import SpoolFormat
import Testing

@testable import Freezer
@testable import Supervisor

@Suite("zmailer freezer")
struct FreezerCommandTests {
    /// An instance of a spool and a log folder.
    private final class Scene {
        let root: String
        let postoffice: Postoffice
        var environment: ZEnvironment {
            ZEnvironment(values: [
                "POSTOFFICE": "\(root)/po", "LOGDIR": "\(root)/log", "MAILSHARE": root, "HOSTNAME": "mx.example.test",
            ])
        }

        init() throws {
            var template = Array("/tmp/zf-XXXXXX".utf8CString)
            try #require(mkdtemp(&template) != nil)
            root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            postoffice = try Postoffice("\(root)/po", creating: true)
            try #require(mkdir("\(root)/log", 0o755) == 0)
        }

        deinit { system("rm -rf '\(root)'") }

        @discardableResult
        func freeze(
            from sender: String? = "a@b.test", to recipients: [String] = ["x@y.test"], age: Int64 = 0,
            source: String = FreezeNote.policy, reason: String = "freezenet + via [192.0.2.1]",
            header: String = "Subject: lost cause\r\n"
        ) throws -> SpoolID {
            let id = SpoolID(rawValue: postoffice.newID().rawValue - UInt64(age * 1000) << 22)
            var envelope = MessageEnvelope()
            envelope.sender = sender
            envelope.recipients = recipients.map { EnvelopeRecipient(address: $0) }
            try postoffice.submit(
                id, [envelope.encoded(), Array("\(header)\r\nbody\r\n".utf8)],
                to: .freezer(FreezeNote(code: 2, time: id.unixTime, source: source, reason: reason)))
            return id
        }

        func message(_ id: SpoolID) throws -> FrozenMessage { try FrozenMessage(id, in: postoffice) }

        var names: [String] { ProcFile.names(in: "\(root)/po/freezer").sorted() }
        var routed: [String] { ProcFile.names(in: "\(root)/po/router").sorted() }
        var log: String { ProcFile.read("\(root)/log/freezer") }
    }

    @Test("the list shows what it is, from whom, to whom, and why")
    func line() throws {
        let scene = try Scene()
        let id = try scene.freeze(to: ["x@y.test", "z@y.test"], age: 7200)
        let lines = FreezerListing(now: id.unixTime + 7200).line(try scene.message(id)).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].hasPrefix("\(id) "))
        #expect(lines[0].hasSuffix(" 2h00m    <a@b.test> to <x@y.test> and 1 more"))
        #expect(lines[1] == "    code 2, policy: freezenet + via [192.0.2.1]")
    }

    @Test("an object has all keys, whatever is known")
    func json() throws {
        let scene = try Scene()
        let keys: Set = [
            "id", "arrived", "frozen", "age", "size", "sender", "recipients", "first_recipient", "code", "source",
            "reason",
            "problem",
        ]
        let id = try scene.freeze(source: "/filter", reason: "say \"no\"\u{7}")
        let listing = FreezerListing(now: id.unixTime + 5)
        let value = try JSONValue(parsing: listing.json(try scene.message(id)).utf8)
        guard case .object(let members) = value else { return #expect(Bool(false), "no object") }
        #expect(Set(members.keys) == keys)
        #expect(value["id"]?.string == "\(id)" && value["age"]?.integer == 5 && value["code"]?.integer == 2)
        #expect(value["sender"]?.string == "a@b.test" && value["first_recipient"]?.string == "x@y.test")
        #expect(value["source"]?.string == "/filter" && value["reason"]?.string == "say \"no\" ")
        #expect(value["problem"] == .null)
        try #require(unlink(scene.postoffice.notePath(id)) == 0)
        try #require(truncate(scene.postoffice.path(.freezer, id), 10) == 0)
        let broken = try JSONValue(parsing: listing.json(try scene.message(id)).utf8)
        guard case .object(let few) = broken else { return #expect(Bool(false), "no object") }
        #expect(Set(few.keys) == keys)
        #expect(broken["sender"] == .null && broken["code"] == .null && broken["problem"]?.string != nil)
    }

    @Test(
        "what is asked for has to match",
        arguments: [
            (FreezerFilter(), true), (FreezerFilter(from: "A@B.test"), true), (FreezerFilter(from: "<a@b.test>"), true),
            (FreezerFilter(from: "@b.test"), true), (FreezerFilter(from: "@test"), false),
            (FreezerFilter(from: ""), false),
            (FreezerFilter(to: "z@Y.test"), true), (FreezerFilter(to: "q@y.test"), false),
            (FreezerFilter(olderThan: 7200), true), (FreezerFilter(olderThan: 7201), false),
            (FreezerFilter(reason: "FREEZENET"), true), (FreezerFilter(reason: "policy: f"), true),
            (FreezerFilter(reason: "virus"), false), (FreezerFilter(from: "a@b.test", to: "q@y.test"), false),
        ])
    func filter(filter: FreezerFilter, expected: Bool) throws {
        let scene = try Scene()
        let id = try scene.freeze(to: ["x@y.test", "z@y.test"])
        #expect(filter.matches(try scene.message(id), now: id.unixTime + 7200) == expected)
        let bounce = try scene.message(try scene.freeze(from: nil))
        #expect(FreezerFilter(from: "<>").matches(bounce, now: 0))
    }

    @Test(
        "nothing of a message moves the cursor, and nothing of it is lost",
        arguments: [
            (Array("plain ü €".utf8), "plain ü €"), (Array("\u{1b}[2J".utf8), "\\x1b[2J"),
            ([0x61, 0xff, 0x62], "a\\xffb"),
            (Array("\u{202e}x".utf8), "\\u{202e}x"), (Array("a\tb\rc".utf8), "a\tb\\x0dc"),
            ([0xe2, 0x82], "\\xe2\\x82"),
            ([0xc0, 0x80, 0xed, 0xa0, 0x80], "\\xc0\\x80\\xed\\xa0\\x80"), (Array("\u{9b}".utf8), "\\u{009b}"),
            ([], ""),
        ])
    func escaped(octets: [UInt8], expected: String) { #expect(TerminalText.escaped(octets) == expected) }

    @Test("a hostile message is shown with its control characters escaped")
    func overview() throws {
        let scene = try Scene()
        let id = try scene.freeze(
            from: "a\u{202e}@b.test", reason: "bad\u{9b}2J",
            header: "Subject: \u{1b}]0;owned\u{7}\r\nX: 1\r\n\tfolded\r\n")
        let text = FreezerListing(now: id.unixTime + 90).description(try scene.message(id))
        for line in [
            "message  \(id)", "why      code 2, policy: bad\\u{009b}2J", "from     <a\\u{202e}@b.test>",
            "to       <x@y.test>",
            "Subject: \\x1b]0;owned\\x07", "X: 1", "\tfolded",
        ] {
            #expect(text.split(separator: "\n").contains(Substring(line)), "\(line) is missing in\n\(text)")
        }
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || $0 == "\t" || ($0.value >= 0x20 && $0.value < 0x7f) })
    }

    @Test("what is done is printed and logged, and the exit code tells of the first that could not be done")
    func act() throws {
        let scene = try Scene()
        let ids = try (0..<4).map { try scene.freeze(from: $0 == 3 ? nil : "a@b.test") }
        #expect(FreezerCommand.act(scene.environment, .release, [ids[0], SpoolID(rawValue: 17)]) == .noInput)
        #expect(scene.routed == ["\(ids[0])"])
        #expect(FreezerCommand.act(scene.environment, .drop, [ids[1]]) == .ok)
        #expect(FreezerCommand.act(scene.environment, .bounce, [ids[3], ids[2]]) == .dataError)
        #expect(scene.names == ["\(ids[3])", "\(ids[3]).reason"])
        #expect(scene.routed.count == 2)
        let events = scene.log.split(separator: "\n").map { $0.split(separator: " ")[3] }
        #expect(events == ["freezer-released", "freezer-dropped", "freezer-bounced"])
        #expect(FreezerCommand.list(scene.environment, FreezerFilter(), json: true) == .ok)
        #expect(FreezerCommand.show(scene.environment, ids[3], .header) == .ok)
        #expect(FreezerCommand.show(scene.environment, ids[0], .overview) == .noInput)
    }

    @Test("nothing is done that cannot be logged, or with a configuration that is wrong")
    func refused() throws {
        let scene = try Scene()
        let id = try scene.freeze()
        var environment = scene.environment
        environment["LOGDIR"] = "\(scene.root)/nowhere"
        #expect(FreezerCommand.act(environment, .drop, [id]) == .cannotCreate)
        environment = scene.environment
        environment["FREEZERMAXAGE"] = "x"
        #expect(FreezerCommand.act(environment, .drop, [id]) == .configuration)
        environment["POSTOFFICE"] = "\(scene.root)/nowhere"
        #expect(FreezerCommand.act(environment, .drop, [id]) == .osFile)
        #expect(scene.names.count == 2)
    }

    @Test("zmailer queue and trace take the message for one, and its note for none")
    func queue() throws {
        let scene = try Scene()
        let id = try scene.freeze()
        #expect(QueueClient(scene.environment).unrouted().map(\.name) == ["\(id)"])
        let places = TracePlace.all(["\(id)"], in: "\(scene.root)/po")
        #expect(places.map(\.name) == ["freezer/\(id)"])
        #expect(
            places.first?.meaning
                == "frozen (code 2, policy): freezenet + via [192.0.2.1]; zmailer freezer release \(id) lets it go")
    }

    @Test("a trace tells of what was done in the freezer, and follows the report")
    func trace() throws {
        let fixture = try TraceFixture()
        let (id, report) = (TraceFixture.message, TraceFixture.report)
        try fixture.write(
            TraceFixture.line(
                50,
                "zmailer[7]: notice freezer-bounced queue-id=\(id) by=\"root (sudo eve)\" to=a@b.test report-id=\(report) "
                    + "recipients=2 frozen=1 reason=\"freezenet + via x\"")
                + TraceFixture.line(
                    51, "router[8]: info routed queue-id=\(report) from=<> size=1 nrcpts=1 msgid=<r> delay=0"),
            to: "log/freezer")
        let trace = try fixture.run("\(id)")
        #expect(trace.found.contains("router routed \(report)"))
        let text = try #require(trace.events.first.map(TraceText.text))
        #expect(
            text
                == "returned from the freezer, by root (sudo eve): notification \(report) to <a@b.test> about recipients 2: "
                + "freezenet + via x")
    }
}
