import AgentProtocol
import ChildProcesses
import Glibc

/// `.scheduler.mailq` (docs/protocols.md §5): one question a connection, the answer as lines of JSON. Confined to the loop's thread.
///
/// An answer is made piece by piece as the peer reads it, so that a queue of any size costs little memory.
final class QueueSocket {
    /// Makes the next piece of an answer; `nil` when it is complete.
    typealias Answer = () -> String?
    /// Takes a line of an answer; the last one ends it.
    typealias Delivery = (_ text: String, _ isLast: Bool) -> Void

    enum Reply {
        /// Made as the peer reads it; an empty piece: more in the loop's next turn.
        case pieces(Answer)
        /// It takes its time; the peer waits meanwhile.
        case later((@escaping Delivery) -> Void)
    }

    private let descriptor: Int32
    private let poller: Poller
    private let owner: uid_t
    private let answer: (String) -> Reply
    private var clients: [Int32: Client] = [:]

    /// Questions at the same time; later ones wait in the listen queue.
    static let maximumClients = 64
    /// Octets: the names of ten thousand messages.
    static let maximumQuestion = 1 << 18

    private final class Client {
        var question: [UInt8] = []
        var answer: Answer?
        var buffer = OutputBuffer()
        /// Its answer is made elsewhere.
        var isWaiting = false
    }

    enum Failure: Error, CustomStringConvertible {
        case system(path: String, code: Int32)
        var description: String {
            switch self {
            case .system(let path, let code): "\(path): \(String(cString: strerror(code)))"
            }
        }
    }

    /// `owner`: the uid that may ask beside our own and root.
    init(path: String, owner: uid_t, poller: Poller, answer: @escaping (String) -> Reply) throws(Failure) {
        self.poller = poller
        self.owner = owner
        self.answer = answer
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let octets = Array(SocketPath.reachable(path).utf8)
        guard octets.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw .system(path: path, code: ENAMETOOLONG)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: octets) }
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw .system(path: path, code: errno) }
        Descriptor.setNonblocking(descriptor)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(path)
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        // fchmod before bind sets the mode of the name that bind makes.
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                fchmod(descriptor, 0o600) == 0 && bind(descriptor, $0, size) == 0 && listen(descriptor, 64) == 0
            }
        }
        guard bound else {
            let code = errno
            close(descriptor)
            throw .system(path: path, code: code)
        }
        poller.add(descriptor, .read) { [unowned self] _ in accept() }
    }

    private func accept() {
        guard clients.count < Self.maximumClients else { return pause() }
        let client = Glibc.accept(descriptor, nil, nil)
        guard client >= 0 else { return }
        Descriptor.setNonblocking(client)
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        guard isAllowed(client) else {
            let refusal = "{\"error\":\"only the mail system's own user and root may ask\"}\n"
            _ = Array(refusal.utf8).withUnsafeBytes { write(client, $0.baseAddress, $0.count) }
            close(client)
            return
        }
        clients[client] = Client()
        poller.add(client, .read) { [unowned self] _ in ready(client) }
    }

    private var isPaused = false

    private func pause() {
        isPaused = true
        poller.remove(descriptor)
    }

    private func isAllowed(_ client: Int32) -> Bool {
        var peer = (pid: pid_t(0), uid: uid_t.max, gid: gid_t(0))
        var size = socklen_t(12)
        guard getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0, size == 12 else { return false }
        return peer.uid == 0 || peer.uid == geteuid() || peer.uid == owner
    }

    private func ready(_ descriptor: Int32) {
        guard let client = clients[descriptor] else { return }
        if client.answer != nil || client.isWaiting { return pump(descriptor, client) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else {
            if count == 0 || errno != EAGAIN && errno != EINTR { end(descriptor) }
            return
        }
        client.question += buffer[0..<count]
        // Only what is new can end it.
        let searched = client.question.count - count
        guard let newline = client.question[searched...].firstIndex(of: 0x0a) else {
            if client.question.count >= Self.maximumQuestion { end(descriptor) }
            return
        }
        let question = String(decoding: client.question[..<newline], as: UTF8.self)
        client.question = []
        switch answer(question) {
        case .pieces(let pieces):
            client.answer = pieces
            poller.change(descriptor, .write)
            pump(descriptor, client)
        case .later(let start):
            client.isWaiting = true
            // What it does meanwhile is found out when there is something to be told.
            poller.remove(descriptor)
            start { [weak self, weak client] text, isLast in
                guard let self, let client, clients[descriptor] === client else { return }
                delivered(text, isLast: isLast, to: descriptor, client)
            }
        }
    }

    private func delivered(_ text: String, isLast: Bool, to descriptor: Int32, _ client: Client) {
        client.buffer.append(text)
        guard isLast else {
            // Whoever does not read loses lines on the way, not the last one.
            if client.buffer.count > 1 << 16 { client.buffer = OutputBuffer() }
            if case .closed = client.buffer.write(to: descriptor) { end(descriptor) }
            return
        }
        client.isWaiting = false
        client.answer = { nil }
        poller.add(descriptor, .write) { [unowned self] _ in ready(descriptor) }
        pump(descriptor, client)
    }

    private func pump(_ descriptor: Int32, _ client: Client) {
        // A bounded piece a turn: mail goes before questions.
        var pieces = 0
        while client.buffer.count < 1 << 16, pieces < 256, let piece = client.answer?() {
            pieces += 1
            if piece.isEmpty { break }
            client.buffer.append(piece)
        }
        switch client.buffer.write(to: descriptor) {
        case .full: return
        case .closed: end(descriptor)
        case .done: if pieces < 256, client.buffer.isEmpty, pieces == 0 { end(descriptor) }
        }
    }

    private func end(_ client: Int32) {
        clients[client] = nil
        poller.remove(client)
        close(client)
        if isPaused {
            isPaused = false
            poller.add(descriptor, .read) { [unowned self] _ in accept() }
        }
    }

    func shutDown() {
        for client in clients.keys { close(client) }
        clients = [:]
        poller.remove(descriptor)
        close(descriptor)
    }
}
