import Glibc
import MilterProtocol

/// A connection to a milter. Every wait ends: after `timeout` seconds, and for all of them together at `deadline`.
final class MilterConnection {
    private let descriptor: Int32
    private let settings: MilterSettings
    private let deadline: ContinuousClock.Instant
    private var decoder = MilterPacketDecoder()

    init(_ settings: MilterSettings) throws(MilterFailure) {
        self.settings = settings
        deadline = .now + .seconds(settings.messageTimeout)
        switch settings.socket {
        case .unix(let path): descriptor = try Self.connectUnix(path, settings)
        case .inet(let host, let port): descriptor = try Self.connectInet(host, port, settings)
        }
    }

    deinit { close(descriptor) }

    func send(_ octets: [UInt8], stage: MilterStage) throws(MilterFailure) {
        var sent = 0
        while sent < octets.count {
            let count = octets.withUnsafeBytes { buffer in
                Glibc.send(
                    descriptor, buffer.baseAddress.map { $0 + sent }, buffer.count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                try wait(for: POLLOUT, stage)
            } else if errno == EPIPE || errno == ECONNRESET {
                throw .closed(stage)
            } else if errno != EINTR {
                throw .system(call: "send", code: errno)
            }
        }
    }

    /// The next packet.
    func receive(stage: MilterStage) throws(MilterFailure) -> MilterPacket {
        while true {
            do throws(MilterProtocolError) {
                if let packet = try decoder.next() { return packet }
            } catch {
                throw .broken(error)
            }
            try wait(for: POLLIN, stage)
            var part = [UInt8](repeating: 0, count: 16 << 10)
            let count = part.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
            }
            if count > 0 {
                decoder.append(part[..<count])
            } else if count == 0 || errno == ECONNRESET {
                throw .closed(stage)
            } else if errno != EINTR, errno != EAGAIN {
                throw .system(call: "recv", code: errno)
            }
        }
    }

    private func wait(for events: Int32, _ stage: MilterStage) throws(MilterFailure) {
        let end = min(deadline, .now + .seconds(settings.timeout))
        guard try Self.poll(descriptor, events, until: end) else {
            if end == deadline { throw .messageTimeout(stage, seconds: settings.messageTimeout) }
            throw .timeout(stage, seconds: settings.timeout)
        }
    }

    /// `false` if nothing has happened by then.
    private static func poll(
        _ descriptor: Int32, _ events: Int32, until end: ContinuousClock.Instant
    ) throws(MilterFailure) -> Bool {
        while true {
            let left = (end - .now).components
            let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
            guard milliseconds > 0 else { return false }
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let ready = Glibc.poll(&entry, 1, Int32(clamping: milliseconds))
            if ready > 0 { return true }
            if ready < 0, errno != EINTR { throw .system(call: "poll", code: errno) }
        }
    }

    // MARK: - Connecting

    private static func connectUnix(_ path: String, _ settings: MilterSettings) throws(MilterFailure) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return try withUnsafeBytes(of: address) { octets throws(MilterFailure) in
            try connect(AF_UNIX, octets, settings)
        }
    }

    private static func connectInet(
        _ host: String, _ port: UInt16, _ settings: MilterSettings
    ) throws(MilterFailure) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else { throw .host("\(host): \(String(cString: gai_strerror(code)))") }
        defer { freeaddrinfo(list) }
        var failure = MilterFailure.host("\(host): no address")
        var entry = list
        // As many as a name server may say; each has its own wait.
        var left = 4
        while let info = entry?.pointee, left > 0 {
            do throws(MilterFailure) {
                let octets = UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen))
                return try connect(info.ai_family, octets, settings)
            } catch {
                failure = error
            }
            entry = info.ai_next
            left -= 1
        }
        throw failure
    }

    private static func connect(
        _ family: Int32, _ address: UnsafeRawBufferPointer, _ settings: MilterSettings
    ) throws(MilterFailure) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else { throw .system(call: "socket", code: errno) }
        do throws(MilterFailure) {
            let end = ContinuousClock.Instant.now + .seconds(settings.connectTimeout)
            var code = start(descriptor, address)
            // A Unix socket whose queue is full says so and has to be asked again.
            while code == EAGAIN, ContinuousClock.Instant.now < end {
                _ = Glibc.poll(nil, 0, 50)
                code = start(descriptor, address)
            }
            if code == EINPROGRESS {
                guard try poll(descriptor, POLLOUT, until: end) else { throw .system(call: "connect", code: ETIMEDOUT) }
                var length = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
            }
            guard code == 0 else { throw .system(call: "connect", code: code) }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// `errno`, 0 when it is connected.
    private static func start(_ descriptor: Int32, _ address: UnsafeRawBufferPointer) -> Int32 {
        guard let base = address.baseAddress else { return EINVAL }
        let result = Glibc.connect(
            descriptor, base.assumingMemoryBound(to: sockaddr.self), socklen_t(address.count))
        return result == 0 ? 0 : errno
    }
}
