import Foundation
import Glibc
import Testing

@Suite(
    "Content filter rspamd", .serialized, .enabled(if: RspamdPeer.isAvailable, RspamdPeer.requirement),
    .filterPeer(RspamdPeer.self))
struct ContentFilterRspamdTests {
    private func life() throws -> FilterLife<RspamdPeer> {
        FilterLife(peer: try SuitePeer.of(RspamdPeer.self), filter: "rspamd")
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let what: String
        var settings: [String] = []
        let content: [UInt8]
        let result: String
        /// Edits that must be among those of the answer.
        var edits: [String] = []
        var testDescription: String { what }
    }

    /// rspamd's four test patterns differ in their first letter.
    static func gtube(_ letter: Character) -> [UInt8] {
        FilterScript.content("\(letter)JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X")
    }

    static func wish(_ action: String) -> [UInt8] {
        FilterScript.content("hello", fields: ["X-Test-Action: \(action)"])
    }

    static let told = "as the test wants: 250 2.0.0 gr??e"

    @Test(
        "each action becomes what the settings say",
        arguments: [
            Row(what: "GTUBE", content: gtube("X"), result: "-1 550 5.7.1 Gtube pattern"),
            Row(
                what: "the pattern of add header", content: gtube("Y"), result: "0 250 2.6.0 Message accepted",
                edits: ["-header X-Spam", "+header-last X-Spam: yes", "tag rspamd.action=add-header"]),
            Row(
                what: "a spam header of the settings", settings: ["spam-header = X-Junk: certainly"],
                content: gtube("Y"), result: "0 250 2.6.0 Message accepted",
                edits: ["-header X-Junk", "+header-last X-Junk: certainly"]),
            Row(
                what: "the pattern of rewrite subject", content: gtube("Z"), result: "0 250 2.6.0 Message accepted",
                edits: ["-header Subject", "+header-last Subject: *** SPAM *** minutes of the meeting"]),
            Row(
                what: "a subject that is not ASCII",
                content: FilterScript.content(
                    "hello", fields: ["X-Test-Action: rewrite subject"], subject: "=?utf-8?q?Gr=C3=BC=C3=9Fe?="),
                result: "0 250 2.6.0 Message accepted",
                edits: ["+header-last Subject: =?UTF-8?Q?=2A=2A=2A_SPAM_=2A=2A=2A_Gr=C3=BC=C3=9Fe?="]),
            Row(
                what: "the pattern of no action", content: gtube("A"), result: "0 250 2.6.0 Message accepted",
                edits: ["tag rspamd.action=no-action"]),
            Row(what: "reject", content: wish("reject"), result: "-1 550 5.7.1 \(told)"),
            Row(what: "soft reject", content: wish("soft reject"), result: "-1 451 4.7.1 \(told)"),
            Row(what: "greylist", content: wish("greylist"), result: "0 250 2.6.0 Message accepted"),
            Row(
                what: "greylist, which is deferred", settings: ["greylist = defer"], content: wish("greylist"),
                result: "-1 451 4.7.1 \(told)"),
            Row(what: "quarantine", content: wish("quarantine"), result: "1 250 2.7.1 \(told)"),
            Row(what: "discard", content: wish("discard"), result: "1 250 2.7.1 \(told)"),
            Row(
                what: "reject, which is held", settings: ["reject = freeze"], content: gtube("X"),
                result: "1 250 2.7.1 Gtube pattern"),
            Row(
                what: "a message over max-size", settings: ["max-size = 10"], content: gtube("X"),
                result: "0 250 2.6.0 Message too large to be checked", edits: ["tag rspamd.action=too-large"]),
        ])
    func actions(row: Row) async throws {
        let script = try life().script(row.settings)
        let answer = try await script.answer(script.message(row.content))
        #expect(answer.result == row.result, "\(answer.lines)")
        for edit in row.edits { #expect(answer.edits.contains(edit), "\(answer.edits)") }
        #expect(try await script.end() == .exited(0))
    }

    @Test("it hears of the envelope and the client, and header fields that it adds and removes are told")
    func milter() async throws {
        let script = try life().script()
        let fields = [
            "X-Test-Milter: yes", "X-Last: 1", "x-last: 2", "X-Last : 3", "X-Second: a", "X-All: a", "X-All: b",
        ]
        let path = try script.message(FilterScript.content("X-Last: 4", fields: fields), more: ["authuser ali ce"])
        let answer = try await script.answer(path)
        #expect(
            Set(answer.edits) == [
                "-header X-All", "-header X-Second/2", "-header X-Last/3", "+header-last X-End: one\r\ttwo",
                "+header X-Top: =?utf-8?b?Z3LDtsOfZQ==?=", "-header X-Spam",
                "+header-last X-Client: 192.0.2.7 client\"(1.test mx.client.test ali ce 2 sender@client.test "
                    + "\(path.split(separator: "/").last ?? "")",
                "tag rspamd.action=no-action", "tag rspamd.score=\(Self.score(answer))",
            ], "\(answer.edits)")
        #expect(answer.result == "0 250 2.6.0 Message accepted")
    }

