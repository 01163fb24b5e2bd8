import AgentKit

@testable import SMTPAgent

/// Passes jobs on, and leaves the agent and its connections as they are at the end of a run.
protocol TransportAgentBox: TransportAgent {
    var agent: SMTPTransportAgent<SMTPAgentNames> { get }
}

extension TransportAgentBox {
    func deliver(_ job: DeliveryJob) { agent.deliver(job) }
    func tick() {}
    func finish() {}
}
