import Testing

@testable import SMTPServer

@Suite("A worker on a busy host", .serialized) struct WorkerLoadTests {
    private func answer(_ fixture: WorkerFixture, _ commands: String...) throws -> String {
        let dialogue = try fixture.connect()
        try dialogue.expect("220 ")
        var reply = ""
        for command in commands {
            try dialogue.send("\(command)\r\n")
            reply = try dialogue.expectReply(command == commands.last ? "" : "250")
        }
        return reply
    }

    @Test("-L: above it mail is answered 451, at it taken")
    func option() throws {
        let load = HostLoad(1201)
        let fixture = try WorkerFixture(arguments: ["-L", "12"], load: load)
        #expect(
            try answer(fixture, "EHLO client.example", "MAIL FROM:<a@client.example>")
                == "451 4.3.2 The system is too busy now, try later")
        try eventually("the reason in the log") { try fixture.log().contains("reason=\"load above 12\"") }
        load.set(1200)
        // Looked up once a second.
        try eventually("mail is taken") {
            try answer(fixture, "EHLO client.example", "MAIL FROM:<a@client.example>").hasPrefix("250 ")
        }
    }

    @Test(
        "-L below 1 means 10; without it no load matters",
        arguments: [(["-L", "0"], 1001, "451"), ([], 90_000, "250")])
    func defaults(arguments: [String], hundredths: Int, code: String) throws {
        let fixture = try WorkerFixture(arguments: arguments, load: HostLoad(hundredths))
        #expect(try answer(fixture, "EHLO client.example", "MAIL FROM:<a@client.example>").hasPrefix(code))
    }

    @Test("the load of a pattern is that of its clients alone")
    func pattern() throws {
        let fixture = try WorkerFixture(
            patterns: ["busy.example 3 ve", "* 999 ve"], load: HostLoad(301))
        #expect(try answer(fixture, "EHLO busy.example") == "450 4.3.2 The system is too busy now, try later")
        #expect(try answer(fixture, "EHLO client.example").hasPrefix("250 "))
    }
}
