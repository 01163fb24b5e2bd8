import Glibc
import MailModel

/// Why nothing is known to have been submitted.
public enum SubmissionFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// Nobody listens there, or we may not connect. `errno`.
    case unreachable(path: String, code: Int32)
    /// The greeting, or EHLO, was a refusal.
    case refused(Reply)
    /// The connection ended in the middle.
    case lost(String)
    /// The message could not be read back.
    case store(MessageStore.Failure)

    public var description: String {
        switch self {
        case .unreachable(let path, let code):
            "\(path): \(String(cString: strerror(code))); smtpserver makes it where smtpserver.conf has "
                + "PARAM submission-socket, while it runs (zmailer start)"
        case .refused(let reply): "smtpserver does not take mail: \(reply.summary)"
        case .lost(let reason): "the connection to smtpserver broke: \(reason)"
        case .store(let failure): failure.description
        }
    }

    /// Whether the same may be tried again later.
    public var isTemporary: Bool {
        switch self {
        case .unreachable, .lost: true
        case .refused(let reply): !reply.isPermanent
        case .store(.file): true
        case .store(.tooLarge): false
        }
    }
}
