import AgentKit
import Configuration
import Glibc
import ProgramKit
import SpoolFormat

/// The environment of a program: all that it learns of a message beside its text. Addresses get here and never into a command.
struct CommandEnvironment {
    let zenv: ZEnvironment
    /// Whom it runs as.
    let account: SystemAccount?

    func variables(_ job: DeliveryJob, _ recipient: JobRecipient) -> [String] {
        var variables: [(String, String)] = [
            ("HOME", account?.home ?? "/"), ("USER", account?.name ?? ""), ("LOGNAME", account?.name ?? ""),
            ("SENDER", job.sender(of: recipient) ?? "<>"),
            ("NOTIFY", recipient.recipient.notify.text), ("MSGSPOOLID", "\(job.id)"),
            ("MESSAGEID", job.control.logID), ("MAILBIN", zenv.mailbin), ("MAILSHARE", zenv.mailshare),
            ("PATH", zenv["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"), ("SHELL", "/bin/sh"), ("IFS", " \t\n"),
        ]
        let optional: [(String, String?)] = [
            ("ORCPT", recipient.recipient.originalRecipient), ("INRCPT", recipient.recipient.envelopeRecipient),
            ("INFROM", job.sender(of: recipient)), ("ENVID", job.control.envelopeID),
            ("BY", recipient.recipient.deliverBy?.value), ("ZCONFIG", zenv["ZCONFIG"]),
            ("TZ", getenv("TZ").map { String(cString: $0) }),
        ]
        for (name, value) in optional { if let value { variables.append((name, value)) } }
        return variables.map { name, value in
            name == "IFS" ? "IFS=\(value)" : "\(name)=\(TraceFields.clean(value))"
        }
    }
}
