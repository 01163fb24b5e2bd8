import Glibc
import SpoolFormat
import Testing

@testable import Supervisor

@Suite("zmailer trace")
struct TraceTests {
    private typealias Scene = TraceFixture

    @Test("a message is followed from its session to the notification about it, and what others did is left out")
    func message() throws {
        let fixture = try TraceFixture()
        try fixture.writeScene()
        let report = try fixture.run("\(Scene.message)")
        #expect(report.messages == ["\(Scene.message)", "\(Scene.report)"])
        #expect(
            report.found == [
                "smtpserver refused -", "smtpserver accepted \(Scene.message)", "router routed \(Scene.message)",
                "scheduler delivery \(Scene.message)", "smtpserver ended -", "scheduler report \(Scene.message)",
                "router routed \(Scene.report)", "scheduler delivery \(Scene.report)",
            ])
        let lines = report.text.split(separator: "\n").map(String.init)
        #expect(lines.count == 10)
        #expect(lines[0].hasPrefix("2026-11-21 05:10:02.000  smtpserver  "))
        #expect(
            lines[1].hasSuffix(
                "\(Scene.message)  accepted from <a@client.test>, client [192.0.2.1], recipients 1, 1234 octets, "
                    + "session \(Scene.session)"))
        #expect(
            lines[3].hasSuffix(
                "<gone@remote.test> by smtp/h: failed at mx (192.0.2.9) after 4 s, 5.1.1 no such user"))
        #expect(lines[5].hasSuffix("notification \(Scene.report) to <a@client.test> about recipients 1"))
        #expect(lines[8] == "now: \(Scene.message) (\(Scene.message.zmailerName)) is no longer in the spool")
    }

    @Test("by every name of it the same is found")
    func names() throws {
        let fixture = try TraceFixture()
        try fixture.writeScene()
        let all = try fixture.run("\(Scene.message)").found
        for name in [Scene.message.zmailerName, "<one@client.test>", "one@client.test", "\(Scene.report)"] {
            #expect(try fixture.run(name).found == all, "\(name)")
        }
        #expect(try fixture.run("<t w@x>").messages == ["\(Scene.sibling)"])
    }

    @Test("a session has all its messages and refusals")
    func session() throws {
        let fixture = try TraceFixture()
        try fixture.writeScene()
        let report = try fixture.run(Scene.session)
        #expect(report.messages == ["\(Scene.message)", "\(Scene.sibling)", "\(Scene.report)"])
        #expect(report.found.count == 11)
    }

    @Test(
        "addresses find the newest messages and refusals, in any case",
        arguments: [
            ("a@client.test", nil, [Scene.message, Scene.stranger, Scene.report]),
            (nil, "gone@remote.test", [Scene.message, Scene.stranger, Scene.report]),
            ("b@client.test", "gone@remote.test", []), ("b@client.test", "here@remote.test", [Scene.sibling]),
            ("<>", nil, [Scene.message, Scene.report]), ("<>", "a@client.test", [Scene.message, Scene.report]),
        ] as [(String?, String?, [SpoolID])])
    func addresses(from: String?, to: String?, expected: [SpoolID]) throws {
        let fixture = try TraceFixture()
        try fixture.writeScene()
        let report = fixture.run(TraceSubject(from: from, to: to))
        #expect(report.messages == expected.map(\.description))
        #expect(report.isEmpty == expected.isEmpty)
    }

    @Test("a refused recipient is found by its address, with its session")
    func refusal() throws {
        let fixture = try TraceFixture()
        try fixture.writeScene()
        let report = fixture.run(TraceSubject(from: "A@client.test", to: "<NO@example.test>"))
        #expect(report.messages == [])
        #expect(report.found == ["smtpserver refused -", "smtpserver ended -"])
    }

    @Test("of many messages the newest are followed, and it is said that there are more")
    func newest() throws {
        let fixture = try TraceFixture()
        let lines = (0..<30).map { number in
            Scene.line(
                Int64(number),
                "smtpserver[1]: info accepted queue-id=\(Scene.name(Int64(number))) session=\(number) client=[192.0.2.1] "
                    + "from=a@b nrcpt=1 size=1")
        }
        try fixture.write(lines.joined(), to: "log/smtpserver")
        let report = fixture.run(TraceSubject(from: "a@b", to: nil), newest: 3)
        #expect(report.messages == ([27, 28, 29] as [Int64]).map { "\(Scene.name($0))" })
        #expect(report.remarks.contains("27 older ones match; --last 30 shows all"))
    }

    @Test("rotated files are read, also compressed with gzip; of others it is said that they are not")
    func rotated() throws {
        let fixture = try TraceFixture()
        try fixture.writeScene()
        rename("\(fixture.root)/log/smtpserver", "\(fixture.root)/log/smtpserver.2")
        rename("\(fixture.root)/log/router", "\(fixture.root)/log/router.1")
        system("gzip '\(fixture.root)/log/smtpserver.2'")
        try fixture.write("x", to: "log/scheduler.3.xz")
        try fixture.write("no gzip", to: "log/scheduler.4.gz")
        let report = try fixture.run("\(Scene.message)")
        #expect(report.found.count == 8)
        #expect(report.coverage.contains { $0.path.hasSuffix("smtpserver.2.gz") && $0.isComplete && $0.octets > 500 })
        #expect(report.remarks.contains("\(fixture.root)/log/scheduler.3.xz: compressed; only .gz is read"))
        #expect(report.remarks.contains("\(fixture.root)/log/scheduler.4.gz: gzip cannot read it"))
    }

    @Test("the newest octets are read when not all may be, from the beginning of a line, and that is said")
    func limit() throws {
        let fixture = try TraceFixture()
        let old = Scene.line(3, "router[8]: info routed queue-id=\(Scene.message) msgid=<old@x> delay=0")
        let new = Scene.line(4, "scheduler[8]: info delivery queue-id=\(Scene.message) to=a@b status=relayed text=new")
        let filler = String(repeating: Scene.line(3, "router[8]: info routed queue-id=17 msgid=<x@x>"), count: 20)
        try fixture.write(old + filler + new, to: "log/all")
        let report = fixture.run(.queueID(Scene.message), limit: new.utf8.count + 30)
        #expect(report.found == ["scheduler delivery \(Scene.message)"])
        #expect(report.remarks.count == 1)
        #expect(report.remarks[0].contains("not all of \(fixture.root)/log/all; --all reads everything"))
        #expect(fixture.run(.queueID(Scene.message)).found.count == 2)
    }

    @Test("long lines, lines without an end and what is no log do no harm")
    func oddFiles() throws {
        let fixture = try TraceFixture()
        let long = "x queue-id=\(Scene.message) " + String(repeating: "y", count: 3 << 20)
        let last = Scene.line(3, "router[8]: info routed queue-id=\(Scene.message) msgid=<x@x>").dropLast()
        try fixture.write("\n\n\0\n\(long)\n\(last)", to: "log/odd")
        try fixture.write("", to: "log/empty")
        mkfifo("\(fixture.root)/log/pipe", 0o600)
        mkdir("\(fixture.root)/log/folder", 0o700)
        #expect(try fixture.run("\(Scene.message)").found == ["router routed \(Scene.message)"])
    }

    @Test("the dialogue of smtpserver -l is shown with the session that it belongs to")
    func dialogue() throws {
        let fixture = try TraceFixture()
        try fixture.writeScene()
        try fixture.write(
            """
            YOJXAAA0000#\tconnection from [192.0.2.1]:4711 on port 25 childs 1 session=\(Scene.session)
            YOJXAAB0000#\tconnection from [192.0.2.2]:4711 on port 25 childs 2 session=\(Scene.session(1))
            YOJXAAA0001r\tEHLO client.test
            YOJXAAB0001r\tEHLO other.test
            YOJXAAA0001w\t250 HELP
            YOJXAAA0009#\tconnection timeout

            """, to: "log/sessions")
        let report = try fixture.run("\(Scene.message)")
        #expect(
            report.found.filter { $0.hasPrefix("dialogue") } == [
                "dialogue # connection from [192.0.2.1]:4711 on port 25 childs 1 session=\(Scene.session)",
                "dialogue r EHLO client.test", "dialogue w 250 HELP", "dialogue # connection timeout",
            ])
        let line = report.text.split(separator: "\n").first { $0.hasSuffix("  client: EHLO client.test") }
        #expect(line?.hasPrefix("2026-11-21 05:10:02.000  smtpserver  ") == true)
    }

    @Test("places in the spool are told, with what they mean")
    func places() throws {
        let fixture = try TraceFixture()
        let cases: [(SpoolID, [String], [String])] = [
            (Scene.name(1), ["router"], ["router/: accepted, to be routed"]),
            (Scene.name(2), ["router", "queue", "transport"], ["queue/: with the scheduler"]),
            (Scene.name(3), ["queue"], ["queue/: without a control file"]),
            (Scene.name(4), ["freezer"], ["freezer/: frozen; zmailer freezer release "]),
            (Scene.name(5), ["deferred"], ["deferred/: routing was tried"]),
        ]
        for (id, folders, expected) in cases {
            for folder in folders { try fixture.write("x", to: "po/\(folder)/\(id)") }
            let report = try fixture.run("\(id)")
            #expect(report.places.count == expected.count)
            for (place, text) in zip(report.places, expected) {
                #expect("\(place.name.replacing("\(id)", with: "")): \(place.meaning)".hasPrefix(text))
            }
            #expect(!report.isEmpty)
        }
        try fixture.write("x", to: "po/postman/\(Scene.name(6)):poison")
        try fixture.write("x", to: "po/postman/\(Scene.name(6))0:poison")
        #expect(
            try fixture.run("\(Scene.name(6))").places.map(\.name) == ["postman/\(Scene.name(6)):poison"])
    }

    @Test("without the scheduler what comes next is not known, and that is said")
    func noScheduler() throws {
        let fixture = try TraceFixture()
        try fixture.write("x", to: "po/queue/\(Scene.message)")
        try fixture.write("x", to: "po/transport/\(Scene.message)")
        let report = try fixture.run("\(Scene.message)")
        #expect(report.remarks.count == 1)
        #expect(report.remarks[0].contains("the scheduler does not answer"))
        #expect(report.remarks[0].hasSuffix("what comes next is not known"))
    }

    @Test("of what is not known it is said what was read")
    func nothing() throws {
        let fixture = try TraceFixture()
        try fixture.writeScene()
        let report = try fixture.run("\(Scene.name(77))")
        #expect(report.isEmpty)
        #expect(report.searched.hasPrefix("nothing is known of \(Scene.name(77))\n"))
        for name in ["smtpserver", "router", "scheduler"] {
            #expect(report.searched.contains("\(fixture.root)/log/\(name)"))
        }
    }

    @Test("JSON has the documented keys, and hostile text stays in its place")
    func json() throws {
        let fixture = try TraceFixture()
        try fixture.write(
            Scene.line(
                5,
                "scheduler[9]: info delivery queue-id=\(Scene.message) to=a@b channel=smtp host=h relay=- delay=1 dsn=4.0.0 "
                    + #"status=deferred text="said \"no\" \x1b[2J""#), to: "log/scheduler")
        let report = try fixture.run("\(Scene.message)")
        #expect(report.text.contains("4.0.0 said \"no\" ?[2J"))
        let value = try JSONValue(parsing: report.json.utf8)
        let event = try #require(value["events"]?.elements.first)
        #expect(event["time"]?.string == "2026-11-21T05:10:06.000Z")
        #expect(event["program"]?.string == "scheduler")
        #expect(event["pid"]?.integer == 9)
        #expect(event["event"]?.string == "delivery")
        #expect(event["queue_id"]?.string == "\(Scene.message)")
        #expect(event["fields"]?["text"]?.string == "said \"no\" \u{1b}[2J")
        #expect(value["messages"]?.elements == [.string("\(Scene.message)")])
        #expect(value["searched"]?.elements.first?["complete"] == .bool(true))
        for key in ["subject", "places", "queue", "remarks"] { #expect(value[key] != nil, "\(key)") }
    }

    @Test(
        "what can be followed",
        arguments: [
            ("7523422846721671169", .queueID(SpoolID(rawValue: 7_523_422_846_721_671_169))),
            ("17", .queueID(SpoolID(rawValue: 17))), ("1k8zq9b2mncdp", .session("1k8zq9b2mncdp")),
            ("<a@b>", .messageID("<a@b>")), ("a@b", .messageID("<a@b>")), ("<odd>", .messageID("<odd>")),
            ("", nil), ("A1B2", nil), ("a b", nil), ("99999999999999999999999", nil), ("<a\u{1b}@b>", nil), ("-1", nil),
        ] as [(String, TraceSubject?)])
    func subjects(text: String, expected: TraceSubject?) { #expect(TraceSubject(text) == expected) }
}
