import Testing

@testable import Submission

@Suite struct VacationArgumentsTests {
    @Test("options of Debian's and FreeBSD's vacation")
    func options() throws {
        let arguments = try VacationArguments([
            "-a", "sales", "-aa@b", "-r", "3", "-jd", "-s", "x@y", "-m", "msg", "-f", "db", "alice",
        ])
        #expect(arguments.aliases == ["sales", "a@b"] && arguments.interval == 3 * 86_400)
        #expect(arguments.answersUnaddressed && arguments.isVerbose && arguments.sender == "x@y")
        #expect(arguments.messageFile == "msg" && arguments.databaseFile == "db" && arguments.user == "alice")
        #expect(try VacationArguments(["-I"]).initializes && VacationArguments(["-i"]).initializes)
        #expect(try VacationArguments(["-l"]).lists && VacationArguments(["-x"]).excludes)
        #expect(try VacationArguments([]).interval == nil)
    }

    @Test(
        "times",
        arguments: [
            ("-r0", Int64(0)), ("-r7", 604_800), ("-rinfinite", VacationArguments.forever), ("-t90s", 90),
            ("-t2h", 7200), ("-t5", 432_000), ("-t1w", 604_800), ("-t10m", 600),
        ])
    func times(word: String, seconds: Int64) throws {
        #expect(try VacationArguments([word]).interval == seconds)
    }

    @Test(
        "what makes no sense is refused, with what would be valid",
        arguments: [
            (["-r", "x"], "number of days"), (["-r", "-1"], "number of days"), (["-t", "h"], "s, m, h, d or w"),
            (["-t", "999999999999999999w"], "s, m, h, d or w"), (["-q"], "valid are"), (["-a"], "needs a value"),
            (["alice", "bob"], "one login"), (["-R", "x@y"], "RFC 3834"), ([""], "login is empty"),
        ])
    func refused(words: [String], part: String) {
        let error = #expect(throws: VacationArguments.Failure.self) { try VacationArguments(words) }
        #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
    }
}
