import Testing

@testable import Submission

@Suite struct SendmailArgumentsTests {
    @Test("recipients stand behind the options, -- ends these")
    func recipients() throws {
        #expect(try SendmailArguments(["a", "b@c"]).recipients == ["a", "b@c"])
        #expect(try SendmailArguments(["-i", "a", "-t"]).recipients == ["a", "-t"])
        #expect(try SendmailArguments(["-i", "--", "-t"]).recipients == ["-t"])
        #expect(try SendmailArguments(["-"]).recipients == ["-"])
    }

    @Test("letters stand together, values are attached or follow")
    func values() throws {
        let one = try SendmailArguments(["-tif", "a@b", "-FAnna", "-N", "success,delay", "-Rhdrs", "-Vid"])
        #expect(one.takesRecipientsOfHeader && !one.endsAtDot)
        #expect(one.sender == "a@b" && one.fullName == "Anna")
        #expect(one.notify == ["SUCCESS", "DELAY"] && one.returnsFull == false && one.envelopeID == "id")
        let other = try SendmailArguments(["-r", "<a@b>", "-B8BITMIME", "-v", "-oi", "-bm", "x"])
        #expect(other.sender == "a@b" && other.isEightBit && other.isVerbose && !other.endsAtDot)
        #expect(other.mode == .submit && other.recipients == ["x"])
        #expect(try SendmailArguments(["-f", ""]).sender?.isEmpty == true)
        #expect(try SendmailArguments(["-f", "<>"]).sender?.isEmpty == true)
        #expect(try SendmailArguments(["-fAnna <a@b>"]).sender == "a@b")
        #expect(try SendmailArguments([]).sender == nil)
    }

    @Test(
        "modes",
        arguments: [
            ("-bm", SendmailArguments.Mode.submit), ("-bs", .dialogue), ("-bp", .listQueue), ("-bi", .rebuildAliases),
            ("-bv", .verify), ("-q", .runQueue), ("-q30m", .runQueue), ("-qf", .runQueue),
        ])
    func modes(word: String, mode: SendmailArguments.Mode) throws {
        #expect(try SendmailArguments([word]).mode == mode)
    }

    @Test(
        "what only sendmail's own working could depend on is passed over",
        arguments: [
            ["-oem"], ["-odb"], ["-oQ/var/spool/mqueue"], ["-o", "ee"], ["-O", "DeliveryMode=b"], ["-d0.1"], ["-n"],
            ["-G"], ["-U"], ["-m"], ["-s"], ["-Am"], ["-L", "tag"], ["-h", "3"], ["-em"], ["-p", "local"],
        ])
    func ignored(words: [String]) throws {
        let arguments = try SendmailArguments(words + ["a@b"])
        #expect(arguments.recipients == ["a@b"] && arguments.mode == .submit && arguments.endsAtDot)
    }

    @Test("dots by their long name") func longDots() throws {
        #expect(try !SendmailArguments(["-O", "IgnoreDots"]).endsAtDot)
        #expect(try SendmailArguments(["-O", "IgnoreDots=False"]).endsAtDot)
    }

    @Test(
        "what cannot be done is refused, with what would be valid",
        arguments: [
            (["-X", "log"], "-v shows it"), (["-C", "/etc/sendmail.cf"], "-Z FILE"), (["-bd"], "zmailer start"),
            (["-bt"], "zmailer explain"), (["-bx"], "valid are m, s, p, i and v"), (["-f"], "needs a value"),
            (["-N", "sometimes"], "valid are never"), (["-N", "never,success"], "valid are never"),
            (["-N", ""], "valid are never"), (["-R", "some"], "valid are full and hdrs"),
            (["-B", "9BIT"], "valid are 7BIT"), (["-z"], "unknown option '-z'"), (["--nothing"], "unknown option"),
            (["-M", "x"], "not known here"),
        ])
    func refused(words: [String], part: String) {
        let error = #expect(throws: SendmailArguments.Failure.self) { try SendmailArguments(words) }
        #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
    }
}
