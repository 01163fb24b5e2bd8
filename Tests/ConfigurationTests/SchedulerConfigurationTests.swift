import Testing

@testable import Configuration

private let environment = ZEnvironment(values: ["MAILBIN": "/lib/zm", "NAME": "relay"])

private func parse(_ text: String) throws -> SchedulerConfiguration {
    try SchedulerConfiguration.parse(text, file: "s.conf", environment: environment)
}

@Suite("scheduler.conf")
struct SchedulerConfigurationTests {
    static let sample = """
        # a comment
        PARAMglobal-report-interval = 5m
        PARAMstore-error-on-error

        */*   interval=1m retries="1 1 2 3" expiry=3d
              maxta=100 maxthr=2

        local/file*
        local/pipe*
              maxthr=1  # both
              command="mailbox -8"
        local/*  command="mailbox -c $channel"
        smtp/*.example.org
              maxring=7 idlemax=1h5m20s
        smtp/*
              interval=2m overfeed=10 queueonly
              command="TZ=UTC GREETING=${NAME} smtp -c $channel -h $NAME"
        smtp/never
              command="never"
        """

    @Test("values accumulate in order until a clause with a command matches")
    func accumulation() throws {
        let configuration = try parse(Self.sample)
        let org = try #require(configuration.settings(channel: "smtp", host: "mx.example.org"))
        #expect(org.interval == .seconds(120))
        #expect(org.retries == [1, 1, 2, 3])
        #expect(org.maximumRingJobs == 7)
        #expect(org.maximumThreadJobs == 2)
        #expect(org.maximumJobs == 100)
        #expect(org.idleLimit == .seconds(3920))
        #expect(org.overfeed == 10)
        #expect(org.isQueueOnly)
        #expect(org.clauseName == "smtp/*")
        let other = try #require(configuration.settings(channel: "SMTP", host: "never"))
        #expect(other.maximumRingJobs == .max)
        #expect(other.idleLimit == .seconds(360))
        #expect(other.command?.program == "smtp", "the first clause with a command ends the search")
        #expect(configuration.settings(channel: "uucp", host: "x") == nil)
    }

    @Test("an empty clause takes the values of the next one")
    func emptyClause() throws {
        let configuration = try parse(Self.sample)
        for host in ["file.1", "pipe.2"] {
            let settings = try #require(configuration.settings(channel: "local", host: host))
            #expect(settings.command?.arguments == ["-8"])
            #expect(settings.maximumThreadJobs == 1)
        }
        #expect(configuration.settings(channel: "local", host: "-")?.command?.arguments == ["-c", "$channel"])
    }

    @Test("a command is words; zmailer.conf's names are filled in when it is read, channel and host when it is run")
    func command() throws {
        let command = try #require(try parse(Self.sample).settings(channel: "smtp", host: "h")?.command)
        #expect(command.environment == ["TZ=UTC", "GREETING=relay"])
        #expect(command.arguments == ["-c", "$channel", "-h", "relay"])
        #expect(command.namesChannel)
        #expect(!command.namesHost)
        let resolved = SchedulerCommand(environment: ["A=$host"], program: "p", arguments: ["$channel/$host", "x$y"])
            .resolved(channel: "c", host: "$channel")
        #expect(resolved.environment == ["A=$channel"])
        #expect(resolved.arguments == ["c/$channel", "x$y"])
    }

    @Test("parameters")
    func parameters() throws {
        let parameters = try parse(Self.sample).parameters
        #expect(parameters.reportInterval == .seconds(300))
        #expect(parameters.storesErrorOnError)
        for text in ["PARAMstore-error-on-error=no", "PARAMstore-error-on-error = no", "PARAMstore-error-on-error =no"]
        {
            #expect(try parse("\(text)\na/* command=b").parameters.storesErrorOnError == false)
        }
    }

