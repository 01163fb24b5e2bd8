import MailModel

/// The PARAM names (smtpserver(8) and the sample configuration), what each takes and where it goes.
extension SMTPServerConfiguration {
    typealias NumberKey = any WritableKeyPath<SMTPServerConfiguration, Int> & Sendable
    typealias FlagKey = any WritableKeyPath<SMTPServerConfiguration, Bool> & Sendable
    typealias TextKey = any WritableKeyPath<SMTPServerConfiguration, String> & Sendable
    typealias LinesKey = any WritableKeyPath<SMTPServerConfiguration, [String]> & Sendable

    enum Parameter: Sendable {
        case number(NumberKey, ClosedRange<Int>, unit: String)
        /// No argument.
        case flag(FlagKey, Bool)
        /// The rest of the line, no expansion.
        case text(TextKey)
        /// One or more words.
        case words(TextKey)
        /// As ``text(_:)``, repeatable.
        case lines(LinesKey, limit: Int)
        /// An address, and an optional port where the listener has one of its own.
        case listener(Listener.Service, hasPort: Bool)
        /// An absolute path.
        case path(TextKey)
        /// 0 or 1.
        case switchNumber(FlagKey)
        case traceElement(TraceElements, Bool)
        /// Addresses and networks; repeatable.
        case networks(any WritableKeyPath<SMTPServerConfiguration, [IPNetwork]> & Sendable)
        case mechanisms
        /// A certificate, and its key if that is in another file; repeatable.
        case namedCertificate
        case minimumProtocol
        case earlyTalker
        case clusterNode
        case contentFilter
        case noContentFilter
        /// The name of an account.
        case account(TextKey)
        /// Names of accounts; repeatable.
        case accounts(LinesKey)
        case filterFailure
        case wrapperTables
        /// A number of seconds, 0 if there is none.
        case deliverBy
        case tarpit
        /// Begins a group.
        case group
        /// A type of database, and its path.
        case policyDatabase
        /// One of ``SPFThreshold``.
        case spfThreshold
        /// `true` or `false`, of which only `false` can be had: why.
        case onlyFalse(String)
        /// Known, and an error when used: what it belongs to.
        case unavailable(String)
    }

    /// In lower case: what holds for the whole server, and cannot be in a group.
    static let global: Set<String> = [
        "maxsameipsource", "same-ip-source-parallel-max", "maxparallelconnections", "max-parallel-connections",
        "queue-limit", "queue-recipients", "min-availinodes", "throttle-delay", "min-availspace", "command-timeout",
        "data-timeout", "policydb", "spf-received", "spf-threshold",
        "spf-localpolicy",
        "spf-whitelist-use-default", "reject-percent-kludge", "no-reject-percent-kludge", "contact-pointer-message",
        "smtp-auth-table", "smtp-auth-pipe", "smtp-auth-pam-directory", "smtp-auth-senders", "smtp-auth-maxpar",
        "auth-failrate", "contentfilter-maxpar", "contentfilter-user", "contentfilter-failure", "contentfilter-timeout",
        "contentfilter-start-timeout", "debug-contentfilter", "etrn-cluster", "tcp-wrapper-tables",
        "submission-socket", "trusted-users", "account-ratelimit",
    ]

