import AgentProtocol
import ChildProcesses
import Glibc
import MailModel
import Policy
import PolicyEngine
import Telemetry

/// The policy service: answers on `.policy` (docs/protocols.md §2). One thread, tables in memory.
final class PolicyService {
    /// Askers at a time; an smtpserver worker has one connection a loop.
    static let maximumConnections = 1000

    private let listener: Int32
    private let tables: MailTables
    private let signals: SignalSource
    private let log: EventLog
    private let poller = Poller()
    private let evaluator: LegacyPolicyEvaluator
    private var counts = ConnectionCounts()
    private var connections: [Int32: PolicyConnection] = [:]
    private var isEnding = false
    private var buffer = [UInt8](repeating: 0, count: 65536)

    init(path: String, tables: MailTables, signals: SignalSource, log: EventLog) throws(UnixSocket.Failure) {
        listener = try UnixSocket.listen(path)
        self.tables = tables
        self.signals = signals
        self.log = log
        evaluator = LegacyPolicyEvaluator(tables: tables)
    }

    /// Returns at SIGTERM, or when descriptor 0, the master's end, is closed.
    func run() {
        poller.add(signals.descriptor, .read) { [unowned self] _ in takeSignals() }
        poller.add(listener, .read) { [unowned self] _ in accept() }
        poller.add(0, .read) { [unowned self] _ in
            let count = read(0, &buffer, buffer.count)
            if count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN) { isEnding = true }
        }
        while !isEnding { poller.wait(milliseconds: -1) }
    }

    private func takeSignals() {
        while let signal = signals.next() {
            switch signal {
            case SIGHUP:
                tables.lookAgain()
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
            connections[descriptor] = PolicyConnection()
            poller.add(descriptor, .read) { [unowned self] interest in ready(descriptor, interest) }
        }
    }

    private func ready(_ descriptor: Int32, _ interest: Poller.Interest) {
        guard let connection = connections[descriptor] else { return }
        if !connection.output.isEmpty {
            if interest.contains(.write) { flush(descriptor, connection) }
            return
        }
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else {
            if count < 0, errno == EINTR || errno == EAGAIN { return }
            drop(descriptor, connection, nil)
            return
        }
        tables.now = SteadyClock.milliseconds
        let problem = buffer.withUnsafeBytes { raw in
            connection.take(UnsafeRawBufferPointer(rebasing: raw[0..<count]), evaluator, &counts)
        }
        if let problem { return drop(descriptor, connection, problem) }
        flush(descriptor, connection)
    }

    /// Reads nothing more from an asker that does not take its answers.
    private func flush(_ descriptor: Int32, _ connection: PolicyConnection) {
        while !connection.output.isEmpty {
            let count = connection.output.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN else { return drop(descriptor, connection, nil) }
                if !connection.isBlocked { poller.change(descriptor, .write) }
                connection.isBlocked = true
                return
            }
            if count == connection.output.count {
                connection.output.removeAll(keepingCapacity: true)
            } else {
                connection.output.removeFirst(count)
            }
        }
        if connection.isBlocked { poller.change(descriptor, .read) }
        connection.isBlocked = false
    }

    private func drop(_ descriptor: Int32, _ connection: PolicyConnection, _ problem: String?) {
        if let problem { log.warning("asker-dropped", ["reason": problem]) }
        for address in connection.sessions.addresses.values { counts.remove(address) }
        connections[descriptor] = nil
        poller.remove(descriptor)
        close(descriptor)
    }
}

/// One asker: its limits, its sessions, its unfinished line and unwritten answers.
final class PolicyConnection {
    /// Octets of one question.
    static let maximumLineLength = 8192

    private(set) var limits = ConnectionLimits()
    private(set) var sessions = AskerSessions()
    var output: [UInt8] = []
    var isBlocked = false
    private var splitter = LineSplitter(maximumLineLength: maximumLineLength)
    private var isFirst = true

    /// Answers the questions in `octets` into ``output``; the result is why the asker must go.
    func take(
        _ octets: UnsafeRawBufferPointer, _ evaluator: LegacyPolicyEvaluator, _ counts: inout ConnectionCounts
    ) -> String? {
        var problem: String?
        splitter.append(octets) { line in
            guard problem == nil else { return }
            if isFirst {
                isFirst = false
                if let limits = AskerSettings(line: line)?.limits ?? ConnectionLimits(line: line) {
                    self.limits = limits
                    return
                }
            }
            guard line.utf8.count < Self.maximumLineLength, let question = PolicyQuestion(line: line) else {
                problem = "no question: \(line.prefix(100))"
                return
            }
            output.append(contentsOf: answer(question, evaluator, &counts).line.utf8)
            output.append(0x0a)
        }
        return problem
    }

    private func answer(
        _ question: PolicyQuestion, _ evaluator: LegacyPolicyEvaluator, _ counts: inout ConnectionCounts
    ) -> PolicyAnswer {
        switch question.verb {
        case .connect:
            guard let client = question.client?.unmapped else { return evaluator.answer(question) }
            guard sessions.begin(question.session, client) else {
                return PolicyAnswer(number: question.number, verdict: .drop, reason: "session is known or too many")
            }
            counts.add(client)
            var question = question
            question.client = client
            let answer = LegacyPolicyEvaluator.connect(question, counts, limits)
            // Who is dropped is gone; who is refused lives until its disconnect.
            if answer.verdict == .drop, sessions.end(question.session) != nil { counts.remove(client) }
            return answer
        case .disconnect:
            if let address = sessions.end(question.session) { counts.remove(address) }
            return evaluator.answer(question)
        case .helo, .mail, .rcpt, .stored, .verify, .expand: return evaluator.answer(question)
        }
    }
}
