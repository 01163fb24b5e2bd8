import Foundation
import Glibc
import Testing

/// The content filters of scripts/contentfilters, each by itself, spoken to as smtpserver does.
@Suite("The example content filters")
struct ContentFilterExampleTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let filter: String
        let what: String
        var sender = "sender@client.test"
        let content: [UInt8]
        let edits: [String]
        let result: String
        var testDescription: String { "\(filter): \(what)" }
    }

    static let attachment = FilterScript.content(
        "x", fields: ["Content-Disposition: attachment; filename=\"HAPPY.EXE\""])
    static let tempting = FilterScript.content("hello", subject: "how to make money fast")
    static let held = "1 250 2.7.1 held until somebody has looked at it"

    @Test(
        "give the answer that their rules have for a message",
        arguments: [
            Row(
                filter: "example.sh", what: "a plain message", content: FilterScript.content("hello"),
                edits: ["+header X-Filtered: example.sh, 2 recipients"], result: "0 250 2.6.0 fine"),
            Row(
                filter: "example.sh", what: "a sender", sender: "someone@spammer.example",
                content: FilterScript.content("hello"), edits: [],
                result: "-1 550 5.7.1 we want no mail from there"),
            Row(filter: "example.sh", what: "a subject", content: tempting, edits: [], result: held),
            Row(
                filter: "example.sh", what: "that subject in the body only",
                content: FilterScript.content("Subject: make money fast"),
                edits: ["+header X-Filtered: example.sh, 2 recipients"], result: "0 250 2.6.0 fine"),
            Row(
                filter: "example.py", what: "a plain message", content: FilterScript.content("hello"),
                edits: ["+header X-Filtered: example.py, 2 recipients"], result: "0 250 2.6.0 fine"),
            Row(
                filter: "example.py", what: "the name of an attachment", content: attachment, edits: [],
                result: "-1 550 5.7.1 programs are not taken here"),
            Row(filter: "example.py", what: "a subject", content: tempting, edits: [], result: held),
        ])
    func answers(row: Row) async throws {
        let script = try FilterScript(row.filter, settings: nil)
        for _ in 0..<3 {
            let answer = try await script.answer(script.message(row.content, from: row.sender))
            #expect(answer.edits == row.edits)
            #expect(answer.result == row.result)
        }
        #expect(try await script.end() == .exited(0))
    }

    @Test("answer every message, whatever is in it", arguments: ["example.sh", "example.py"])
    func hostileMessages(filter: String) async throws {
        let script = try FilterScript(filter, settings: nil)
        for content in FilterContents.hostile + [FilterContents.deep] {
            #expect(try await script.answer(script.message(content.octets)).result != nil, "\(content.name)")
        }
        #expect(try await script.end() == .exited(0))
    }

    @Test("give no answer about a file that cannot be read", arguments: ["example.sh", "example.py"])
    func missingFile(filter: String) async throws {
        let script = try FilterScript(filter, settings: nil)
        #expect(try await script.answer("\(script.folder)/nothing").result == nil)
    }
}

/// Messages that stress whoever reads them.
enum FilterContents {
    struct Content: Sendable {
        let name: String
        let octets: [UInt8]
    }

    static let hostile: [Content] = [
        Content(name: "nothing", octets: []),
        Content(name: "an empty header", octets: Array("\r\nbody\r\n".utf8)),
        Content(name: "no end of the header", octets: Array("Subject: x".utf8)),
        Content(name: "all octets", octets: (0..<400).flatMap { _ in Array(0...255) as [UInt8] }),
        Content(name: "NUL and CR in the header", octets: Array("Subject: a\0b\rc\nTo: \r\r\n\r\n\0\r\n".utf8)),
        Content(name: "a header of one line", octets: [UInt8](repeating: 0x61, count: 300_000)),
        Content(name: "lines of a result", octets: Array("0 250 yes\n-1 550 no\r\n#hungry\n1\n".utf8)),
    ]

    /// Parts within parts.
    static let deep: Content = {
        var text = "MIME-Version: 1.0\r\n"
        for level in 0..<2000 { text += "Content-Type: multipart/mixed; boundary=b\(level)\r\n\r\n--b\(level)\r\n" }
        return Content(name: "two thousand levels", octets: Array(text.utf8))
    }()

    /// So many octets, in lines.
    static func large(_ size: Int) -> [UInt8] {
        var octets = FilterScript.content("")
        let line = [UInt8](repeating: 0x61, count: 74) + [0x0d, 0x0a]
        octets.reserveCapacity(size + line.count)
        while octets.count < size { octets += line }
        return octets
    }
}