    /// How it is spelled, and what it is; looked up without regard to case.
    static let parameters: [(name: String, parameter: Parameter)] =
        [
            ("maxsize", .number(\.maximumMessageSize, 0...1_000_000_000, unit: "octets")),
            ("min-availspace", .number(\.minimumFreeKilobytes, 0...1_000_000_000_000, unit: "kilobytes")),
            ("max-error-recipients", .number(\.maximumErrorRecipients, 1...1_000_000, unit: "recipients")),
            ("max-unknown-commands", .number(\.maximumUnknownCommands, 1...1_000_000, unit: "commands")),
            ("MaxSameIpSource", .number(\.maximumSameSource, 1...1_000_000, unit: "sessions")),
            ("same-ip-source-parallel-max", .number(\.maximumSameSource, 1...1_000_000, unit: "sessions")),
            ("MaxParallelConnections", .number(\.maximumParallel, 1...1_000_000, unit: "sessions")),
            ("max-parallel-connections", .number(\.maximumParallel, 1...1_000_000, unit: "sessions")),
            ("ListenQueueSize", .number(\.listenQueueSize, 1...65535, unit: "connections")),
            ("TcpRcvBufferSize", .number(\.receiveBufferSize, 2048...1_000_000_000, unit: "octets")),
            ("TcpXmitBufferSize", .number(\.transmitBufferSize, 2048...1_000_000_000, unit: "octets")),
            ("RcptLimitCount", .number(\.maximumRecipients, 100...1_000_000, unit: "recipients")),
            ("RcptLimitCnt", .number(\.maximumRecipients, 100...1_000_000, unit: "recipients")),
            ("Rcpt-Limit-Count", .number(\.maximumRecipients, 100...1_000_000, unit: "recipients")),
            ("queue-limit", .number(\.queueLimit, 1...100_000_000, unit: "files")),
            ("queue-recipients", .number(\.queueRecipients, 0...1_000_000_000, unit: "recipients; 0: no limit")),
            ("min-availinodes", .number(\.minimumFreeInodes, 0...1_000_000_000, unit: "inodes")),
            ("throttle-delay", .number(\.throttleDelay, 0...60, unit: "seconds")),
            ("BindPort", .number(\.port, 1...65535, unit: "")),
            ("BindAddress", .listener(.smtp, hasPort: false)),
            ("BindSmtp", .listener(.smtp, hasPort: true)),
            ("BindSmtpS", .listener(.smtps, hasPort: true)),
            ("BindSubmit", .listener(.submission, hasPort: true)),
            ("listen-ssmtp", .flag(\.listensSMTPS, true)),
            ("submission-socket", .path(\.submissionSocket)),
            ("trusted-users", .accounts(\.trustedUsers)),
            ("newgroup", .group),
            ("proxy-protocol", .networks(\.proxies)),
            ("xclient", .networks(\.xclients)),
            ("use-tcp-wrapper", .flag(\.usesTCPWrapper, true)),
            ("tcp-wrapper-tables", .wrapperTables),
            ("command-timeout", .number(\.commandTimeout, 1...86_400, unit: "seconds")),
            ("data-timeout", .number(\.dataTimeout, 1...86_400, unit: "seconds")),
            ("session-limit", .number(\.sessionLimit, 0...1_000_000, unit: "seconds; 0: no limit")),
            ("greeting-delay", .number(\.greetingDelay, 0...60, unit: "seconds")),
            ("early-talker", .earlyTalker),

            ("enable-router", .flag(\.enablesRouter, true)),
            ("VRFYcmd", .flag(\.enablesVRFY, true)),
            ("no-VRFYcmd", .flag(\.enablesVRFY, false)),
            ("EXPNcmd", .flag(\.enablesEXPN, true)),
            ("no-EXPNcmd", .flag(\.enablesEXPN, false)),
            ("NoEHLO", .flag(\.offersEHLO, false)),
            ("EHLO-OK", .flag(\.offersEHLO, true)),
            ("NoPIPELINING", .flag(\.offersPipelining, false)),
            ("PIPELINING-OK", .flag(\.offersPipelining, true)),
            ("No8BITMIME", .flag(\.offersEightBitMIME, false)),
            ("8BITMIME-OK", .flag(\.offersEightBitMIME, true)),
            ("NoCHUNKING", .flag(\.offersChunking, false)),
            ("CHUNKING-OK", .flag(\.offersChunking, true)),
            ("NoDSN", .flag(\.offersDSN, false)),
            ("DSN-OK", .flag(\.offersDSN, true)),
            ("NoENHANCEDSTATUS", .flag(\.offersEnhancedStatusCodes, false)),
            ("NoENHANCEDSTATUSCODES", .flag(\.offersEnhancedStatusCodes, false)),
            // As the man page spells them.
            ("NoENCHANCEDSTATUS", .flag(\.offersEnhancedStatusCodes, false)),
            ("NoENCHANCEDSTATUSCODES", .flag(\.offersEnhancedStatusCodes, false)),
            ("ENHANCEDSTATUS-OK", .flag(\.offersEnhancedStatusCodes, true)),
            ("ENHANCEDSTATUSCODES-OK", .flag(\.offersEnhancedStatusCodes, true)),
            ("no-multiline-replies", .flag(\.writesMultilineReplies, false)),
            ("multiline-replies-ok", .flag(\.writesMultilineReplies, true)),
            ("force-rcpt-notify-never", .flag(\.forcesNotifyNever, true)),
            ("no-force-rcpt-notify-never", .flag(\.forcesNotifyNever, false)),
            ("lmtp-mode", .flag(\.isLMTP, true)),
            ("NoETRN", .flag(\.offersETRN, false)),
            ("ETRN-OK", .flag(\.offersETRN, true)),
            ("etrn-cluster", .clusterNode),
            ("DEBUGcmd", .flag(\.enablesDebug, true)),
            ("no-DEBUGcmd", .flag(\.enablesDebug, false)),
            ("deliverby", .deliverBy),
            ("future-release", .number(\.maximumHold, 0...31_536_000, unit: "seconds; 0: not offered")),
            ("mt-priority", .flag(\.offersPriority, true)),
            ("no-mt-priority", .flag(\.offersPriority, false)),
            ("NoREQUIRETLS", .flag(\.offersRequireTLS, false)),
            ("REQUIRETLS-OK", .flag(\.offersRequireTLS, true)),
            ("allowsourceroute", .flag(\.keepsSourceRoute, true)),
            ("sum-sizeoption-value", .flag(\.sumsSizes, true)),

            ("use-tls", .flag(\.tls.isOn, true)),
            ("no-use-tls", .flag(\.tls.isOn, false)),
            ("tls-cert-file", .path(\.tls.certificateFile)),
            ("tls-key-file", .path(\.tls.keyFile)),
            ("tls-dcert-file", .path(\.tls.secondCertificateFile)),
            ("tls-dkey-file", .path(\.tls.secondKeyFile)),
            ("tls-sni-cert", .namedCertificate),
            ("tls-CAfile", .path(\.tls.authoritiesFile)),
            ("tls-CApath", .path(\.tls.authoritiesPath)),
            ("tls-dh512", .path(\.tls.dhFile512)),
            ("tls-dh1024", .path(\.tls.dhFile1024)),
            ("tls-loglevel", .number(\.tls.logLevel, 0...4, unit: "")),
            ("tls-ccert-vd", .number(\.tls.verifyDepth, 0...100, unit: "certificates")),
            ("tls-ask-cert", .switchNumber(\.tls.asksForCertificate)),
            ("tls-require-cert", .switchNumber(\.tls.requiresCertificate)),
            ("tls-enforce-tls", .switchNumber(\.tls.isEnforced)),
            ("tls-random-source", .path(\.tls.randomSource)),
            ("tls-cipher-list", .words(\.tls.cipherList)),
            ("tls-ciphersuites", .words(\.tls.ciphersuites)),
            ("tls-protocols", .minimumProtocol),
            ("tls-use-scache", .flag(\.tls.resumesSessions, true)),
            ("no-tls-use-scache", .flag(\.tls.resumesSessions, false)),
            ("tls-scache-name", .path(\.tls.ticketKeyFile)),
            ("tls-scache-timeout", .number(\.tls.sessionLifetime, 1...604_800, unit: "seconds")),
            ("outlook-tls-bug", .flag(\.tls.detectsImmediateHandshake, true)),

            ("smtp-auth", .flag(\.authentication.isOn, true)),
            ("no-smtp-auth", .flag(\.authentication.isOn, false)),
            ("smtp-auth-sasl", .flag(\.authentication.usesSASL, true)),
            ("no-smtp-auth-sasl", .flag(\.authentication.usesSASL, false)),
            ("sasl-mechanisms", .mechanisms),
            ("smtp-mechanisms", .mechanisms),
            ("AUTH-LOGIN-also-without-TLS", .flag(\.authentication.allowsClearText, true)),
            ("MSA-mode", .flag(\.authentication.isRequired, true)),
            ("no-MSA-mode", .flag(\.authentication.isRequired, false)),
            ("no-smtp-auth-on-25", .flag(\.authentication.isOffOnPort25, true)),
            ("no-smtp-auth-on-port-25", .flag(\.authentication.isOffOnPort25, true)),
            ("smtp-auth-username-prompt", .text(\.authentication.userPrompt)),
            ("smtp-auth-password-prompt", .text(\.authentication.passwordPrompt)),
            ("SMTP-auth-pipe", .path(\.credentials.pipe)),
            ("smtp-auth-table", .path(\.credentials.table)),
            ("smtp-auth-senders", .path(\.credentials.senders)),
            ("smtp-auth-pam-directory", .path(\.credentials.pamDirectory)),
            ("smtp-auth-maxpar", .number(\.credentials.maximumChecks, 1...100, unit: "processes")),
            ("account-ratelimit", .number(\.accountRateLimit, 0...1_000_000, unit: "messages an hour")),
            ("auth-failrate", .number(\.credentials.failuresPerHour, 3...1_000_000, unit: "failures an hour")),

            ("rcvd-ident", .traceElement(.ident, true)),
            ("no-rcvd-ident", .traceElement(.ident, false)),
            ("rcvd-whoson", .traceElement(.whoson, true)),
            ("no-rcvd-whoson", .traceElement(.whoson, false)),
            ("rcvd-auth-user", .traceElement(.user, true)),
            ("no-rcvd-auth-user", .traceElement(.user, false)),
            ("rcvd-tls-mode", .traceElement(.tlsMode, true)),
            ("no-rcvd-tls-mode", .traceElement(.tlsMode, false)),
            ("rcvd-tls-peer", .traceElement(.tlsPeer, true)),
            ("rcvd-tls-ccert", .traceElement(.tlsPeer, true)),
            ("no-rcvd-tls-peer", .traceElement(.tlsPeer, false)),

            ("contact-pointer-message", .text(\.contactPointer)),
            ("hdr220", .lines(\.greeting, limit: maximumGreetingLines)),
            ("help", .lines(\.help, limit: maximumHelpLines)),
            ("tarpit", .tarpit),

            ("policydb", .policyDatabase),
            ("contentfilter", .contentFilter),
            ("no-contentfilter", .noContentFilter),
            (
                "contentfilter-maxpar",
                .number(\.contentFiltering.maximumProcesses, 1...maximumFilterProcesses, unit: "processes")
            ),
            ("contentfilter-user", .account(\.contentFiltering.user)),
            ("contentfilter-failure", .filterFailure),
            ("contentfilter-timeout", .number(\.contentFiltering.answerTimeout, 1...3600, unit: "seconds")),
            ("contentfilter-start-timeout", .number(\.contentFiltering.startTimeout, 1...600, unit: "seconds")),
            ("debug-contentfilter", .flag(\.contentFiltering.isTraced, true)),
            ("spf-received", .flag(\.addsReceivedSPF, true)),
            ("spf-threshold", .spfThreshold),
            ("spf-localpolicy", .words(\.spfLocalPolicy)),
            (
                "spf-whitelist-use-default",
                .onlyFalse(
                    "the list that it stands for, spf.trusted-forwarder.org, is no more; "
                        + "valid is false, or PARAM spf-localpolicy include:LIST for a list of your own")
            ),
            ("reject-percent-kludge", .flag(\.rejectsPercentKludge, true)),
            ("no-reject-percent-kludge", .flag(\.rejectsPercentKludge, false)),
        ]
        + unavailable("rates of several servers together", ["tracking-cluster", "report-auth-file"])
        + unavailable("scripts in this process; a content filter can be one", ["perl-hook"])
        + unavailable("a pool of routers: the policy service is one process", ["enable-router-maxpar"])

    private static func unavailable(
        _ feature: String, _ names: [String]
    ) -> [(name: String, parameter: Parameter)] {
        names.map { ($0, .unavailable(feature)) }
    }
}
