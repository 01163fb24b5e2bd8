import Glibc
import TransportSecurity

/// Why a connection cannot be made or used any longer. Always temporary: what a host says about mail comes as replies.
enum TransportError: Error, Hashable, CustomStringConvertible {
    /// From the system call that failed.
    case system(call: String, code: Int32)
    case timedOut(String)
    case closedByPeer
    /// The message file cannot be read to its end: the message must not be completed.
    case noContent(String)
    /// TLS cannot begin, or broke. `isLasting`: the same server with the same settings will do no better; the connection was there.
    case tls(reason: String, isLasting: Bool)

    init(_ failure: TLSFailure) {
        switch failure.kind {
        case .protocolError, .alert, .verification: self = .tls(reason: failure.description, isLasting: true)
        case .configuration, .misuse: self = .tls(reason: failure.description, isLasting: false)
        case .truncated: self = .closedByPeer
        }
    }

    var isTimeOut: Bool {
        if case .timedOut = self { true } else { false }
    }

    var description: String {
        switch self {
        case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
        case .timedOut(let what): "\(what) timed out"
        case .closedByPeer: "connection closed by the remote host"
        case .tls(let reason, _): "TLS: \(reason)"
        case .noContent(let reason): "message content: \(reason)"
        }
    }
}
