import Glibc
import MilterProtocol

/// Why there is no answer for a message.
public enum MilterFailure: Error, Hashable, Sendable, CustomStringConvertible {
    case system(call: String, code: Int32)
    /// `getaddrinfo`'s own words.
    case host(String)
    case timeout(MilterStage, seconds: Int)
    /// The whole message took too long.
    case messageTimeout(MilterStage, seconds: Int)
    case closed(MilterStage)
    case broken(MilterProtocolError)
    /// The envelope does not tell who the client is: a milter would take it for a local one.
    case client(String?)
    case noRecipients

    public var description: String {
        switch self {
        case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
        case .host(let reason): reason
        case .timeout(let stage, let seconds): "no answer within \(seconds) s at \(stage.rawValue)"
        case .messageTimeout(let stage, let seconds): "not ready within \(seconds) s, now at \(stage.rawValue)"
        case .closed(.negotiation):
            "it has closed the connection during the negotiation: it may want to change bodies or senders, which is not offered"
        case .closed(let stage): "it has closed the connection at \(stage.rawValue)"
        case .broken(let error): "protocol error: \(error)"
        case .client(let text): "the client cannot be read from rcvdfrom '\(text ?? "")'"
        case .noRecipients: "the envelope has no recipients"
        }
    }
}
