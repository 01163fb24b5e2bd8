import AgentKit
import Configuration
import Glibc
import ProgramKit
import SpoolFormat

/// The environment of a program: nothing is inherited but TZ. What concerns one recipient is there only if the run has only one.
struct StreamEnvironment {
    let zenv: ZEnvironment
    /// Whom it runs as.
    let account: SystemAccount?

    func variables(_ job: DeliveryJob, _ recipients: [JobRecipient]) -> [String] {
        guard let first = recipients.first else { return [] }
        var variables: [(String, String?)] = [
            ("PATH", zenv["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"), ("SHELL", "/bin/sh"),
            ("HOME", account?.home ?? "/"), ("USER", account?.name), ("LOGNAME", account?.name),
            ("MAILBIN", zenv.mailbin), ("MAILSHARE", zenv.mailshare), ("ZCONFIG", zenv["ZCONFIG"]),
            ("TZ", getenv("TZ").map { String(cString: $0) }), ("MSGSPOOLID", "\(job.id)"),
            ("MESSAGEID", job.control.logID), ("SENDER", job.sender(of: first) ?? "<>"),
            ("ENVID", job.control.envelopeID),
        ]
        if recipients.count == 1 {
            variables += [
                ("NOTIFY", first.recipient.notify.text), ("ORCPT", first.recipient.originalRecipient),
                ("INRCPT", first.recipient.envelopeRecipient), ("BY", first.recipient.deliverBy?.value),
            ]
        }
        return variables.compactMap { name, value in value.map { "\(name)=\(StreamFields.clean($0))" } }
    }
}
