import Configuration
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

    @Test("RESTARTLIMIT bounds the pause; anything but 1...3600 is no limit")
    func limited() {
        var policy = RestartPolicy(limit: 3)
        #expect((0..<4).map { _ in policy.delay(afterUptime: .zero) } == [1, 2, 3, 3].map { .seconds($0) })
        for (text, limit) in [("1", 1), ("3600", 3600), ("0", nil), ("3601", nil), ("soon", nil), ("", nil)]
            as [(String, Int?)]
        {
            #expect(RestartPolicy.limit(ZEnvironment(values: ["RESTARTLIMIT": text])) == limit, "\(text)")
        }
        #expect(RestartPolicy.limit(ZEnvironment()) == 60)
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
