import Testing

@testable import Configuration

@Suite("PARAMdouble-fault and FORMLANGUAGE")
struct DoubleFaultTests {
    private func parameters(_ line: String) throws(ConfigurationErrors) -> SchedulerParameters {
        try SchedulerConfiguration.parse(
            "\(line)\nlocal/*\n    command=\"mailbox\"\n", file: "scheduler.conf", environment: ZEnvironment()
        ).parameters
    }

    @Test(
        "who is told of reports that cannot be delivered",
        arguments: [
            ("", []), ("PARAMdouble-fault = postmaster", ["postmaster"]), ("PARAMdouble-fault=a@b.test", ["a@b.test"]),
            ("PARAMdouble-fault = \"postmaster, abuse@b.test\"", ["postmaster", "abuse@b.test"]),
            ("PARAMdouble-fault = no", []), ("PARAMDOUBLE-FAULT = root", ["root"]),
        ])
    func addresses(line: String, expected: [String]) throws {
        #expect(try parameters(line).doubleFaultAddresses == expected)
    }

    @Test(
        "what is no address is a mistake with its line",
        arguments: [
            "PARAMdouble-fault", "PARAMdouble-fault = \"<a@b>\"", "PARAMdouble-fault = @b", "PARAMdouble-fault = a@",
        ])
    func mistakes(line: String) throws {
        do throws(ConfigurationErrors) {
            _ = try parameters(line)
            Issue.record("was taken")
        } catch {
            #expect(error.errors.map(\.line) == [1] && error.errors[0].key == "PARAMdouble-fault")
            #expect(error.errors[0].reason.contains("valid are addresses"))
        }
    }

    @Test(
        "languages",
        arguments: [("", []), ("de", ["de"]), ("de fr", ["de", "fr"]), (" de,\tpt-BR ", ["de", "pt-BR"])])
    func languages(text: String, expected: [String]) {
        #expect(ZEnvironment(values: ["FORMLANGUAGE": text]).formLanguages == expected)
        #expect(ZEnvironment().formLanguages.isEmpty)
    }
}
