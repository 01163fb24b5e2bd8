import Configuration
import ProgramKit
import SMTPProtocol

extension ServerConfiguration.Values {
    /// What `smtpserver.conf` says about sessions; the command line may change it.
    ///
    /// - Parameters:
    ///   - configuration: of the listener's group.
    ///   - port: the listener's.
    public init(
        _ configuration: SMTPServerConfiguration, hostName: String,
        service: SMTPServerConfiguration.Listener.Service = .smtp, port: Int = 0
    ) {
        self.init(hostName: hostName)
        var extensions = Extensions.all
        let hasTLS = configuration.tls.isOn || service == .smtps
        if configuration.tls.isOn, service != .smtps { extensions.insert(.starttls) }
        if hasTLS, configuration.offersRequireTLS { extensions.insert(.requireTLS) }
        if configuration.offersETRN { extensions.insert(.etrn) }
        if configuration.minimumDeliverBy != nil { extensions.insert(.deliverBy) }
        if configuration.maximumHold > 0 { extensions.insert(.futureRelease) }
        if configuration.offersPriority { extensions.insert(.priority) }
        if !configuration.offersEHLO { extensions.remove(.ehlo) }
        if !configuration.offersPipelining { extensions.remove(.pipelining) }
        if !configuration.offersEightBitMIME { extensions.remove(.eightBitMIME) }
        if !configuration.offersChunking { extensions.remove(.chunking) }
        if !configuration.offersDSN { extensions.remove(.dsn) }
        if !configuration.offersEnhancedStatusCodes { extensions.remove(.enhancedStatusCodes) }
        self.extensions = extensions
        let authentication = configuration.authentication
        if !(authentication.isOffOnPort25 && service == .smtp && port == 25) {
            mechanisms = authentication.offered(hasTable: !configuration.credentials.table.isEmpty)
                .filter { hasTLS || !$0.hasSuffix("-PLUS") }
        }
        allowsClearTextAuthentication = authentication.allowsClearText
        requiresAuthentication = authentication.isRequired || service == .submission
        requiresTLS = configuration.tls.isEnforced
        minimumDeliverBy = configuration.minimumDeliverBy ?? 0
        maximumHold = configuration.maximumHold
        enablesDebug = configuration.enablesDebug
        keepsSourceRoute = configuration.keepsSourceRoute
        isLMTP = configuration.isLMTP
        maximumMessageSize = configuration.maximumMessageSize
        maximumRecipients = configuration.maximumRecipients
        maximumErrorRecipients = configuration.maximumErrorRecipients
        maximumUnknownCommands = configuration.maximumUnknownCommands
        maximumOpenQuestions = 64
        enablesVRFY = configuration.enablesVRFY && configuration.enablesRouter
        enablesEXPN = configuration.enablesEXPN && configuration.enablesRouter
        forcesNotifyNever = configuration.forcesNotifyNever
        writesSingleLines = !configuration.writesMultilineReplies
        help = configuration.help
        version = Program.version
        contactPointer = configuration.contactPointer
    }
}
