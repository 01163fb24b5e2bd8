import SpoolFormat

/// What a report of the scheduler is about: the name of its form, unless the operator chooses another.
public enum ReportKind: String, CaseIterable, Hashable, Sendable {
    /// Something failed.
    case delivery
    /// All that failed has failed because its time ran out.
    case expired
    /// Late and still tried.
    case delayed
    /// Delivered, and the sender has asked to hear of it.
    case success
    /// Passed on to a mail system that sends no such reports (RFC 3461 §5.2.2).
    case relayed
    /// Handed to the several recipients of a list (RFC 3461 §5.2.7.3).
    case expanded
    /// A report that could not be delivered itself, for the postmaster.
    case doublefault

    /// The most important of the results in one report decides: failure before delay before success.
    public init(_ results: [(action: Notary.Action, status: String)]) {
        let failures = results.filter { $0.action == .failed }
        if !failures.isEmpty {
            self = failures.allSatisfy { $0.status == "5.4.7" } ? .expired : .delivery
        } else if results.contains(where: { $0.action == .delayed }) {
            self = .delayed
        } else if results.contains(where: { $0.action == .delivered }) {
            self = .success
        } else {
            self = results.contains { $0.action == .relayed } ? .relayed : .expanded
        }
    }
}
