import Configuration
import Glibc
import ProgramKit
import Testing

@testable import Supervisor

@Suite("zmailer check scheduler") struct SchedulerCheckTests {
    private func check(_ text: String?, _ destinations: [String]) -> ExitCode {
        let path = "/tmp/scheduler-check-\(getpid())-\(UInt64.random(in: .min ... .max)).conf"
        defer { unlink(path) }
        if let text, let file = fopen(path, "w") {
            fputs(text, file)
            fclose(file)
        }
        return SchedulerCheck.run(ZEnvironment(values: [:]), destinations, file: path)
    }

    @Test("the exit code says whether there is a command for each destination")
    func codes() {
        let text = "smtp/*  command=smtp\n"
        #expect(check(text, ["smtp/a.test"]) == .ok)
        #expect(check(text, ["smtp/a.test", "uucp/b"]) == .unavailable)
        #expect(check(text, ["smtp"]) == .usage)
        #expect(check("smtp/*  command=smtp frobnicate\n", ["smtp/a"]) == .configuration)
        #expect(check(nil, ["smtp/a"]) == .configuration)
    }
}