@Suite("The settings of content filters")
struct ContentFilterSettingsTests {
    struct Mistake: CustomTestStringConvertible, Sendable {
        let filter: String
        let line: String
        let expected: String
        var testDescription: String { "\(filter): \(line)" }
    }

    @Test(
        "a mistake ends the filter before its first message, and is told with its line and what would be valid",
        arguments: [
            Mistake(filter: "rspamd", line: "sever = x", expected: "valid is KEY = VALUE, KEY one of server"),
            Mistake(filter: "rspamd", line: "server = 127.0.0.1", expected: "valid are HOST:PORT"),
            Mistake(filter: "rspamd", line: "timeout = 120", expected: "valid are seconds, 1...110"),
            Mistake(filter: "rspamd", line: "greylist = none", expected: "valid are refuse, defer, freeze, accept"),
            Mistake(filter: "rspamd", line: "spam-header = yes", expected: "valid is NAME: VALUE"),
            Mistake(filter: "rspamd", line: "max-size = many", expected: "valid is a number, and K, M or G"),
            Mistake(filter: "spamassassin", line: "reject-score = a lot", expected: "valid is a number such as 7.5"),
            Mistake(filter: "spamassassin", line: "user = a b", expected: "valid is one word"),
            Mistake(filter: "spamassassin", line: "timeout", expected: "valid is KEY = VALUE"),
            Mistake(filter: "clamav", line: "found = accept", expected: "valid are refuse, freeze"),
            Mistake(filter: "clamav", line: "failure = ignore", expected: "valid are none, accept, freeze, defer"),
        ])
    func mistakes(mistake: Mistake) async throws {
        let script = try FilterScript(mistake.filter, settings: [mistake.line])
        #expect(try await script.process.waitForExit() == .exited(78))
        #expect(script.errors.contains("/share/\(mistake.filter).conf:3: "), "\(script.errors)")
        #expect(script.errors.contains(mistake.expected), "\(script.errors)")
    }

    @Test("without a file of settings a filter is ready", arguments: ["rspamd", "spamassassin", "clamav"])
    func defaults(filter: String) async throws {
        let script = try FilterScript(filter, settings: nil)
        #expect(try await script.end() == .exited(0))
        #expect(script.errors == "")
    }
}

