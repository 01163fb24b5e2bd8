import MailModel
import Policy
import Testing

@Suite("Policy: stored form")
struct PolicyRecordTests {
    @Test(
        "keys are length, type, data",
        arguments: [
            ("[192.0.2.0]/24 spf +", [7, 1, 192, 0, 2, 0, 24]),
            ("[IPv6:2001:db8::]/32 spf +", [19, 2, 0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 12) + [32]),
            ("_t freeze +", [5, 3, 0x5f, 0x74, 0]), ("a.b freeze +", [6, 4, 0x61, 0x2e, 0x62, 0]),
            (". freeze +", [4, 4, 0x2e, 0]), ("u@ freeze +", [5, 5, 0x75, 0x40, 0]),
        ] as [(String, [UInt8])])
    func keys(line: String, octets: [UInt8]) {
        var reader = PolicySourceReader(file: "src")
        guard case .entry(let key, _) = reader.read(line: Array(line.utf8)[...]) else {
            Issue.record("no entry")
            return
        }
        #expect(key.octets == octets)
        #expect(PolicyKey(octets: octets) == key)
    }

    @Test(
        "what is no key is none",
        arguments: [
            [], [2, 6], [4, 4, 0x61], [5, 4, 0x61, 0], [4, 4, 0x61, 1], [7, 1, 1, 2, 3, 4, 33], [6, 1, 1, 2, 3, 4],
            [4, 7, 0x61, 0],
        ] as [[UInt8]])
    func wrongKeys(octets: [UInt8]) {
        #expect(PolicyKey(octets: octets) == nil)
    }

    @Test("records are pairs of length, attribute, text, NUL; origins stand in front of what they tell about")
    func record() throws {
        var reader = PolicySourceReader(file: "f")
        guard case .entry(_, let record) = reader.read(line: Array("x = _t relaytarget -".utf8)[...]) else {
            Issue.record("no entry")
            return
        }
        let expected: [UInt8] = [6, 127, 0x66, 0x3a, 0x31, 0, 5, 1, 0x5f, 0x74, 0, 4, 8, 0x2d, 0]
        #expect(record.octets == expected)
        #expect(PolicyRecord(octets: expected) == record)
        var twice = record
        twice.append(record)
        #expect(twice.octets == expected + expected)
        #expect(twice.pairs.map(\.origin) == ["f:1", "f:1", "f:1", "f:1"])
        #expect(twice.pairs.map(\.attribute) == [.alias, .relaytarget, .alias, .relaytarget])
    }

    @Test(
        "what is no record is none",
        arguments: [[1], [2, 8], [4, 8, 0x2d], [4, 8, 0x2d, 1], [4, 8, 0x2d, 0, 9], [0, 0, 0]] as [[UInt8]])
    func wrongRecords(octets: [UInt8]) {
        #expect(PolicyRecord(octets: octets) == nil)
    }

    @Test("attributes that nobody knows stay in the record")
    func unknownAttribute() {
        #expect(PolicyRecord(octets: [4, 90, 0x2b, 0])?.pairs.first?.attribute == nil)
    }

    @Test(
        "metadata of another version, or cut, are none",
        arguments: [
            "", "version=1", "version=2 entries=1 built=1 v4=- v6=-", "version=1 entries=1 built=1 v4=33 v6=-",
            "version=1 entries=1 built=1 v4=- v6=x", "version=1 entries=x v4=- v6=-", "hello",
        ])
    func wrongMetadata(text: String) {
        #expect(PolicyMetadata(octets: Array(text.utf8) + [0]) == nil)
        #expect(PolicyMetadata(octets: Array(text.utf8)) == nil)
    }

    /// A database of nothing but what is said.
    private struct Bare: PolicyDatabase {
        var values: [[UInt8]: [UInt8]] = [:]
        func value(for key: [UInt8]) throws(PolicyTrouble) -> [UInt8]? { values[key] }
    }

