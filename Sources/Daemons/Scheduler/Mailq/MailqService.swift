import AgentProtocol
import ChildProcesses
import Configuration
import Digests
import Glibc
import MailModel
import Telemetry

/// mailq, version 2, over the network (scheduler.md §5). Off unless `PARAMmailqsock` asks for it. Confined to the loop's thread.
/// Times are milliseconds of the steady clock.
final class MailqService {
    /// What the queue knows and does.
    struct Handlers {
        var list: (MailqServerSession.Report) -> QueueSocket.Answer
        /// Whether there is something to start. `origin`: for the log.
        var etrn: (_ target: ETRNTarget, _ origin: String) -> Bool
        /// `answer` is called once: when it is done.
        var act:
            (
                _ deed: MailqServerSession.Deed, _ target: MailqServerSession.Target, _ origin: String,
                _ answer: @escaping (MailqServerSession.Outcome) -> Void
            ) -> Void
        /// All of the queue, as mailq's version 1 has it.
        var dump: () -> QueueSocket.Answer
        /// 1 or 2.
        var version: Int
    }

    /// At a time: of all, of one address. Others are closed at once; addresses that may not log in take no place.
    static let maximumConnections = 20
    static let maximumOfAddress = 5
    /// Until a listening socket that could not be opened, or could not accept, is tried again.
    static let pause: Int64 = 5000
    /// Before a wrong password is answered, times the wrong ones so far.
    static let delay: Int64 = 1000

    private let poller: Poller
    private let log: EventLog
    private let handlers: Handlers
    private(set) var counters = MailqCounters()
    private var wanted: MailqSocket?
    private var accounts = MailqAccounts.none
    private var listener: MailqListener?
    private var isListening = false
    private var listenAgain: Int64 = .max
    private var hasComplained = false
    private var connections: [Int32: MailqConnection] = [:]
    private var generator = SystemRandomNumberGenerator()

    init(poller: Poller, log: EventLog, handlers: Handlers) {
        self.poller = poller
        self.log = log
        self.handlers = handlers
    }

    // MARK: The socket

    /// From now on; connections that are there keep the rights that they have.
    func configure(_ socket: MailqSocket?, _ accounts: MailqAccounts, at now: Int64) {
        self.accounts = accounts
        guard socket != wanted else { return }
        wanted = socket
        stopListening()
        listener = nil
        hasComplained = false
        listenAgain = socket == nil ? .max : now
        advance(to: now)
    }

    private func listen(at now: Int64) {
        listenAgain = .max
        guard let wanted else { return }
        if listener == nil {
            do throws(MailqListener.Failure) {
                listener = try MailqListener(wanted)
                log.notice("mailq-listening", ["socket": "\(wanted)"])
                hasComplained = false
            } catch {
                // Mail matters more: the scheduler goes on without.
                if !hasComplained { log.error("mailq-not-listening", ["reason": error.description]) }
                hasComplained = true
                listenAgain = now + Self.pause
                return
            }
        }
        guard let listener, !isListening else { return }
        isListening = poller.add(listener.descriptor, .read) { [unowned self] _ in accept() }
    }

    private func stopListening() {
        guard isListening, let listener else { return }
        poller.remove(listener.descriptor)
        isListening = false
    }

    func shutDown() {
        for connection in connections.values { end(connection) }
        stopListening()
        listener = nil
        listenAgain = .max
    }

    // MARK: Time

    /// When ``advance(to:)`` is due; `.max`: never.
    var due: Int64 {
        connections.values.reduce(listenAgain) { min($0, $1.deadline, $1.delayed?.time ?? .max) }
    }

    func advance(to now: Int64) {
        if now >= listenAgain { listen(at: now) }
        guard !connections.isEmpty else { return }
        for connection in Array(connections.values) {
            if now >= connection.deadline {
                counters.timedOut += 1
                end(connection)
            } else if let delayed = connection.delayed, now >= delayed.time {
                connection.delayed = nil
                poller.add(connection.descriptor, .read) { [unowned self] _ in ready(connection) }
                perform(delayed.action, connection)
                run(connection)
            }
        }
    }

    private var now: Int64 { SchedulerLoop.monotonicMilliseconds() }

    // MARK: Connections

    private func accept() {
        guard let listener else { return }
        for _ in 0..<16 {
            guard let descriptor = UnixSocket.accept(listener.descriptor) else {
                // Without a descriptor for it the connection stays, and would wake us without end.
                if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM {
                    stopListening()
                    listenAgain = now + Self.pause
                }
                return
            }
            counters.connects += 1
            admit(descriptor, listener.socket)
        }
    }

    private func admit(_ descriptor: Int32, _ socket: MailqSocket) {
        let client = SocketName.peer(of: descriptor)
        let isKnown =
            switch socket {
            case .tcp where client == nil: false
            case .unix, .tcp: handlers.version == 1 ? mayDump(client) : accounts.admits(client)
            }
        guard isKnown else {
            log.debug("mailq-no-access", ["client": name(client)])
            let refusal = Array(MailqServerSession.noAccess.utf8)
            _ = write(descriptor, refusal, refusal.count)
            close(descriptor)
            counters.refusedLogins += 1
            return
        }
        guard connections.count < Self.maximumConnections,
            connections.values.count(where: { $0.client == client }) < Self.maximumOfAddress
        else {
            log.debug("mailq-too-many", ["client": name(client)])
            close(descriptor)
            return
        }
        let connection = connection(descriptor, client)
        guard poller.add(descriptor, .read, { [unowned self] _ in ready(connection) }) else {
            close(descriptor)
            return
        }
        connections[descriptor] = connection
        counters.parallel = connections.count
        run(connection)
    }