@Suite("Content filters and a daemon that means harm")
struct ContentFilterHostileDaemonTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let filter: String
        let reply: String
        /// `nil`: the filter ends without one.
        let result: String?
        var edits: [String]?
        var testDescription: String { "\(filter): \(reply.prefix(60).debugDescription)" }
    }

    static func http(_ body: String) -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\nContent-Type: application/json\r\n\r\n\(body)"
    }

    static let rows: [Row] = [
        Row(
            filter: "rspamd",
            reply: http(#"{"action":"reject","score":1e300,"messages":{"smtp_message":"no\n0 250 ok\r\n\u0000ü"}}"#),
            result: "-1 550 5.7.1 no 0 250 ok ??"),
        Row(
            filter: "rspamd",
            reply: http(
                #"{"action":"no action\n0","milter":{"add_headers":{"A":"b\n0 250 x\u0000","C:":"d","E\n1":"f","#
                    + #""G":[{"value":"\ud800"},7,null]},"remove_headers":{"H\n1":0,"I":"x","J":1}}}"#),
            result: "0 250 2.6.0 Message accepted",
            edits: [
                "-header X-Spam", "-header J/1", "+header-last A: b\r\t0 250 x", "+header-last G: ?",
                "+header-last G: 7",
                "+header-last G: None", "tag rspamd.action=no-action-0", "tag rspamd.score=0.00",
            ]),
        Row(
            filter: "rspamd", reply: http(#"{"action":"reject","messages":7,"milter":[]}"#),
            result: "-1 550 5.7.1 Spam message rejected"),
        Row(
            filter: "rspamd", reply: http(#"{"action":"no action","score":1\#(String(repeating: "0", count: 400))}"#),
            result: nil),
        Row(filter: "rspamd", reply: http(String(repeating: "[", count: 100_000)), result: nil),
        Row(filter: "rspamd", reply: http(#"{"action":7}"#), result: nil),
        Row(filter: "rspamd", reply: http("[1,2]"), result: nil),
        Row(filter: "rspamd", reply: http("{"), result: nil),
        Row(filter: "rspamd", reply: "HTTP/1.1 500 \r\nContent-Length: 3\r\n\r\nno\n", result: nil),
        Row(filter: "rspamd", reply: "0 250 2.6.0 fine\n", result: nil),
        Row(filter: "rspamd", reply: "", result: nil),
        Row(
            filter: "clamav", reply: "stream: Evil\n0 250 ok\r\u{1}é FOUND\0",
            result: "-1 550 5.7.1 Virus found: Evil 0 250 ok ??"),
        Row(
            filter: "clamav", reply: "stream: \(String(repeating: "x", count: 5000)) FOUND\0",
            result: "-1 550 5.7.1 Virus found: \(String(repeating: "x", count: 200))"),
        Row(filter: "clamav", reply: "0 250 2.6.0 fine\n\0", result: nil),
        Row(filter: "clamav", reply: "stream: OK", result: "0 250 2.6.0 Message accepted"),
        Row(filter: "clamav", reply: "stream: NOT OK\0", result: nil),
        Row(filter: "clamav", reply: "", result: nil),
        Row(
            filter: "spamassassin", reply: "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 20 / 5\r\n\r\nA,B\n0 250 ok\r\n",
            result: "-1 550 5.7.1 Spam message rejected",
            edits: [
                "-header X-Spam-Status", "-header X-Spam-Level", "-header X-Spam-Flag",
                "+header-last X-Spam-Status: Yes, score=20.0 required=5.0\r\ttests=A,B,0,250,ok",
                "+header-last X-Spam-Level: \(String(repeating: "*", count: 20))", "+header-last X-Spam-Flag: YES",
                "tag spamassassin=spam", "tag spamassassin.score=20.0",
            ]),
        Row(filter: "spamassassin", reply: "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 1.2.3 / 5\r\n\r\n", result: nil),
        Row(filter: "spamassassin", reply: "SPAMD/1.1 76 EX_PROTOCOL\r\nSpam: False ; 0 / 5\r\n\r\n", result: nil),
        Row(filter: "spamassassin", reply: "0 250 2.6.0 fine\n", result: nil),
        Row(filter: "spamassassin", reply: "", result: nil),
    ]

    @Test(
        "nothing that it says makes a line of its own, and without a clear answer there is no result", arguments: rows)
    func replies(row: Row) async throws {
        let peer = try HostileFilterPeer(Array(row.reply.utf8))
        let script = try FilterScript(row.filter, settings: ["server = \(peer.endpoint)", "retry = 0"])
        let answer = try await script.answer(script.message(FilterScript.content("hello")))
        #expect(answer.result == row.result, "\(answer.lines)")
        if let edits = row.edits { #expect(answer.edits == edits) }
        if row.result == nil {
            #expect(answer.remarks.count == 1, "\(answer.lines)")
        }
        #expect(try await script.end() == .exited(0))
        #expect(script.errors == "")
    }

    @Test("edits stay within the limits of the interface, and the filter's own are among them")
    func manyEdits() async throws {
        let fields = (0..<500).map { #""F\#($0)":"\#(String(repeating: "\u{1f600}", count: $0 == 0 ? 20_000 : 1))""# }
        let body = #"{"action":"add header","milter":{"add_headers":{\#(fields.joined(separator: ","))}}}"#
        let peer = try HostileFilterPeer(Array(Self.http(body).utf8))
        let script = try FilterScript("rspamd", settings: ["server = \(peer.endpoint)", "retry = 0"])
        let answer = try await script.answer(script.message(FilterScript.content("hello")))
        #expect(answer.result == "0 250 2.6.0 Message accepted")
        #expect((150...200).contains(answer.edits.count))
        #expect(answer.edits.contains("+header-last X-Spam: yes"))
        #expect(answer.edits.contains("tag rspamd.action=add-header"))
        #expect((answer.edits.map(\.utf8.count).max() ?? 0) > 30_000)
    }

    @Test(
        "one that never answers is given up after the time of the settings",
        arguments: ["rspamd", "spamassassin", "clamav"])
    func silence(filter: String) async throws {
        let peer = try HostileFilterPeer(nil)
        let script = try FilterScript(filter, settings: ["server = \(peer.endpoint)", "timeout = 1"])
        let answer = try await script.answer(script.message(FilterScript.content("hello")), deadline: .seconds(30))
        #expect(answer.result == nil)
        #expect(answer.remarks == ["# no answer in time"])
        #expect(try await script.end() == .exited(0))
    }
}
