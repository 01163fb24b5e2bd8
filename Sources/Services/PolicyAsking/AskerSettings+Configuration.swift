import Configuration
import Policy

extension AskerSettings {
    /// What `smtpserver.conf` says about the policy.
    ///
    /// - Parameter hostName: our name in mail.
    public init(_ configuration: SMTPServerConfiguration, hostName: String) {
        self.init()
        switch configuration.policyDatabase {
        case .files: database = .files
        case .gdbm(let path): database = .gdbm(path)
        }
        limits = ConnectionLimits(perAddress: configuration.maximumSameSource, total: configuration.maximumParallel)
        spfThreshold =
            switch configuration.spfThreshold {
            case .fail: .fail
            case .softfail: .softfail
            case .none: .none
            case .neutral: .neutral
            case .pass: .pass
            }
        addsReceivedSPF = configuration.addsReceivedSPF
        spfLocalPolicy = configuration.spfLocalPolicy
        rejectsPercentKludge = configuration.rejectsPercentKludge
        authFailureRate = configuration.credentials.failuresPerHour
        accountRateLimit = configuration.accountRateLimit
        senderTable = configuration.credentials.senders
        contactPointer = configuration.contactPointer
        self.hostName = hostName
    }
}
