import CUnbound
import Glibc
import Synchronization

/// Name lookups through libunbound: validating, caching, many questions at once, callable from any number of threads.
///
/// The library's own thread does the network work; one more thread hands results to the callers, which block on their own
/// question with a deadline. Both are started by the first question, so a program that never asks pays nothing.
public final class Resolver: NameService {
    public let configuration: ResolverConfiguration
    private let engine = Mutex<Result<UnboundEngine, ResolverError>?>(nil)

    /// Throws when the configuration holds local zones that libunbound does not take; all other trouble shows in the lookups.
    public init(_ configuration: ResolverConfiguration = ResolverConfiguration()) throws(ResolverError) {
        self.configuration = configuration
        if !configuration.zones.isEmpty { _ = try startedEngine() }
    }

    private func startedEngine() throws(ResolverError) -> UnboundEngine {
        let result = engine.withLock { engine -> Result<UnboundEngine, ResolverError> in
            if case .success? = engine, let engine { return engine }
            let started = Result { () throws(ResolverError) in try UnboundEngine(configuration) }
            engine = started
            return started
        }
        return try result.get()
    }

    public func lookUp(_ questions: [Question]) -> [Lookup<[UInt8]>] {
        do {
            return try startedEngine().lookUp(questions, timeout: configuration.timeout)
        } catch {
            return questions.map { _ in .temporaryFailure(error.messages.first ?? "resolver cannot start") }
        }
    }
}

/// The libunbound context and the thread that collects its results.
final class UnboundEngine: @unchecked Sendable {
    // Sound: a libunbound context may be used from many threads (libunbound(3)); everything else here is immutable.
    private let context: OpaquePointer
    private let stopPipe: (read: Int32, write: Int32)
    private let thread: pthread_t

    init(_ configuration: ResolverConfiguration) throws(ResolverError) {
        let context = try makeUnboundContext(configuration)
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            ub_ctx_delete(context)
            throw ResolverError(["resolver: pipe: \(String(cString: strerror(errno)))"])
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        self.context = context
        stopPipe = (ends[0], ends[1])
        let collector = Unmanaged.passRetained(Collector(context: context, stop: ends[0]))
        var thread = pthread_t()
        let failure = pthread_create(&thread, nil, { runCollector($0) }, collector.toOpaque())
        guard failure == 0 else {
            collector.release()
            close(ends[0])
            close(ends[1])
            ub_ctx_delete(context)
            throw ResolverError(["resolver: thread: \(String(cString: strerror(failure)))"])
        }
        self.thread = thread
    }

    deinit {
        close(stopPipe.write)
        pthread_join(thread, nil)
        close(stopPipe.read)
        ub_ctx_delete(context)
    }

    func lookUp(_ questions: [Question], timeout: Duration) -> [Lookup<[UInt8]>] {
        let deadline = Self.deadline(after: timeout)
        let asked = questions.map(ask)
        return asked.map { asked in
            switch asked {
            case .failure(let error):
                return .temporaryFailure(error.description)
            case .success(let (query, identifier)):
                if let lookup = query.wait(until: deadline) { return lookup }
                if ub_cancel(context, identifier) == 0 {
                    // Cancelled before its callback ran: the reference that the callback would have taken back is ours.
                    Unmanaged.passUnretained(query).release()
                }
                return .temporaryFailure("name server did not answer in time")
            }
        }
    }

    private func ask(_ question: Question) -> Result<(PendingQuery, Int32), ResolverError> {
        let query = PendingQuery()
        let reference = Unmanaged.passRetained(query)
        var identifier: Int32 = 0
        let code = ub_resolve_async(
            context, question.name, question.type.rawValue, 1, reference.toOpaque(),
            { argument, code, result in finish(argument, code, result) }, &identifier)
        guard code == 0 else {
            reference.release()
            return .failure(ResolverError(["resolver: \(String(cString: ub_strerror(code)))"]))
        }
        return .success((query, identifier))
    }

    private static func deadline(after timeout: Duration) -> timespec {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let (seconds, attoseconds) = timeout.components
        let nanoseconds = now.tv_nsec + Int(attoseconds / 1_000_000_000)
        return timespec(
            tv_sec: now.tv_sec + Int(seconds) + nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
    }
}

/// What the collecting thread needs; it must not hold the engine, whose deinit ends it.
private final class Collector: @unchecked Sendable {
    // Sound: immutable, and the context outlives the thread (deinit joins before it deletes).
    let context: OpaquePointer
    let stop: Int32

    init(context: OpaquePointer, stop: Int32) {
        self.context = context
        self.stop = stop
    }
}

/// Runs callbacks as results arrive, until the stop pipe closes.
private func runCollector(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let collector = Unmanaged<Collector>.fromOpaque(argument).takeRetainedValue()
    var descriptors = [
        pollfd(fd: ub_fd(collector.context), events: Int16(POLLIN), revents: 0),
        pollfd(fd: collector.stop, events: Int16(POLLIN), revents: 0),
    ]
    while true {
        let count = poll(&descriptors, 2, -1)
        if count < 0, errno == EINTR { continue }
        if count < 0 || descriptors[1].revents != 0 { return nil }
        if descriptors[0].revents != 0 { ub_process(collector.context) }
    }
}

/// The callback of one question: takes back the reference that `ask` gave away.
private func finish(_ argument: UnsafeMutableRawPointer?, _ code: Int32, _ result: UnsafeMutablePointer<ub_result>?) {
    guard let argument else { return }
    let query = Unmanaged<PendingQuery>.fromOpaque(argument).takeRetainedValue()
    if code == 0, let result {
        query.fulfil(Lookup(result.pointee))
        ub_resolve_free(result)
    } else {
        query.fulfil(.temporaryFailure("resolver: \(String(cString: ub_strerror(code)))"))
    }
}
