import Glibc
import MailModel

/// A connected stream socket with a deadline on every operation. Confined to the thread that uses it.
final class Socket {
    private let descriptor: Int32

    /// What a socket is made with.
    struct Options: Hashable, Sendable {
        var localIdentity: LocalIdentity?
        /// From the ports below 1024 (`-r`); needs the capability to bind them.
        var usesPrivilegedPort = false
        /// Octets of SO_SNDBUF (`-w`).
        var sendBufferSize: Int?
    }

    /// Connects, or throws why not by the deadline.
    init(to endpoint: Endpoint, options: Options, deadline: Deadline) throws(TransportError) {
        let descriptor = socket(endpoint.family, Int32(SOCK_STREAM.rawValue) | Self.flags, 0)
        guard descriptor >= 0 else { throw .system(call: "socket", code: errno) }
        self.descriptor = descriptor
        // All is initialized: from here on deinit closes the descriptor, also when something throws.
        try configure(endpoint, options)
        let failure = endpoint.withSocketAddress { address, length in
            connect(descriptor, address, length) == 0 ? 0 : errno
        }
        // EAGAIN of a Unix-domain socket: its listener's queue is full.
        guard failure != 0 else { return }
        guard failure == EINPROGRESS || failure == EINTR else { throw .system(call: "connect", code: failure) }
        try wait(for: Int16(POLLOUT), until: deadline, "connect")
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
        guard code == 0 else { throw .system(call: "connect", code: code) }
    }

    deinit { close(descriptor) }

    private static var flags: Int32 { Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue) }

    private func configure(_ endpoint: Endpoint, _ options: Options) throws(TransportError) {
        var enabled: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        guard case .address(let remote, _) = endpoint.place else { return }
        // Commands are gathered into one write; waiting for more would only add latency.
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &enabled, size)
        if var octets = options.sendBufferSize.map(Int32.init(clamping:)) {
            setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &octets, size)
        }
        let local = try options.localIdentity?.address(for: remote)
        if options.usesPrivilegedPort {
            try bindPrivilegedPort(local ?? remote.unspecified)
        } else if let local {
            let code = SocketAddress.with(local, port: 0) { bind(descriptor, $0, $1) == 0 ? 0 : errno }
            guard code == 0 else { throw .system(call: "bind to \(local)", code: code) }
        }
    }

    private func bindPrivilegedPort(_ local: IPAddress) throws(TransportError) {
        var code: Int32 = EADDRINUSE
        for port in stride(from: UInt16(1023), to: 511, by: -1) {
            code = SocketAddress.with(local, port: port) { bind(descriptor, $0, $1) == 0 ? 0 : errno }
            if code != EADDRINUSE { break }
        }
        guard code == 0 else { throw .system(call: "bind to a privileged port", code: code) }
    }

    /// Reads what has arrived, at least one octet, or throws.
    func read(into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(TransportError) -> Int {
        while true {
            // Asking first saves a system call whenever the answer is already here, and pipelined answers are.
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return count }
            if count == 0 { throw .closedByPeer }
            guard errno == EAGAIN || errno == EINTR else { throw Self.broken("read", errno) }
            try wait(for: Int16(POLLIN), until: deadline, "reply")
        }
    }

    /// Writes all octets, or throws; then an unknown part has been written.
    func write(_ octets: UnsafeRawBufferPointer, deadline: Deadline) throws(TransportError) {
        var rest = octets[...]
        while !rest.isEmpty {
            let count = send(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count, Self.noSignal)
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT), until: deadline, "write")
            } else if errno != EINTR {
                throw Self.broken("write", errno)
            }
        }
    }

    /// Whether the peer has sent something or gone while nobody asked: an idle connection like that is of no use.
    var hasUnexpectedInput: Bool {
        var descriptors = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&descriptors, 1, 0) != 0
    }

    private static var noSignal: Int32 { Int32(MSG_NOSIGNAL) }

    private static func broken(_ call: String, _ code: Int32) -> TransportError {
        code == ECONNRESET || code == EPIPE ? .closedByPeer : .system(call: call, code: code)
    }

    private func wait(for events: Int16, until deadline: Deadline, _ what: String) throws(TransportError) {
        var descriptors = pollfd(fd: descriptor, events: events, revents: 0)
        while true {
            let count = poll(&descriptors, 1, deadline.remainingMilliseconds)
            if count > 0 { return }
            if count == 0 { throw .timedOut(what) }
            guard errno == EINTR else { throw .system(call: "poll", code: errno) }
        }
    }
}

extension IPAddress {
    /// The wildcard address of the same family.
    var unspecified: IPAddress {
        switch self {
        case .v4: .v4(0)
        case .v6: .v6(high: 0, low: 0)
        }
    }
}
