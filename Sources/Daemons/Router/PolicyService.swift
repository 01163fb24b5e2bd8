import ChildProcesses
import Glibc
import PolicyEngine
import Telemetry

/// The policy service: puts the engine behind `.policy` (docs/protocols.md §2). One thread, which waits for askers and the DNS.
final class PolicyService {
    /// Askers at a time; an smtpserver worker has one connection a loop.
    static let maximumConnections = 1000

    private let listener: Int32
    private let engine: PolicyEngine
    private let signals: SignalSource
    private let log: EventLog
    private let poller = Poller()
    private var connections: [Int32: PolicyConnection] = [:]
    /// Those with answers that are not written yet.
    private var unwritten: [Int32] = []
    private var resolverDescriptor: Int32?
    private(set) var isEnding = false
    private var buffer = [UInt8](repeating: 0, count: 65536)

    init(path: String, engine: PolicyEngine, signals: SignalSource, log: EventLog) throws(UnixSocket.Failure) {
        listener = try UnixSocket.listen(path)
        self.engine = engine
        self.signals = signals
        self.log = log
    }

    deinit { close(listener) }

    /// Returns at SIGTERM, or when `lifeline`, the master's end, is closed.
    func run(lifeline: Int32 = 0) {
        start(lifeline: lifeline)
        while !isEnding { turn() }
    }

    func start(lifeline: Int32) {
        poller.add(signals.descriptor, .read) { [unowned self] _ in takeSignals() }
        poller.add(listener, .read) { [unowned self] _ in accept() }
        poller.add(lifeline, .read) { [unowned self] _ in
            let count = read(lifeline, &buffer, buffer.count)
            if count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN) { isEnding = true }
        }
    }

    /// Waits for something to do, `milliseconds` at most, and does it.
    func turn(atMost milliseconds: Int64? = nil) {
        if resolverDescriptor == nil, let descriptor = engine.descriptor {
            resolverDescriptor = descriptor
            poller.add(descriptor, .read) { [unowned self] _ in engine.resolverReady() }
        }
        let wait = [engine.nextDeadline.map { max(0, $0 - SteadyClock.milliseconds) }, milliseconds].compactMap { $0 }
        poller.wait(milliseconds: wait.min().map { Int32(clamping: $0) } ?? -1)
        engine.tick()
        // All answers of a turn in one write for each asker.
        let descriptors = unwritten
        unwritten.removeAll(keepingCapacity: true)
        for descriptor in descriptors { if let connection = connections[descriptor] { flush(descriptor, connection) } }
    }

    private func takeSignals() {
        while let signal = signals.next() {
            switch signal {
            case SIGHUP:
                engine.lookAgain()
                log.reopen()
            case SIGTERM: isEnding = true
            default: continue
            }
        }
    }

    private func accept() {
        while let descriptor = UnixSocket.accept(listener) {
            let peer = UnixSocket.peer(descriptor)
            guard peer == geteuid() || peer == 0, connections.count < Self.maximumConnections else {
                log.warning("asker-refused", ["uid": peer.map { "\($0)" } ?? "?", "askers": "\(connections.count)"])
                close(descriptor)
                continue
            }
            let connection = PolicyConnection(engine)
            connection.onAnswer = { [unowned self] in unwritten.append(descriptor) }
            connections[descriptor] = connection
            poller.add(descriptor, .read) { [unowned self] interest in ready(descriptor, interest) }
        }
    }

    private func ready(_ descriptor: Int32, _ interest: Poller.Interest) {
        guard let connection = connections[descriptor] else { return }
        switch connection.flow {
        case .blocked:
            if interest.contains(.write) { flush(descriptor, connection) }
        case .paused:
            // Asked for nothing, got something: the connection is broken.
            drop(descriptor, connection, nil)
        case .reading: receive(descriptor, connection)
        }
    }

    private func receive(_ descriptor: Int32, _ connection: PolicyConnection) {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else {
            if count < 0, errno == EINTR || errno == EAGAIN { return }
            return drop(descriptor, connection, nil)
        }
        if let problem = connection.take(buffer[..<count]) { return drop(descriptor, connection, problem) }
        if !connection.mayAsk { setFlow(.paused, descriptor, connection) }
    }

    private func flush(_ descriptor: Int32, _ connection: PolicyConnection) {
        while !connection.output.isEmpty {
            let count = connection.output.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN else { return drop(descriptor, connection, nil) }
                // Reads nothing more from an asker that does not take its answers.
                return setFlow(.blocked, descriptor, connection)
            }
            connection.written(count)
        }
        setFlow(connection.mayAsk ? .reading : .paused, descriptor, connection)
    }

    private func setFlow(_ flow: PolicyConnection.Flow, _ descriptor: Int32, _ connection: PolicyConnection) {
        guard connection.flow != flow else { return }
        connection.flow = flow
        switch flow {
        case .reading: poller.change(descriptor, .read)
        case .blocked: poller.change(descriptor, .write)
        case .paused: poller.change(descriptor, [])
        }
    }

    private func drop(_ descriptor: Int32, _ connection: PolicyConnection, _ problem: String?) {
        if let problem { log.warning("asker-dropped", ["reason": problem]) }
        connection.end()
        connections[descriptor] = nil
        poller.remove(descriptor)
        close(descriptor)
    }
}