    /// Version 1 knows no login: the lines of the user `nobody`, whose password everybody knew, say which addresses may read.
    private func mayDump(_ client: IPAddress?) -> Bool {
        accounts.account(Array("nobody".utf8), from: client)?.rights.contains(.threads) ?? false
    }

    private func connection(_ descriptor: Int32, _ client: IPAddress?) -> MailqConnection {
        guard handlers.version == 1 else {
            return MailqConnection(descriptor, client: client, nonce: nonce(), now: now)
        }
        return MailqConnection(descriptor, client: client, dump: handlers.dump(), now: now)
    }

    /// ZMailer's three numbers, the last of which nobody can foresee: what was overheard is worth nothing later.
    private func nonce() -> String {
        let milliseconds = SchedulerLoop.milliseconds()
        return "\(milliseconds / 1000).\(milliseconds % 1000)000.\(generator.next())"
    }

    private func name(_ client: IPAddress?) -> String { client?.literal ?? "local" }

    private func end(_ connection: MailqConnection) {
        guard connections.removeValue(forKey: connection.descriptor) != nil else { return }
        poller.remove(connection.descriptor)
        close(connection.descriptor)
        counters.parallel = connections.count
    }

    private func ready(_ connection: MailqConnection) {
        guard !connection.isAnswering, !connection.closes else { return run(connection) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(connection.descriptor, &buffer, buffer.count)
        guard count > 0 else {
            if count == 0 || errno != EAGAIN && errno != EINTR { end(connection) }
            return
        }
        connection.session.append(buffer[..<count])
        run(connection)
    }

    /// Writes what there is to write, then takes the next command, as long as both go on.
    private func run(_ connection: MailqConnection) {
        while connections[connection.descriptor] === connection {
            switch connection.write() {
            case .gone: return end(connection)
            case .waiting(let hasWritten):
                if hasWritten { connection.isActive(at: now) }
                return poller.change(connection.descriptor, .write)
            case .done: break
            }
            if connection.closes { return end(connection) }
            guard let action = connection.session.next() else {
                return poller.change(connection.descriptor, .read)
            }
            counters.commands += 1
            perform(action, connection)
            if connection.delayed != nil || connection.isWaiting { return }
        }
    }

    private func perform(_ action: MailqServerSession.Action, _ connection: MailqConnection) {
        connection.isActive(at: now)
        switch action {
        case .send(let text): connection.send(text)
        case .close(let text): connection.close(text)
        case .list(let report): connection.list(handlers.list(report))
        case .authenticate(let user, let response): logIn(user, response, connection)
        case .etrn(let target, let remark):
            counters.etrns += 1
            let origin = "\(connection.user)@\(name(connection.client))\(remark.isEmpty ? "" : " for \(remark)")"
            connection.send(MailqServerSession.started(handlers.etrn(target, origin)))
        case .act(let deed, let target):
            let origin = "\(connection.user)@\(name(connection.client))"
            act(deed, target, origin, connection)
        }
    }

    /// Nothing is read until it is done, and a client that has gone is noticed then.
    private func act(
        _ deed: MailqServerSession.Deed, _ target: MailqServerSession.Target, _ origin: String,
        _ connection: MailqConnection
    ) {
        connection.wait()
        poller.remove(connection.descriptor)
        handlers.act(deed, target, origin) { [weak self, weak connection] outcome in
            guard let self, let connection, connections[connection.descriptor] === connection else { return }
            connection.answer(MailqServerSession.answer(deed, outcome), at: now)
            poller.add(connection.descriptor, .write) { [unowned self] _ in ready(connection) }
        }
    }

    /// As long for a user that does not exist as for a wrong password.
    private func logIn(_ user: [UInt8], _ response: [UInt8], _ connection: MailqConnection) {
        let account = accounts.account(user, from: connection.client)
        let material = connection.session.material(password: account?.password ?? [])
        let digest = Digest.md5(material).map { Array(MailqDigest.text($0).utf8) }
        if digest == nil { log.error("mailq-no-md5", ["reason": "the system's crypto policy forbids MD5"]) }
        let isRight = digest.map { Digest.areEqual($0, response) } ?? false
        if isRight, let account {
            connection.user = account.description
            log.info("mailq-login", ["user": connection.user, "client": name(connection.client)])
            perform(connection.session.authenticated(rights: account.rights), connection)
            return
        }
        counters.refusedLogins += 1
        connection.failures += 1
        log.warning(
            "mailq-refused",
            ["user": String(decoding: user, as: UTF8.self), "client": name(connection.client)])
        connection.delayed = (connection.session.refused(), now + Self.delay * Int64(connection.failures))
        // Nothing is read meanwhile, and a client that has gone is noticed then.
        poller.remove(connection.descriptor)
    }
}
