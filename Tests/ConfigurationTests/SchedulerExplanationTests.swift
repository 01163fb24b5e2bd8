import Testing

@testable import Configuration

@Suite("Why a channel and host get their values")
struct SchedulerExplanationTests {
    static let text = """
        */*   interval=2m
              expiry=5d nice=3
        local/*  command=mailbox
        smtp/*.slow.test
              maxrate=10/1m
              expiry=2d
        smtp/bank.test
        smtp/shop.test
              maxthr=1 priority=5
        smtp/*  command="smtp -c $channel"
              maxthr=4
        smtp/never  command=never
        """

    private func explain(_ channel: String, _ host: String) throws -> SchedulerExplanation {
        try SchedulerConfiguration.parse(Self.text, file: "s.conf", environment: ZEnvironment(values: [:]))
            .explanation(channel: channel, host: host)
    }

    private func value(_ keyword: String, _ explanation: SchedulerExplanation) -> String? {
        explanation.values.first { $0.keyword == keyword }.map { "\($0.text) \($0.line.map(String.init) ?? "-")" }
    }

    @Test("each value has the line and clause that set it last")
    func values() throws {
        let slow = try explain("smtp", "mx.slow.test")
        #expect(value("interval", slow) == "2m 1")
        #expect(value("expiry", slow) == "2d 6")
        #expect(value("maxrate", slow) == "10/1m 5")
        #expect(value("maxthr", slow) == "4 11")
        #expect(value("command", slow) == "smtp -c $channel 10")
        #expect(value("maxta", slow) == "200 -")
        #expect(value("queueonly", slow) == "no -")
        #expect(slow.values.first { $0.keyword == "maxrate" }?.clause == "smtp/*.slow.test")
        #expect(slow.settings?.maximumThreadJobs == 4)
        #expect(slow.values.map(\.keyword) == slow.values.map(\.keyword).sorted())
    }

    @Test("what replaces another keyword takes its place")
    func replaced() throws {
        let shop = try explain("smtp", "shop.test")
        #expect(value("priority", shop) == "5 9")
        #expect(value("nice", shop) == "0 -")
        #expect(shop.settings?.nice == .absolute(5))
    }

    @Test("each clause says why it matches or does not, up to the one that ends the search")
    func looks() throws {
        let found = try explain("smtp", "bank.test")
        #expect(found.looks.map(\.line) == [1, 3, 4, 7, 10])
        #expect(
            found.looks.map(\.verdict) == [.matches, .differs([.channel]), .differs([.host]), .matches, .ends])
        #expect(found.looks[3].clause == "smtp/bank.test smtp/shop.test")
        #expect(found.notReached == 1)
    }

    @Test("mail without a command waits, and the explanation says so")
    func noCommand() throws {
        let found = try explain("uucp", "x")
        #expect(found.settings == nil)
        #expect(found.notReached == 0)
        #expect(found.lines(file: "s.conf").contains("  no clause that matches has a command: its mail waits"))
        #expect(value("interval", found) == "2m 1")
    }

    @Test("lines for people")
    func lines() throws {
        let lines = try explain("smtp", "a.slow.test").lines(file: "s.conf")
        for line in [
            "smtp/a.slow.test",
            "  s.conf:1: */*: matches, has no command: the search goes on",
            "  s.conf:3: local/*: channel 'smtp' does not match",
            "  s.conf:7: smtp/bank.test smtp/shop.test: host 'a.slow.test' does not match",
            "  s.conf:10: smtp/*: matches and has a command: the search ends",
            "  1 more clause not looked at",
            "  command=\"smtp -c $channel\"  s.conf:10 (smtp/*)",
            "  maxrate=10/1m  s.conf:5 (smtp/*.slow.test)",
            "  skew=5  default",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
    }

    @Test("the explanation and the settings agree for every keyword that a clause sets")
    func agreement() throws {
        let text = """
            a/*  interval=7s idlemax=8s expiry=9s expiry2=10s retries="2 3" maxta=4 maxchannel=5 maxring=6 maxthr=7
                 overfeed=8 skew=9 user=u group=g queueonly wakeuprestartonly ageorder nice=1 maxconn=2 maxrate=3/4s
                 maxmsgs=5 byhost bychannel deliveryform=d expiryform=e reporttimes=1h
                 command=x
            """
        let found = try SchedulerConfiguration.parse(text, file: "s.conf", environment: ZEnvironment(values: [:]))
            .explanation(channel: "a", host: "b")
        #expect(found.values.filter { $0.line == nil }.map(\.keyword) == ["priority"])
    }
}
