import AgentKit
import Configuration

/// What one `sm` does: a mailer of sm.conf and what surrounds it.
struct StreamSettings: Sendable {
    let mailer: StreamMailer
    let zenv: ZEnvironment
    /// In HELO, and in `remote from`.
    let hostName: String
    var limits = ProgramRun.Limits()

    /// Whether the `Received` field that this system wrote may tell for whom a copy is (NORECEIVEDFORCLAUSE of zmailer.conf).
    var annotatesReceived: Bool {
        let value = zenv["NORECEIVEDFORCLAUSE"] ?? ""
        return value.isEmpty || value == "0" || value == "no"
    }
}