    @Test("a database without metadata is trouble")
    func metadata() {
        #expect(throws: PolicyTrouble.self) { try Bare().metadata() }
        #expect(throws: PolicyTrouble.self) { try Bare(values: [PolicyKey.metadata: [1, 2]]).metadata() }
    }
}

@Suite("Policy: merging the files")
struct PolicyMergeTests {
    @Test(
        "lines",
        arguments: [
            (.source, " x  # y", " x  # y"), (.localnames, "Example.org other # c", "Example.org = _localnames"),
            (.localnames, "# c", ""), (.localnames, "", ""),
            (.localnames, "  example.org", "example.org = _localnames"),
            (.relay, "[10.0.0.0]/8 maxinsize 1000 # c", "[10.0.0.0]/8 maxinsize 1000 = _full_rights"),
            (
                .relay, "[10.0.0.0]/8 message \"a # b\" freezenet +",
                "[10.0.0.0]/8 message \"a # b\" freezenet + = _full_rights"
            ),
            (.relay, "[10.0.0.0]/8 submit", "[10.0.0.0]/8 submit + = _full_rights"),
            (.relay, "[10.0.0.0]/8 submit +", "[10.0.0.0]/8 submit + = _full_rights"),
            (.mx, "example.org test-rcpt-dns-rbl -", "example.org test-rcpt-dns-rbl - = _relaytarget"),
            (.spam, "[10.0.0.0]/8", "[10.0.0.0]/8 rejectnet +"), (.spam, "@Spam.Example", "spam.example = _bulk_mail"),
            (.spam, "Friend@ #x", "friend@ = _bulk_mail"), (.spam, "a#b@c", "a#b@c = _bulk_mail"),
        ] as [(PolicyMerge.Kind, String, String)])
    func lines(kind: PolicyMerge.Kind, line: String, expected: String) {
        #expect(String(decoding: PolicyMerge.line(kind, Array(line.utf8)[...]), as: UTF8.self) == expected)
    }

    @Test("earlier files win, origins name file and line")
    func order() throws {
        var world = try PolicyWorld("")
        world.database = try PolicyMemoryDatabase(
            merging: [
                "localnames": Array("# ours\nexample.test\n".utf8),
                "smtp-policy.relay.manual": Array("[10.0.0.0]/24 rejectnet +\n".utf8),
                "smtp-policy.relay": Array("[10.0.0.0]/24\n[10.0.1.0]/24\n".utf8),
                "smtp-policy.mx": Array("backup.test".utf8),
                "smtp-policy.spam": Array("@spam.test\n[10.9.0.0]/16\n".utf8),
            ])
        #expect(try world.outcome("10.0.0.1") == "refuse 550 5.7.1")
        #expect(try world.outcome("10.9.0.1") == "refuse 550 5.7.1")
        #expect(try world.outcome("203.0.113.9", from: "x@spam.test") == "refuse 553 5.7.1")
        let answers = try world.session("203.0.113.9", to: ["alice@example.test", "a@backup.test", "a@b.test"])
        #expect(
            answers.suffix(3).map(\.answer.reason) == [
                "relaytarget + @built-in:8 via example.test; localnames:1 users:1",
                "relaytarget + @built-in:9 via backup.test",
                "relaytarget - @built-in:1 via .",
            ])
        #expect(
            try world.session("10.0.1.1").last?.answer.reason.hasPrefix("relaycustnet + @built-in:7 via [10.0.1.0]/24")
                == true)
    }

    @Test("with no files at all nobody relays and nothing is accepted")
    func nothing() throws {
        var world = try PolicyWorld("")
        world.database = try PolicyMemoryDatabase(merging: [:])
        for recipient in ["a@b.test", "a@[198.51.100.1]", "a%b.test@c.test", "alice@example.test"] {
            #expect(try world.outcome("203.0.113.9", to: recipient) == "refuse 550 5.7.1")
        }
        #expect(try world.outcome("203.0.113.9", to: "postmaster") == "accept")
    }
}
