import Testing

@testable import Configuration

private let environment = ZEnvironment(values: ["MAILSHARE": "/share", "POSTOFFICE": "/spool"])

private func parse(_ text: String) throws -> SchedulerConfiguration {
    try SchedulerConfiguration.parse(text, file: "s.conf", environment: environment)
}

/// The reason for the only mistake of `text`.
private func reason(_ text: String) throws -> String {
    do throws(ConfigurationErrors) {
        _ = try SchedulerConfiguration.parse(text, file: "s.conf", environment: environment)
    } catch {
        #expect(error.errors.count == 1)
        return error.errors.first.map { "\($0.line) \($0.key): \($0.reason)" } ?? ""
    }
    Issue.record("no mistake in \(text)")
    return ""
}

@Suite("Keywords of scheduler.conf")
struct SchedulerKeywordTests {
    private func settings(_ values: String) throws -> SchedulerSettings {
        try #require(try parse("a/*  command=x \(values)").settings(channel: "a", host: "b"))
    }

    @Test("limits of one destination")
    func destination() throws {
        let settings = try settings("maxconn=3 maxrate=100/1m maxmsgs=20")
        #expect(settings.maximumHostJobs == 3)
        #expect(settings.rate == SchedulerRate(count: 100, interval: .seconds(60)))
        #expect(settings.messagesPerConnection == 20)
        let none = try self.settings("")
        #expect(none.maximumHostJobs == .max && none.rate == .unlimited && none.messagesPerConnection == nil)
        let lifted = try parse(
            """
            */*  maxconn=3 maxrate=1/1s maxmsgs=20
            a/*  maxconn=0 maxrate=0 maxmsgs=0 command=x
            """
        ).settings(channel: "a", host: "b")
        #expect(lifted?.maximumHostJobs == .max)
        #expect(lifted?.rate == .unlimited)
        #expect(lifted?.messagesPerConnection == nil)
    }

    @Test("an agent serves one host if its clause says byhost or its command names it")
    func byHost() throws {
        #expect(try settings("byhost bychannel").isAgentPerHost)
        #expect(try settings("byhost=no").isAgentPerHost == false)
        #expect(try settings("bychannel=no").isAgentPerHost == false)
        #expect(try parse("a/* command=\"x $host\"").settings(channel: "a", host: "b")?.isAgentPerHost == true)
    }

    @Test("sysnice and syspriority are nice and priority; the last one holds")
    func niceness() throws {
        #expect(try settings("sysnice=5").nice == .relative(5))
        #expect(try settings("syspriority=-3").nice == .absolute(-3))
        #expect(try settings("nice=2 syspriority=7").nice == .absolute(7))
    }

    @Test("forms and times of reports")
    func reports() throws {
        let settings = try settings("deliveryform=refused expiryform=late.de reporttimes=\"4h, 1d 2d\"")
        #expect(settings.deliveryForm == "refused")
        #expect(settings.expiryForm == "late.de")
        #expect(settings.reportTimes == [.seconds(14400), .seconds(86400), .seconds(172_800)])
        let none = try self.settings("")
        #expect(none.deliveryForm == nil && none.expiryForm == nil && none.reportTimes == [])
        let lifted = try parse("*/* reporttimes=4h\na/* reporttimes=none command=x").settings(channel: "a", host: "b")
        #expect(lifted?.reportTimes == [])
    }

    @Test(
        "what is no value is refused with what would be",
        arguments: [
            ("reporttimes=\"1h 2h 3h 4h 5h\"", "has 5 times; valid are 1 to 4 times"),
            ("reporttimes=\"2h 1h\"", "'1h' is not later than the time before it"),
            ("reporttimes=\"1h 1h\"", "'1h' is not later than the time before it"),
            ("reporttimes=0", "'0' is no time after the arrival"),
            ("reporttimes=soon", "'soon' are no times; valid are 1 to 4 times"),
            ("reporttimes=", "'' are no times"),
            ("maxrate=100", "'100' is no rate; valid is n/time, as in maxrate=100/1m"),
            ("maxrate=0/1m", "is no rate"), ("maxrate=1/0", "is no rate"), ("maxrate=1/2d", "is no rate"),
            ("maxrate=1/1m/1", "is no rate"), ("maxrate=-1/1m", "is no rate"), ("maxrate=1000001/1m", "is no rate"),
            ("maxconn=-1", "valid is a number from 0 to 100000 (0: no limit)"),
            ("maxmsgs=x", "valid is a number from 0 to 1000000 (0: no limit)"),
            ("deliveryform=../x", "valid is the name of a file in $MAILSHARE/forms"),
            ("expiryform=a/b", "valid is the name of a file in $MAILSHARE/forms"),
            ("expiryform=.hidden", "not beginning with a dot"),
            ("deliveryform=", "valid is the name of a file in $MAILSHARE/forms"),
            ("deliveryform=\"a b\"", "valid is the name of a file in $MAILSHARE/forms"),
            ("byhost=maybe", "the word alone, or =yes, =no"),
            ("sysnice=20", "valid is a number from -20 to 19"),
        ])
    func refused(value: String, expected: String) throws {
        let found = try reason("a/*  command=x \(value)")
        #expect(found.contains(expected), "\(found)")
    }

    @Test("a form's name is at most 255 octets long")
    func formLength() throws {
        let name = String(repeating: "a", count: 255)
        #expect(try settings("deliveryform=\(name)").deliveryForm == name)
        #expect(try reason("a/* command=x deliveryform=\(name)a").contains("name of a file"))
    }

    @Test("every PARAM of ZMailer is known")
    func parameters() throws {
        let parameters = try parse(
            """
            PARAMauthfile = ${MAILSHARE}/scheduler.auth
            PARAMmailqpath = UNIX:/run/mailq
            PARAMnotifysock = UNIX:${POSTOFFICE}/notify
            PARAMglobal-report-interval = 2m
            PARAMmsgwriteasync = 1
            PARAMstore-error-on-error
            a/* command=x
            """
        ).parameters
        #expect(parameters.authFile == "/share/scheduler.auth")
        #expect(parameters.mailqSocket == MailqSocket("UNIX:/run/mailq"))
        #expect(parameters.notifySocket == "/spool/notify")
        #expect(parameters.reportInterval == .seconds(120))
        #expect(parameters.storesErrorOnError)
        #expect(try parse("PARAMmsgwriteasync\na/* command=x").parameters.writesAsynchronously)
    }

    @Test(
        "a PARAM that cannot be is refused",
        arguments: [
            ("PARAMmsgwriteasync = no", "1 PARAMmsgwriteasync: cannot be switched off"),
            ("PARAMmsgwriteasync = perhaps", "the word alone, or =yes"),
            ("PARAMnotifysock = TCP:99", "valid is UNIX:/path"),
            ("PARAMnotifysock", "valid is UNIX:/path"),
            ("PARAMauthfile = auth", "valid is an absolute path"),
            ("PARAMelse = 1", "PARAMglobal-report-interval PARAMmailqpath PARAMmailqsock PARAMmsgwriteasync"),
        ])
    func refusedParameter(line: String, expected: String) throws {
        let found = try reason("\(line)\na/* command=x")
        #expect(found.contains(expected), "\(found)")
    }
}
