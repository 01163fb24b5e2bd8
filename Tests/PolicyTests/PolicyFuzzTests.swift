import MailModel
import Testing

@testable import Policy

/// A small generator of its own: the same numbers in each run.
private struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}

@Suite("Policy: whatever comes")
struct PolicyFuzzTests {
    private static let words = [
        "example.test", ".example.test", ".", "user@", "user@example.test", "[0.0.0.0]/0", "[192.0.2.0]/24",
        "2001:db8::/32",
        "_tag", "_local_names", "=", "relaytarget", "message", "\"a b\"", "\"", "\\", "+", "-", "test-dns-rbl",
        "a:b=127.0.0.2",
        "ratelimitmsgs", "1,2", "#", "#@f:3", "#@line 3 \"f\"", " ", "\t", "@", "/", "[", "]", "\u{fc}", "\u{0}",
        "999999999999",
        "greylist", "rejectnet", "localdomain", "acceptifmx", "%", "!", "..",
    ]

    @Test("any line is an entry that can be stored and read, nothing, or a mistake", arguments: 0..<20)
    func lines(seed: Int) {
        var numbers = Numbers(state: UInt64(seed) &* 977 &+ 1)
        var reader = PolicySourceReader(file: "f")
        for _ in 0..<2000 {
            var line: [UInt8] = []
            for _ in 0..<Int.random(in: 0...9, using: &numbers) {
                line += (Self.words.randomElement(using: &numbers) ?? "").utf8
                if Bool.random(using: &numbers) { line.append(0x20) }
                if Int.random(in: 0..<30, using: &numbers) == 0 {
                    line.append(UInt8.random(in: 0...255, using: &numbers))
                }
            }
            switch reader.read(line: line[...]) {
            case .entry(let key, let record):
                #expect(PolicyKey(octets: key.octets) == key)
                #expect(PolicyRecord(octets: record.octets) == record)
                #expect(!record.pairs.isEmpty)
                #expect(record.pairs.allSatisfy { $0.attribute != nil && !$0.origin.isEmpty })
            case .nothing: break
            case .error(let error): #expect(!error.reason.isEmpty)
            }
        }
    }

    /// Records of any octets under any key that a decision looks up.
    private struct Wild: PolicyDatabase {
        let seed: UInt64
        func value(for key: [UInt8]) throws(PolicyTrouble) -> [UInt8]? {
            var numbers = Numbers(state: key.reduce(seed) { $0 &* 31 &+ UInt64($1) })
            var octets: [UInt8] = []
            for _ in 0..<Int.random(in: 0...12, using: &numbers) {
                let texts = ["+", "-", "_t", "_u", "_localnames", "5", "a:b", "-1,x", ""]
                let value = Array((texts.randomElement(using: &numbers) ?? "").utf8)
                octets.append(UInt8(value.count + 3))
                octets.append(UInt8.random(in: 0...70, using: &numbers))
                octets += value + [0]
            }
            if Int.random(in: 0..<8, using: &numbers) == 0 { octets.append(UInt8.random(in: 0...255, using: &numbers)) }
            return octets.isEmpty ? nil : octets
        }
        func metadata() throws(PolicyTrouble) -> PolicyMetadata {
            var metadata = PolicyMetadata()
            metadata.v4Lengths = 1 << 32 | 1 << 24 | 1
            return metadata
        }
    }

    @Test("any database gives an answer: no loop, no crash, and a state that can be read", arguments: 0..<20)
    func databases(seed: Int) throws {
        let world = try PolicyWorld("")
        let evaluator = { (database: Wild) in
            PolicyEvaluator(
                settings: world.settings, database: database, tables: world.tables, facts: world.facts,
                counters: world.counters)
        }
        for number in 0..<100 {
            let evaluator = evaluator(Wild(seed: UInt64(seed * 1000 + number)))
            var state = ""
            for (verb, recipient) in [
                (PolicyQuestion.Verb.connect, ""), (.helo, ""), (.mail, ""), (.rcpt, "alice@example.test"),
                (.rcpt, "a%b!c@[198.51.100.1]"),
            ] {
                let question = PolicyQuestion(
                    number: 1, verb: verb, session: "s", client: IPAddress("203.0.113.9"), helo: "a.b",
                    sender: "x@y.test",
                    recipient: recipient, state: state, wantsSteps: true)
                var answer: PolicyAnswer?
                for _ in 0..<30 where answer == nil {
                    do throws(PolicySuspension) {
                        answer = try evaluator.decide(question).answer
                    } catch {
                        switch error {
                        case .needs(let questions): world.facts.tell(questions)
                        case .trouble(let trouble): answer = PolicyEvaluator.trouble(question, trouble.description)
                        }
                    }
                }
                let known = try #require(answer)
                #expect(PolicyAnswer(line: known.line) == known)
                if known.state.isEmpty { break }
                #expect(PolicyState(text: known.state) != nil)
                state = known.state
            }
        }
    }

    @Test("any octets are a key or none, a record or none, a state or none")
    func octets() {
        var numbers = Numbers(state: 7)
        for _ in 0..<20_000 {
            var octets = (0..<Int.random(in: 0...24, using: &numbers)).map { _ in
                UInt8.random(in: 0...255, using: &numbers)
            }
            if !octets.isEmpty, Bool.random(using: &numbers) { octets[0] = UInt8(octets.count) }
            if octets.count > 1 { octets[1] %= 8 }
            if let key = PolicyKey(octets: octets) { #expect(key.octets.count == octets.count) }
            _ = PolicyRecord(octets: octets)?.pairs
            _ = PolicyMetadata(octets: octets)
            _ = PolicyState(text: String(decoding: octets, as: UTF8.self))
        }
    }

    @Test("numbers of attributes are ZMailer's")
    func numbers() {
        let names = [
            "=", "rejectnet", "freezenet", "rejectsource", "freezesource", "relaycustomer", "relaycustnet",
            "relaytarget",
            "acceptifmx", "acceptifdns", "senderokwithdns", "freeze", "sendernorelay", "test-dns-rbl", "message",
            "localdomain",
            "maxinsize", "maxoutsize", "fulltrustnet", "trustrecipients", "trust-whoson", "rcpt-dns-rbl",
            "test-rcpt-dns-rbl",
            "warn-rcpt-dns-rbl", "filtering", "maxsameipsource", "spf", "ratelimitmsgs",
        ]
        for (index, name) in names.enumerated() { #expect(PolicyAttribute(name: name)?.rawValue == UInt8(index + 1)) }
    }
}
