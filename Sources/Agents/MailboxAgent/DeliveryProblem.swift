import AgentKit
import Glibc

/// Why a local delivery did not happen: always a status and a text, and whether it may succeed later.
struct DeliveryProblem: Error, Hashable {
    let result: RecipientResult

    init(_ result: RecipientResult) { self.result = result }

    /// A refusal for good.
    static func refused(_ status: String, _ text: String) -> DeliveryProblem {
        DeliveryProblem(.failed(status: status, text: text, diagnostic: "x-local; 500 \(status) \(text)"))
    }

    /// Our trouble, or the mailbox's: tried again.
    static func temporary(_ status: String, _ text: String) -> DeliveryProblem {
        DeliveryProblem(.deferred(status: status, text: text, diagnostic: "x-local; 400 \(status) \(text)"))
    }

    /// A system call that failed. Whatever an operator or the user can put right is temporary (design §2.6).
    static func system(_ call: String, _ path: String, _ code: Int32) -> DeliveryProblem {
        let text = "\(call) \(path): \(String(cString: strerror(code)))"
        switch code {
        // RFC 3463 §3.3: 4.2.2 mailbox full, 4.3.1 mail system full.
        case EDQUOT, EFBIG: return temporary("4.2.2", text)
        case ENOSPC: return temporary("4.3.1", text)
        case EACCES, EPERM, ENOTDIR, ENOENT, ELOOP, EISDIR, EROFS, ESTALE: return temporary("4.2.1", text)
        default: return temporary("4.3.0", text)
        }
    }

    static func content(_ error: FileError) -> DeliveryProblem { temporary("4.3.0", "message file: \(error)") }

    /// The mailbox is full for its owner, not the disk for all.
    var isQuota: Bool { result.status == "4.2.2" }
}
