import Configuration
import ProgramKit
import Submission
import Testing

@testable import UserPrograms

@Suite(.serialized) struct SendmailSubmissionTests {
    @Test(
        "a word of the command line that is not addresses alone is the caller's mistake, and nothing is read or sent",
        arguments: [
            ["a@x.test b@y.test", "c@z.test"], ["c@z.test", "A <a@x.test> B <b@y.test>"], ["a@x.test (open, b@y.test"],
            ["<>", "c@z.test"],
        ])
    func words(words: [String]) throws {
        let environment = ZEnvironment(values: ["submission-socket": "/nowhere/socket", "HOSTNAME": "mx.d.test"])
        var options = SendmailArguments()
        options.recipients = words
        let submission = SendmailSubmission("sendmail", options, environment, UserIdentity(environment, nil))
        #expect(submission.run() == .usage)
    }

    @Test("with -t nothing is sent of a header that ends at a line that is no field")
    func stray() throws {
        let server = try ScriptedServer()
        defer { server.stop() }
        let environment = ZEnvironment(values: ["SUBMISSIONSOCKET": server.path, "HOSTNAME": "mx.d.test"])
        for (takes, text, code) in [
            (true, "To: a@b.test\nno field\nBcc: c@d.test\n\nx\n", ExitCode.dataError),
            (true, "To: a@b.test\nBcc: c@d.test\n\nno field\n", .ok), (true, "To: a@b.test\nBcc: c@d.test\n", .ok),
            (false, "To: a@b.test\nno field\n", .ok),
        ] {
            var options = SendmailArguments()
            options.takesRecipientsOfHeader = takes
            if !takes { options.recipients = ["a@b.test"] }
            let submission = SendmailSubmission("sendmail", options, environment, UserIdentity(environment, nil))
            #expect(try StandardInput.with(text) { submission.run() } == code)
        }
        #expect(server.messages.count == 3)
        #expect(server.messages.allSatisfy { !$0.contains("Bcc") })
    }
}
