import Glibc

/// A Unix stream socket that answers one question a connection: a line, and lines until the end. Confined to the poller's thread.
///
/// An answer is made piece by piece as the peer reads it, so that one of any size costs little memory, and a peer that does not read
/// costs nothing but its place, which it loses after ``patience``.
public final class QuestionSocket {
    /// Makes the next piece of an answer; `nil` when it is complete.
    public typealias Answer = () -> String?

    /// Connections at a time; later ones wait in the listen queue.
    public static let maximumClients = 16
    /// Octets of a question.
    public static let maximumQuestion = 1024
    /// Milliseconds that a peer may neither ask nor read.
    public static let patience: Int64 = 30_000
    /// Octets that are made ahead.
    private static let buffered = 1 << 16

    private final class Client {
        var question: [UInt8] = []
        var answer: Answer?
        var pending: [UInt8] = []
        var sent = 0
        var isComplete = false
        var lastSign: Int64 = SteadyClock.milliseconds
    }

    private let path: String
    private let listener: Int32
    private let poller: Poller
    private let owner: uid_t
    private let answer: (String) -> Answer
    private var clients: [Int32: Client] = [:]
    private var isPaused = false

    /// `owner`: the uid that may ask beside our own and root.
    public init(
        path: String, owner: uid_t, poller: Poller, answer: @escaping (String) -> Answer
    ) throws(UnixSocket.Failure) {
        self.path = path
        self.owner = owner
        self.poller = poller
        self.answer = answer
        listener = try UnixSocket.listen(path)
        watchListener()
    }

    deinit {
        for descriptor in clients.keys { end(descriptor) }
        poller.remove(listener)
        close(listener)
        unlink(path)
    }

    private func watchListener() {
        isPaused = false
        poller.add(listener, .read) { [unowned self] _ in accept() }
    }

    private func accept() {
        if clients.count >= Self.maximumClients { endIdle() }
        guard clients.count < Self.maximumClients else {
            isPaused = true
            poller.remove(listener)
            return
        }
        guard let client = UnixSocket.accept(listener) else { return }
        guard let peer = UnixSocket.peer(client), peer == 0 || peer == geteuid() || peer == owner else {
            close(client)
            return
        }
        clients[client] = Client()
        poller.add(client, .read) { [unowned self] _ in ready(client) }
    }

    /// Call it now and then: lets go of peers that neither ask nor read.
    public func endIdle() {
        let limit = SteadyClock.milliseconds - Self.patience
        for (descriptor, client) in clients where client.lastSign < limit { end(descriptor) }
    }

    private func ready(_ descriptor: Int32) {
        guard let client = clients[descriptor] else { return }
        client.lastSign = SteadyClock.milliseconds
        if client.answer != nil { return pump(descriptor, client) }
        var buffer = [UInt8](repeating: 0, count: Self.maximumQuestion)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else {
            if count == 0 || errno != EAGAIN && errno != EINTR { end(descriptor) }
            return
        }
        client.question += buffer[..<count]
        guard let newline = client.question.firstIndex(of: 0x0a) else {
            if client.question.count >= Self.maximumQuestion { end(descriptor) }
            return
        }
        client.answer = answer(String(decoding: client.question[..<newline], as: UTF8.self))
        poller.change(descriptor, .write)
        pump(descriptor, client)
    }

    /// A bounded piece a turn: mail goes before questions.
    private func pump(_ descriptor: Int32, _ client: Client) {
        if client.sent > 0 {
            client.pending.removeFirst(client.sent)
            client.sent = 0
        }
        while client.pending.count < Self.buffered, !client.isComplete {
            if let piece = client.answer?() { client.pending += piece.utf8 } else { client.isComplete = true }
        }
        guard !client.pending.isEmpty else { return end(descriptor) }
        let count = client.pending.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if count > 0 {
            client.sent = count
        } else if errno != EAGAIN, errno != EINTR {
            end(descriptor)
        }
    }

    private func end(_ descriptor: Int32) {
        guard clients.removeValue(forKey: descriptor) != nil else { return }
        poller.remove(descriptor)
        close(descriptor)
        if isPaused { watchListener() }
    }
}
