import Configuration
import ProgramKit
import Submission
import Testing

@testable import UserPrograms

@Suite struct SendmailSubmissionTests {
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
}
