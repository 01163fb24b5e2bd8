import CUnbound

/// Name lookups for one thread that waits with a poller: questions go out at once, answers come by ``process()``.
/// Confined to that thread; nothing here blocks.
///
/// The library and its thread are started by the first question. ``ResolverConfiguration/timeout`` is not looked at: whoever asks
/// has a deadline of its own and calls ``cancel(_:)``.
public final class ResolverClient {
    /// A question on its way.
    public struct Ticket: Hashable, Sendable {
        fileprivate let value: UInt64
    }

    public let configuration: ResolverConfiguration
    private var context: OpaquePointer?
    private var lastTicket: UInt64 = 0
    private var pending: [UInt64: Pending] = [:]
    private var arrived: [(UInt64, Lookup<[UInt8]>)] = []

    private struct Pending {
        let identifier: Int32
        let reference: Unmanaged<Arrival>
        let completion: (Lookup<[UInt8]>) -> Void
    }

    /// What the callback of libunbound is given.
    private final class Arrival {
        unowned let client: ResolverClient
        let ticket: UInt64

        init(_ client: ResolverClient, _ ticket: UInt64) {
            self.client = client
            self.ticket = ticket
        }
    }

    /// Throws when the configuration holds local zones that libunbound does not take; all other trouble shows in the lookups.
    public init(_ configuration: ResolverConfiguration = ResolverConfiguration()) throws(ResolverError) {
        self.configuration = configuration
        if !configuration.zones.isEmpty { _ = try startedContext() }
    }

    deinit {
        // Ends the library's thread; callbacks of what is outstanding are not called, so their references are ours.
        if let context { ub_ctx_delete(context) }
        for question in pending.values { question.reference.release() }
    }

    /// Readable when ``process()`` has something to do; `nil` before the first question.
    public var descriptor: Int32? { context.map { ub_fd($0) } }

    /// Questions on their way.
    public var outstanding: Int { pending.count }

    private func startedContext() throws(ResolverError) -> OpaquePointer {
        if let context { return context }
        let fresh = try makeUnboundContext(configuration)
        context = fresh
        return fresh
    }

    /// Asks; `completion` is called once, by ``process()``. Throws when the question cannot be asked; then it is not called.
    @discardableResult
    public func ask(
        _ question: Question, _ completion: @escaping (Lookup<[UInt8]>) -> Void
    ) throws(ResolverError) -> Ticket {
        let context = try startedContext()
        lastTicket += 1
        let reference = Unmanaged.passRetained(Arrival(self, lastTicket))
        var identifier: Int32 = 0
        let code = ub_resolve_async(
            context, question.name, question.type.rawValue, 1, reference.toOpaque(),
            { argument, code, result in ResolverClient.finish(argument, code, result) }, &identifier)
        guard code == 0 else {
            reference.release()
            throw ResolverError(["resolver: \(String(cString: ub_strerror(code)))"])
        }
        pending[lastTicket] = Pending(identifier: identifier, reference: reference, completion: completion)
        return Ticket(value: lastTicket)
    }

    /// No answer is wanted any more: the completion is not called.
    public func cancel(_ ticket: Ticket) {
        guard let question = pending.removeValue(forKey: ticket.value), let context else { return }
        // Otherwise its callback has run and has taken the reference back.
        if ub_cancel(context, question.identifier) == 0 { question.reference.release() }
    }

    /// Calls the completions of all questions that are answered.
    public func process() {
        guard let context else { return }
        ub_process(context)
        // Only now: a completion may ask, cancel or process.
        while !arrived.isEmpty {
            let batch = arrived
            arrived.removeAll(keepingCapacity: true)
            for (ticket, lookup) in batch { pending.removeValue(forKey: ticket)?.completion(lookup) }
        }
    }

    private static func finish(
        _ argument: UnsafeMutableRawPointer?, _ code: Int32, _ result: UnsafeMutablePointer<ub_result>?
    ) {
        defer { if let result { ub_resolve_free(result) } }
        guard let argument else { return }
        let arrival = Unmanaged<Arrival>.fromOpaque(argument).takeRetainedValue()
        let lookup: Lookup<[UInt8]>
        if code == 0, let result {
            lookup = Lookup(result.pointee)
        } else {
            lookup = .temporaryFailure("resolver: \(String(cString: ub_strerror(code)))")
        }
        arrival.client.arrived.append((arrival.ticket, lookup))
    }
}
