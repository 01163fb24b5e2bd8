import Testing

@testable import Supervisor

@Suite("When a program that died is started again")
struct RestartPolicyTests {
    @Test("the pause doubles from one second to a minute and stays there")
    func doubles() {
        var policy = RestartPolicy()
        let delays = (0..<9).map { _ in policy.delay(afterUptime: .zero) }
        #expect(delays == [1, 2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
    }

    @Test("a minute of life makes the next pause one second again")
    func proven() {
        var policy = RestartPolicy()
        for _ in 0..<4 { _ = policy.delay(afterUptime: .seconds(1)) }
        #expect(policy.delay(afterUptime: .seconds(60)) == .seconds(1))
        #expect(policy.delay(afterUptime: .seconds(59)) == .seconds(2))
    }

    @Test(
        "exit codes that say 'I was told nonsense' are no reason to start again",
        arguments: [
            (Int32(64), true), (78, true), (0, false), (1, false), (69, false), (70, false),
        ])
    func mistakes(code: Int32, isMistake: Bool) {
        #expect(isConfigurationMistake(code) == isMistake)
    }
}
