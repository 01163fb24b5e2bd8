import Configuration
import ProgramKit
import SMTPProtocol

extension ServerConfiguration.Values {
    /// What `smtpserver.conf` says about sessions; the command line may change it.
    public init(_ configuration: SMTPServerConfiguration, hostName: String) {
        self.init(hostName: hostName)
        var extensions = Extensions.all
        if !configuration.offersEHLO { extensions.remove(.ehlo) }
        if !configuration.offersPipelining { extensions.remove(.pipelining) }
        if !configuration.offersEightBitMIME { extensions.remove(.eightBitMIME) }
        if !configuration.offersChunking { extensions.remove(.chunking) }
        if !configuration.offersDSN { extensions.remove(.dsn) }
        if !configuration.offersEnhancedStatusCodes { extensions.remove(.enhancedStatusCodes) }
        self.extensions = extensions
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