    @Test("every mistake is reported at once, with line, key and what is valid")
    func mistakes() {
        let text = """
              interval=1m
            PARAMfoo = 1
            PARAMmailqsock = TCP:0
            */*  interval=0 maxthr=-1 expiry=3x retries="1 0"
            a/{b  command="x"
            b/*  command="/bin/sh -c" skew=0
            c/*  command="A=b"
                 reporttimes=1h,30m bychannel=maybe frobnicate=1
                 user= nice=99 command="x $nothing" command="x ${NAME"
            d/*  command="unclosed
            e/*
            """
        #expect {
            try parse(text)
        } throws: { error in
            let errors = (error as? ConfigurationErrors)?.errors ?? []
            let found = errors.map { "\($0.line) \($0.key)" }
            let expected = [
                "1 interval", "2 PARAMfoo", "3 PARAMmailqsock", "4 interval", "4 maxthr", "4 expiry", "4 retries",
                "5 a/{b",
                "6 command", "6 skew", "7 command", "8 reporttimes", "8 bychannel", "8 frobnicate", "9 user", "9 nice",
                "9 command", "9 command", "10 ", "11 e/*",
            ]
            #expect(found.sorted() == expected.sorted())
            #expect(errors.allSatisfy { $0.file == "s.conf" && !$0.reason.isEmpty })
            #expect(errors.first { $0.key == "frobnicate" }?.reason.contains("maxring") == true)
            return true
        }
    }

    @Test("without any command there is nothing to do")
    func noCommand() {
        #expect(throws: ConfigurationErrors.self) { try parse("*/* interval=1m\n") }
        #expect(throws: ConfigurationErrors.self) { try parse("") }
    }

    @Test("keywords are taken in any case, flags with and without a value")
    func flags() throws {
        let configuration = try parse(
            "a/* COMMAND=x QueueOnly=no AGEORDER wakeuprestartonly=yes nice=-5 user=nobody group=100 maxchannel=0")
        let settings = try #require(configuration.settings(channel: "a", host: "b"))
        #expect(!settings.isQueueOnly)
        #expect(settings.isAgeOrdered)
        #expect(settings.wakesOnRestartOnly)
        #expect(settings.nice == .relative(-5))
        #expect(settings.user == "nobody")
        #expect(settings.group == "100")
        #expect(settings.maximumChannelJobs == .max)
    }

    struct PatternCase: CustomTestStringConvertible, Sendable {
        let pattern: String
        let matches: [String]
        let differs: [String]
        var testDescription: String { pattern }
    }

    static let patterns = [
        PatternCase(pattern: "smtp", matches: ["smtp/a", "smtp/-"], differs: ["smtpx/a"]),
        PatternCase(pattern: "*/*", matches: ["a/b", "a/", "/"], differs: []),
        PatternCase(pattern: "smtp*/*.EXAMPLE.org", matches: ["SMTPX/a.b.example.ORG"], differs: ["smtp/example.org"]),
        PatternCase(pattern: "{a,b,cc}/?", matches: ["a/1", "b/2", "cc/3"], differs: ["c/1", "a/12", "a/"]),
        PatternCase(pattern: "a{b,c{x}/*", matches: ["ab/", "ac{x/"], differs: ["acx/"]),
        PatternCase(pattern: "x/[a-c]*[!0-9]", matches: ["x/az", "x/b-"], differs: ["x/a", "x/d1z", "x/a1"]),
        PatternCase(pattern: "x/[192.0.2.1]:25", matches: [], differs: ["x/[192.0.2.1]:25"]),
        PatternCase(pattern: "x/?192.0.2.1?:25", matches: ["x/[192.0.2.1]:25"], differs: ["x/192.0.2.1:25"]),
        PatternCase(pattern: "a/b/c", matches: ["a/b/c"], differs: ["a/b"]),
        PatternCase(
            pattern: "a/*a*a*a*a*b", matches: ["a/aaaaab"], differs: ["a/" + String(repeating: "a", count: 2000)]),
    ]

    @Test("patterns", arguments: patterns)
    func pattern(_ test: PatternCase) throws {
        let pattern = try #require(SchedulerPattern(test.pattern))
        func matches(_ text: String) -> Bool {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            return pattern.matches(channel: String(parts[0]), host: String(parts[1]))
        }
        #expect(test.matches.filter { !matches($0) } == [])
        #expect(test.differs.filter(matches) == [])
    }

    @Test("patterns that stand for too many are refused")
    func tooManyAlternatives() {
        #expect(SchedulerPattern(String(repeating: "{a,b}", count: 8) + "/*") != nil)
        #expect(SchedulerPattern(String(repeating: "{a,b}", count: 9) + "/*") == nil)
        #expect(SchedulerPattern("{a,b/*") == nil)
    }

    @Test(
        "times",
        arguments: [
            ("90", 90), ("30s", 30), ("1h5m20s", 3920), ("3d", 259_200), ("1w1", 604_801), ("0", 0), ("1M", 60),
            ("", nil), ("x", nil), ("5x", nil), ("m", nil), ("-1", nil), ("11y", nil), ("99999999999999999999", nil),
            ("3651d", nil),
        ] as [(String, Int?)])
    func times(text: String, seconds: Int?) {
        #expect(SchedulerTime.parse(text) == seconds.map { .seconds($0) })
    }

    @Test("times are written in their shortest form", arguments: [0, 59, 3600, 3920, 259_200, 694_861] as [Int64])
    func timeText(seconds: Int64) {
        #expect(SchedulerTime.parse(SchedulerTime.text(seconds)) == .seconds(seconds))
    }
}
