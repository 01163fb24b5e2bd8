import AgentProtocol
import CPosix
import Glibc
import SpoolFormat
import Synchronization

/// Tells another program of new files by datagram (docs/protocols.md §1). Never blocks: one thread sends at a time, and
/// takes along in one datagram what the others have come with meanwhile. When the receiver is slow a thread of its own waits
/// for it; when nobody listens names are dropped, and the receiver's scan finds the files.
public final class NoticeSender: Sendable {
    private struct State {
        var backlog: [SpoolID] = []
        /// Too many names came for a slow receiver: it has to look through the directory.
        var hasLost = false
        /// Somebody sends, and will take the backlog along.
        var isSending = false
    }

    /// Names kept for a slow receiver; beyond it a `SCAN` is sent instead.
    public static let backlogLimit = 65536
    /// Datagrams that a caller sends for others before a thread takes over.
    private static let callersDatagrams = 4

    private let socketPath: String
    private let directory: String
    private let state = Mutex(State())
    /// −1: not connected. Used by the one who sends; the lock is never contended.
    private let socket = Mutex<Int32>(-1)

    public init(socketPath: String, directory: String) {
        self.socketPath = socketPath
        self.directory = directory
    }

    deinit {
        socket.withLock { if $0 >= 0 { close($0) } }
    }

    public func send(_ id: SpoolID) { send([id]) }

    public func send(_ ids: [SpoolID]) {
        guard !ids.isEmpty else { return }
        let isMine = state.withLock { state -> Bool in
            if state.backlog.count + ids.count > Self.backlogLimit {
                state.backlog.removeAll()
                state.hasLost = true
            } else if !state.hasLost {
                state.backlog += ids
            }
            defer { state.isSending = true }
            return !state.isSending
        }
        if isMine, !sendBacklog(datagrams: Self.callersDatagrams) { startThread() }
    }

    /// Sends until nothing is left (`true`: somebody else may send then), the receiver is slow, or `datagrams` are sent.
    private func sendBacklog(datagrams: Int) -> Bool {
        for _ in 0..<datagrams {
            let notice = state.withLock { state -> SpoolNotice? in
                if state.hasLost {
                    // From here on names are kept again: what comes now may come too late for this scan.
                    state.hasLost = false
                    return .scan
                }
                guard !state.backlog.isEmpty else {
                    state.isSending = false
                    return nil
                }
                return .new(directory: directory, ids: Array(state.backlog.prefix(SpoolNotice.maximumNames)))
            }
            guard let notice else { return true }
            let outcome = transmit(Array(notice.text.utf8))
            state.withLock { state in
                switch (outcome, notice) {
                case (.nobody, _): state.backlog.removeAll()
                case (.sent, .scan), (.full, .new): break
                case (.full, .scan): state.hasLost = true
                // The backlog may have been given up for a scan meanwhile.
                case (.sent, .new(_, let ids)): state.backlog.removeFirst(min(ids.count, state.backlog.count))
                }
            }
            if outcome == .full { return false }
        }
        return false
    }

    private enum Outcome { case sent, full, nobody }

    private func transmit(_ text: [UInt8]) -> Outcome {
        socket.withLock { socket in
            for _ in 0..<2 {
                if socket < 0 { socket = cposix_unix_connect(socketPath, Int32(SOCK_DGRAM.rawValue), 1) }
                guard socket >= 0 else { return errno == EAGAIN ? .full : .nobody }
                if Glibc.send(socket, text, text.count, Int32(MSG_DONTWAIT)) == text.count { return .sent }
                if errno == EAGAIN || errno == ENOBUFS { return .full }
                // The receiver was restarted: its name leads to a new socket.
                close(socket)
                socket = -1
            }
            return .nobody
        }
    }

    /// Hands the sending over to a thread, which ends when nothing is left.
    private func startThread() {
        let context = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                let sender = Unmanaged<NoticeSender>.fromOpaque(raw).takeRetainedValue()
                while !sender.sendBacklog(datagrams: .max) { sender.waitForReceiver() }
                return nil
            }, context.toOpaque())
        if code == 0 {
            pthread_detach(thread)
        } else {
            context.release()
            // The next call tries again.
            state.withLock { $0.isSending = false }
        }
    }

    private func waitForReceiver() {
        // poll(2) passes over −1 and waits.
        var entry = pollfd(fd: socket.withLock { $0 }, events: Int16(POLLOUT), revents: 0)
        poll(&entry, 1, 100)
    }
}
