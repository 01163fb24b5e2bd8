import AgentProtocol
import CPosix
import Glibc
import SpoolFormat
import Synchronization

/// Tells another program of new files by datagram (docs/protocols.md §1). Never blocks: when the receiver is slow, names are
/// collected and sent together by a thread of its own; when nobody listens they are dropped, and the receiver's scan finds the files.
public final class NoticeSender: Sendable {
    private struct State {
        var socket: Int32 = -1
        var backlog: [SpoolID] = []
        var hasLost = false
        var isFlushing = false
    }

    /// Names kept for a slow receiver; beyond it a `SCAN` is sent instead.
    public static let backlogLimit = 65536

    private let socketPath: String
    private let directory: String
    private let state = Mutex(State())

    public init(socketPath: String, directory: String) {
        self.socketPath = socketPath
        self.directory = directory
    }

    deinit {
        state.withLock { if $0.socket >= 0 { close($0.socket) } }
    }

    public func send(_ id: SpoolID) { send([id]) }

    public func send(_ ids: [SpoolID]) {
        guard !ids.isEmpty else { return }
        let startsThread = state.withLock { state -> Bool in
            if state.backlog.isEmpty, !state.hasLost, !state.isFlushing {
                switch transmit(ids, &state) {
                case .sent, .nobody: return false
                case .full: break
                }
            }
            if state.backlog.count + ids.count > Self.backlogLimit {
                state.backlog.removeAll()
                state.hasLost = true
            } else if !state.hasLost {
                state.backlog += ids
            }
            defer { state.isFlushing = true }
            return !state.isFlushing
        }
        if startsThread { startFlushing() }
    }

    private enum Outcome { case sent, full, nobody }

    private func transmit(_ ids: [SpoolID], _ state: inout State) -> Outcome {
        let text = Array(SpoolNotice.new(directory: directory, ids: ids).text.utf8)
        return transmit(text, &state)
    }

    private func transmit(_ text: [UInt8], _ state: inout State) -> Outcome {
        for _ in 0..<2 {
            if state.socket < 0 { state.socket = cposix_unix_connect(socketPath, Int32(SOCK_DGRAM.rawValue), 1) }
            guard state.socket >= 0 else { return errno == EAGAIN ? .full : .nobody }
            if Glibc.send(state.socket, text, text.count, Int32(MSG_DONTWAIT)) == text.count { return .sent }
            if errno == EAGAIN || errno == ENOBUFS { return .full }
            // The receiver was restarted: its name leads to a new socket.
            close(state.socket)
            state.socket = -1
        }
        return .nobody
    }

    private func startFlushing() {
        let context = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                Unmanaged<NoticeSender>.fromOpaque(raw).takeRetainedValue().flush()
                return nil
            }, context.toOpaque())
        if code == 0 {
            pthread_detach(thread)
        } else {
            context.release()
            // The next send tries again.
            state.withLock { $0.isFlushing = false }
        }
    }

    private func flush() {
        while true {
            let socket = state.withLock { state -> Int32 in
                if state.hasLost {
                    switch transmit(Array(SpoolNotice.scan.text.utf8), &state) {
                    case .sent, .nobody: state.hasLost = false
                    case .full: return state.socket
                    }
                }
                while !state.backlog.isEmpty {
                    let batch = Array(state.backlog.prefix(SpoolNotice.maximumNames))
                    switch transmit(batch, &state) {
                    case .sent: state.backlog.removeFirst(batch.count)
                    case .nobody: state.backlog.removeAll()
                    case .full: return state.socket
                    }
                }
                state.isFlushing = false
                return -1
            }
            if socket < 0 { return }
            var entry = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
            poll(&entry, 1, 100)
        }
    }
}

/// The receiving end: a bound datagram socket of mode 0600.
public final class NoticeReceiver {
    /// Readable when there are notices.
    public let descriptor: Int32
    private let path: String

    public init(socketPath: String) throws(PostofficeError) {
        path = socketPath
        descriptor = cposix_unix_listen(socketPath, Int32(SOCK_DGRAM.rawValue), 0o600, 0)
        guard descriptor >= 0 else { throw PostofficeError(socketPath, code: errno, missing: .missing) }
    }

    deinit { close(descriptor) }

    /// All notices that are there now, at most 64 at once.
    public func receive() -> [SpoolNotice] {
        var notices: [SpoolNotice] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while notices.count < 64 {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count >= 0 else { break }
            notices.append(SpoolNotice(String(decoding: buffer[0..<count], as: UTF8.self)))
        }
        return notices
    }
}
