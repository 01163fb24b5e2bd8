/// One kind of delivery. The runner reads jobs, opens files and writes reports; the agent delivers.
///
/// All three are called on the runner's own threads, where blocking is allowed; ``deliver(_:)`` on several at once.
public protocol TransportAgent: Sendable {
    /// Delivers to each recipient of the job and reports each one; what is not reported counts as deferred.
    func deliver(_ job: DeliveryJob)
    /// Called every few seconds while a thread waits for work: the time to let go of what has been idle for too long.
    func tick()
    /// Called once, after the last job.
    func finish()
}

extension TransportAgent {
    public func tick() {}
    public func finish() {}
}
