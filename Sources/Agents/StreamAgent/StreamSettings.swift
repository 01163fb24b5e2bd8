import AgentKit
import Configuration
import MessageConversion

/// What one `sm` does: a mailer of sm.conf and what surrounds it.
struct StreamSettings: Sendable {
    let mailer: StreamMailer
    let zenv: ZEnvironment
    /// In HELO, and in `remote from`.
    let hostName: String
    var limits = ProgramRun.Limits()
    /// `-H`: 8-bit header fields stay as they are.
    var keepsHeaders = false

    /// Whether the `Received` field that this system wrote may tell for whom a copy is.
    var annotatesReceived: Bool { ReceivedClause.isWanted(zenv) }

    /// DEFCHARSET of zmailer.conf is what 8-bit header fields are taken for.
    func conversion(_ target: ConversionTarget) -> ConversionOptions {
        var options = ConversionOptions(target, convertsHeaders: !keepsHeaders)
        if let charset = zenv["DEFCHARSET"], !charset.isEmpty { options.defaultCharset = charset }
        return options
    }
}
