import ChildProcesses

/// Work under another user.
enum Identity {
    /// On a thread that has `identity`; `nil`: here, as we are.
    static func perform(
        as identity: ChildRequest.Identity?, _ body: () throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        guard let identity else { return try body() }
        var problem: DeliveryProblem?
        do throws(IdentityThread.Failure) {
            try IdentityThread.run(as: identity) {
                do throws(DeliveryProblem) { try body() } catch { problem = error }
            }
        } catch {
            throw .temporary("4.3.0", error.description)
        }
        if let problem { throw problem }
    }
}
