import AgentKit

/// What a message asks of TLS, beside its destination's policy (RFC 8689).
enum TLSDemand: Hashable, Sendable {
    case none
    /// A report about a message with REQUIRETLS (§5): the server must prove who it is.
    case identity
    /// REQUIRETLS (§4.2.1): the server must offer it too.
    case requireTLS

    /// On the way to a program of this machine nothing is asked.
    init(_ job: DeliveryJob, to hop: NextHop) {
        guard job.requiresTLS, !hop.isUnixSocket else {
            self = .none
            return
        }
        // A group with a sender among others would make it a message; there are none in practice.
        self = job.recipients.allSatisfy { job.sender(of: $0) == nil } ? .identity : .requireTLS
    }
}
