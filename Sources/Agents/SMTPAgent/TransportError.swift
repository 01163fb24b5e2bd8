import Glibc

/// Why a connection cannot be made or used any longer. Always temporary: what a host says about mail comes as replies.
enum TransportError: Error, Hashable, CustomStringConvertible {
    /// From the system call that failed.
    case system(call: String, code: Int32)
    case timedOut(String)
    case closedByPeer
    /// The message file cannot be read to its end: the message must not be completed.
    case noContent(String)

    var description: String {
        switch self {
        case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
        case .timedOut(let what): "\(what) timed out"
        case .closedByPeer: "connection closed by the remote host"
        case .noContent(let reason): "message content: \(reason)"
        }
    }
}
