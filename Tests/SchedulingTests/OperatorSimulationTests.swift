import AgentProtocol
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("A random world with an operator, from fixed seeds")
struct OperatorSimulationTests {
    @Test(
        "each recipient gets one result, limits hold, expiry is kept, nothing is forgotten or starves",
        arguments: [1, 2, 3, 4, 5] as [UInt64])
    func world(seed: UInt64) {
        let world = SimulationWorld(
            SimulationPlan(seed: seed, recipients: 4000, destinations: 300, arrivalTime: 86400, burst: 500))
        world.run(limit: 8 * 86400)
        world.checkAll()
        let tally = world.tally
        #expect(tally.problems == [])
        #expect(world.core.messageCount == 0 && world.core.recipientCount == 0 && world.core.threadCount == 0)
        #expect(world.core.hosts.isEmpty && world.core.heldCount == 0)
        #expect(tally.finished == tally.messages)
        #expect(tally.outcomes.values.reduce(0, +) == tally.recipients)
        #expect(Set(tally.outcomes.keys) == [.relayed, .failed, .expired])
        #expect(tally.deaths > 10 && tally.delayNotices > 10 && tally.sweeps > 10)
        #expect(tally.promptMessages > 100)
        #expect(tally.longestWait <= 900, "\(tally.longestWait)")
    }
}
