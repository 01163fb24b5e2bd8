import MailModel
import Policy
import Testing

/// What holds for any zone, and for hostile ones.
@Suite struct SPFPropertyTests {
    /// Not a good generator, but the same everywhere.
    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    /// Names and records that refer to each other, right and wrong.
    static func zone(_ random: inout Generator) -> SPFZone {
        let names = (0..<8).map { "n\($0).example" }
        var lines: [String] = []
        func name() -> String {
            Int.random(in: 0..<9, using: &random) == 0 ? "nowhere.example" : names.randomElement(using: &random) ?? ""
        }
        for owner in names {
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                lines.append("\(owner) A 192.0.2.\(Int.random(in: 0...7, using: &random))")
            }
            for _ in 0..<Int.random(in: 0...1, using: &random) {
                lines.append("\(owner) AAAA 2001:db8::\(Int.random(in: 0...7, using: &random))")
            }
            for _ in 0..<Int.random(in: 0...3, using: &random) { lines.append("\(owner) MX 10 \(name())") }
            let terms = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                let qualifier = ["", "-", "~", "?"].randomElement(using: &random) ?? ""
                let term =
                    [
                        "a", "mx", "ptr", "a:\(name())/30//126", "mx:\(name())/31", "ptr:\(name())",
                        "include:\(name())",
                        "include:\(name())", "exists:\(name())", "exists:%{l}.%{d}", "exists:%{p}", "ip4:192.0.2.4/30",
                        "ip6:2001:db8::4/126", "all", "a:%{h}", "include:%{o}",
                    ].randomElement(using: &random) ?? ""
                return qualifier + term
            }
            var record = (["v=spf1"] + terms).joined(separator: " ")
            switch Int.random(in: 0..<12, using: &random) {
            case 0...3: record += " redirect=\(name())"
            case 4...6: record += " exp=\(name())"
            case 7: record += " exp=why.example"
            case 8: record += " moo"
            default: break
            }
            switch Int.random(in: 0..<12, using: &random) {
            case 0: lines.append("\(owner) FAIL")
            case 1: lines.append("\(owner) FAIL A")
            case 2: lines.append("\(owner) TXT from %{p} of %{s}")
            default: lines.append("\(owner) TXT \(record)")
            }
        }
        for last in 0...7 where last % 3 != 0 {
            lines.append("\(last).2.0.192.in-addr.arpa PTR \(name())")
            lines.append("\(last).2.0.192.in-addr.arpa PTR sub.\(name())")
        }
        lines.append("why.example TXT from %{p}, %{s} by %{r}")
        return SPFZone(lines.joined(separator: "\n"))
    }

    @Test(arguments: 0..<400) func feedingOfFactsDoesNotMatter(_ seed: Int) {
        var random = Generator(state: UInt64(seed) &* 7919 &+ 1)
        let zone = Self.zone(&random)
        for index in 0..<4 {
            let client = index == 3 ? "2001:db8::\(seed % 8)" : "192.0.2.\((seed + index) % 8)"
            var checked = SPFCase(client: client, sender: "n1@n\(index).example", helo: "n\(seed % 8).example")
            checked.wantsSteps = true
            if seed % 4 == 0 {
                checked.settings.localPolicy = try? SPFLocalPolicy(parsing: "a:n3.example include:n4.example")
            }
            let runs = SPFCase.Feeding.allCases.map { checked.run(zone, $0) }
            #expect(runs.allSatisfy { $0.result == runs[0].result })
            let result = runs[0].result
            #expect(result.lookups <= 11 && result.voidLookups <= 3)
            #expect(result.level == .permError || result.lookups <= 10 && result.voidLookups <= 2)
            // Rounds: a term has at most the validated name's two, its own and its hosts'; explanations have one more.
            #expect(runs[1].rounds.count <= 44)
            #expect(Set(runs[1].rounds.joined()).count == runs[1].rounds.joined().count)
            #expect(runs[1].rounds.allSatisfy { $0.count <= 10 })
        }
    }

    @Test func namesToAskForAreCanonical() {
        let zone = SPFZone(
            "n.example TXT v=spf1 exists:%{S}.%{h}.Upper.EXAMPLE. a:X%_Y.example mx -all\nn.example MX 1 HOST.Example")
        let run = SPFCase(client: "192.0.2.1", sender: "Us.Er@N.Example", helo: "HE.lo").run(zone)
        let names = run.rounds.joined().map(\.name)
        #expect(
            names == ["n.example", "us.er%40n.example.he.lo.upper.example", "x y.example", "n.example", "host.example"])
    }

    static func elapsed(_ body: () -> Void) -> Duration { ContinuousClock().measure(body) }

    static let kib10 = 10_240

    /// Each takes some milliseconds; a machine that is busy with a build must not matter.
    static let patience = Duration.seconds(10)

    /// Records of a stranger that are long, deep or wrong.
    static let records: [(name: String, record: String, level: SPFResult.Level)] = [
        ("networks", String(repeating: "ip4:10.0.0.0/8 ", count: kib10 / 15), .neutral),
        ("spaces", String(repeating: " ", count: kib10), .neutral),
        ("one word", String(repeating: "x", count: kib10), .permError),
        ("one label", "a:" + String(repeating: "x", count: kib10) + ".example -all", .fail),
        ("dots", "a:" + String(repeating: ".", count: kib10) + "example -all", .fail),
        ("digits", "a/" + String(repeating: "9", count: kib10), .permError),
        ("slashes", "a" + String(repeating: "/", count: kib10), .permError),
        ("slashes and digits", "a:x" + String(repeating: "/1", count: kib10 / 2), .permError),
        ("colons", "ip6:" + String(repeating: ":", count: kib10), .permError),
        ("open macros", "exists:" + String(repeating: "%{", count: kib10 / 2), .permError),
        ("one open macro", "exists:%{l" + String(repeating: "-", count: kib10), .permError),
        ("delimiters", "exists:%{l" + String(repeating: "-+", count: kib10 / 2) + "} -all", .fail),
        ("macro digits", "exists:%{l" + String(repeating: "7", count: kib10) + "} -all", .fail),
        ("percents", "exists:" + String(repeating: "%%", count: kib10 / 2) + " -all", .fail),
        ("senders", "exists:" + String(repeating: "%{s}", count: kib10 / 4) + " -all", .fail),
        ("escaped senders", "exists:" + String(repeating: "%{S}", count: kib10 / 4) + " -all", .fail),
        ("short labels", "exists:" + String(repeating: "%{o1}.", count: kib10 / 6) + "example -all", .fail),
        ("validated names", "exists:" + String(repeating: "%{p}", count: kib10 / 4) + " -all", .fail),
        ("modifiers", String(repeating: "x=%{s} ", count: kib10 / 7), .neutral),
        ("equal signs", String(repeating: "=", count: kib10), .permError),
        ("alls", String(repeating: "all ", count: kib10 / 4), .pass),
        ("hosts", String(repeating: "a ", count: kib10 / 2), .permError),
        ("nothing but eights", String(repeating: "\\xff", count: kib10), .permError),
        ("includes of itself", String(repeating: "include:%{o} ", count: kib10 / 13), .permError),
        ("redirect to itself", String(repeating: "ip4:10.0.0.1 ", count: kib10 / 13) + "redirect=%{o}", .permError),
    ]

    @Test(arguments: records.indices) func longRecordsEndQuickly(_ index: Int) {
        let (name, record, level) = Self.records[index]
        let zone = SPFZone("evil.example TXT v=spf1 \(record)\nevil.example A 198.51.100.1")
        let time = Self.elapsed {
            let result = SPFCase(client: "192.0.2.1", sender: "u@evil.example").run(zone).result
            #expect(result.level == level, "\(name): \(result.problem)")
            #expect(result.receivedSPF.utf8.count < 2000)
        }
        #expect(time < Self.patience, "\(name)")
    }

    @Test(arguments: ["%{s}", "%{S}", "%{l1r-}", "%{p}", "%%", "x "]) func longExplanationsAreCut(_ part: String) {
        let text = String(repeating: part, count: Self.kib10 / part.utf8.count)
        let zone = SPFZone("evil.example TXT v=spf1 -all exp=why.example\nwhy.example TXT \(text)")
        // As long as a command line lets it be.
        let sender = String(repeating: "a-", count: 240) + "@evil.example"
        let time = Self.elapsed {
            let result = SPFCase(client: "192.0.2.1", sender: sender).run(zone).result
            #expect(result.level == .fail && result.explanation.utf8.count == SPFSettings.maximumExplanationLength)
            #expect(result.explanation.hasSuffix("..."))
        }
        #expect(time < Self.patience)
    }

    @Test func chainsOfIncludesEnd() {
        let chain = (0..<50).map { "c\($0).example TXT v=spf1 include:c\($0 + 1).example -all" }.joined(separator: "\n")
        let run = SPFCase(client: "192.0.2.1", sender: "u@c0.example").run(SPFZone(chain))
        #expect(run.result.level == .permError && run.rounds.count == 11)
    }

    @Test(arguments: [
        "", " ", "@", "@@", "a@", "a@b@", "\u{0}", "\u{0}@\u{0}.\u{0}", "u@\\.example", "\u{1F4A9}@\u{1F4A9}.example",
        "a@.", "a@..",
        "a@-.-", "a@%{s}.example", "u@xn--.example", "u@" + String(repeating: "\u{fc}", count: 200) + ".example",
        "u@" + String(repeating: "a.", count: 5000), String(repeating: "@", count: 5000), "e\u{301}@e\u{301}.example",
        "@\u{301}.example",
    ])
    func oddSendersAndHelosAreHarmless(_ text: String) {
        let zone = SPFZone(
            "d.example TXT v=spf1 exists:%{s}.%{h}.%{l1r-}.x.example -all exp=why.example\nwhy.example TXT %{s} %{h} %{S}"
        )
        for sender in [text, text + "d.example", text + "@d.example", "u@d.example"] {
            SPFRow(
                "odd", "192.0.2.1", sender,
                SPFCase(client: "192.0.2.1", sender: sender, helo: text).run(zone).result.level, helo: text,
                explanation: expected(zone, sender, text)
            ).check(zone)
        }
    }

    private func expected(_ zone: SPFZone, _ sender: String, _ helo: String) -> String? {
        let result = SPFCase(client: "192.0.2.1", sender: sender, helo: helo).run(zone).result
        return result.explainer == nil ? nil : result.explanation
    }
}