    private static func score(_ answer: FilterScript.Answer) -> Substring {
        answer.edits.first { $0.hasPrefix("tag rspamd.score=") }?.dropFirst(17) ?? "none"
    }

    @Test("it is asked over a unix socket and over TCP")
    func endpoints() async throws { try await life().answersEverywhere() }

    @Test("every message is answered, whatever is in it")
    func hostileMessages() async throws { try await life().survivesEveryMessage() }

    @Test("sixteen megabytes are passed on without being kept")
    func large() async throws { try await life().passesOnWithoutKeeping(16 << 20) }

    @Test("without rspamd there is no result but that of the settings, and with it all goes on")
    func restart() async throws { try await life().outlivesTheDaemon() }
}

@Suite(
    "Content filter spamassassin", .serialized, .enabled(if: SpamdPeer.isAvailable, SpamdPeer.requirement),
    .filterPeer(SpamdPeer.self))
struct ContentFilterSpamAssassinTests {
    private func life() throws -> FilterLife<SpamdPeer> {
        FilterLife(peer: try SuitePeer.of(SpamdPeer.self), filter: "spamassassin")
    }

    static let gtube = FilterScript.content("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X")

    @Test(
        "from the scores of the settings on a message is refused or held",
        arguments: [
            ([], gtube, "-1 550 5.7.1 Spam message rejected"),
            (["text = No, thanks"], gtube, "-1 550 5.7.1 No, thanks"),
            (["reject-score = 5000"], gtube, "0 250 2.6.0 Message accepted"),
            (["reject-score ="], gtube, "0 250 2.6.0 Message accepted"),
            (["reject-score = 5000", "freeze-score = 12.5"], gtube, "1 250 2.7.1 Held for inspection"),
            (["freeze-score = 12.5"], gtube, "-1 550 5.7.1 Spam message rejected"),
            (["reject-score = -50"], FilterScript.content("hello"), "-1 550 5.7.1 Spam message rejected"),
            (["max-size = 10"], gtube, "0 250 2.6.0 Message too large to be checked"),
            (["max-size = 10", "large = freeze"], gtube, "1 250 2.7.1 Message too large to be checked"),
        ] as [([String], [UInt8], String)])
    func scores(settings: [String], content: [UInt8], result: String) async throws {
        let script = try life().script(settings)
        let answer = try await script.answer(script.message(content))
        #expect(answer.result == result, "\(answer.lines)")
        #expect(try await script.end() == .exited(0))
    }

    @Test("what is accepted is marked with what spamd has found, and marks of others go")
    func marks() async throws {
        let script = try life().script(["reject-score ="])
        let spam = try await script.answer(script.message(Self.gtube))
        let removals = ["Status", "Level", "Flag"].map { "-header X-Spam-\($0)" }
        #expect(Array(spam.edits.prefix(3)) == removals)
        let status = spam.edits.first { $0.hasPrefix("+header-last X-Spam-Status: Yes, score=10") } ?? ""
        #expect(status.contains(" required=5.0\r\ttests=") && status.contains("GTUBE"), "\(spam.edits)")
        #expect(spam.edits.contains("+header-last X-Spam-Flag: YES"))
        #expect(spam.edits.contains("+header-last X-Spam-Level: \(String(repeating: "*", count: 50))"))
        #expect(spam.edits.contains("tag spamassassin=spam"))
        let ham = try await script.answer(script.message(FilterScript.content("See you on Thursday.")))
        #expect(Array(ham.edits.prefix(3)) == removals)
        #expect(ham.edits.contains { $0.hasPrefix("+header-last X-Spam-Status: No, score=") }, "\(ham.edits)")
        #expect(!ham.edits.contains { $0.contains("X-Spam-Flag:") })
        #expect(ham.edits.contains("tag spamassassin=ham"))
    }

    @Test("spamd is asked over a unix socket and over TCP")
    func endpoints() async throws { try await life().answersEverywhere() }

    @Test("every message is answered, whatever is in it")
    func hostileMessages() async throws { try await life().survivesEveryMessage() }

    @Test("twelve megabytes are passed on without being kept")
    func large() async throws { try await life().passesOnWithoutKeeping(12 << 20) }

    @Test("without spamd there is no result but that of the settings, and with it all goes on")
    func restart() async throws { try await life().outlivesTheDaemon() }
}
