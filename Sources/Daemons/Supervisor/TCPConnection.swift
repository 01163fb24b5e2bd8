import Glibc

/// Connections to a host by its name or address.
enum TCPConnection {
    /// Tries each of its addresses, at most `seconds` each. `path` of the failure is the host and port.
    static func open(host: String, port: UInt16, seconds: Int) throws(UnixStream.Failure) -> UnixStream {
        func failure(_ code: Int32) -> UnixStream.Failure { UnixStream.Failure(path: "\(host)/\(port)", code: code) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else { throw failure(code == EAI_SYSTEM ? errno : code == EAI_AGAIN ? EAGAIN : EHOSTUNREACH) }
        defer { freeaddrinfo(list) }
        var last: Int32 = EHOSTUNREACH
        var next = list
        while let info = next?.pointee {
            let descriptor = socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), info.ai_protocol)
            if descriptor >= 0 {
                // It bounds connect, too.
                var patience = timeval(tv_sec: seconds, tv_usec: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
                if connect(descriptor, info.ai_addr, info.ai_addrlen) == 0 { return UnixStream(descriptor: descriptor) }
                last = errno == EINPROGRESS ? ETIMEDOUT : errno
                close(descriptor)
            } else {
                last = errno
            }
            next = info.ai_next
        }
        throw failure(last)
    }
}
