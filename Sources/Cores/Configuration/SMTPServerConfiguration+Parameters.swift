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
        /// An address, and for `BindSmtp` an optional port.
        case listener(hasPort: Bool)
        /// Three numbers, of which this version takes only zeros.
        case tarpit
        /// A type of database, and its path.
        case policyDatabase
        /// One of ``SPFThreshold``.
        case spfThreshold
        /// `true` or `false`, of which only `false` can be had: why.
        case onlyFalse(String)
        /// Known, and an error when used: what it belongs to.
        case unavailable(String)
    }

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
            ("BindPort", .number(\.port, 1...65535, unit: "")),
            ("BindAddress", .listener(hasPort: false)),
            ("BindSmtp", .listener(hasPort: true)),

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

            ("contact-pointer-message", .text(\.contactPointer)),
            ("hdr220", .lines(\.greeting, limit: maximumGreetingLines)),
            ("help", .lines(\.help, limit: maximumHelpLines)),
            ("tarpit", .tarpit),

            ("policydb", .policyDatabase),
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
        + unavailable(
            "TLS",
            [
                "use-tls", "no-use-tls", "tls-CAfile", "tls-CApath", "tls-cert-file", "tls-key-file", "tls-dcert-file",
                "tls-dkey-file", "tls-dh512", "tls-dh1024", "tls-loglevel", "tls-ccert-vd", "tls-ask-cert",
                "tls-require-cert",
                "tls-enforce-tls", "tls-random-source", "tls-cipher-list", "tls-use-scache", "tls-scache-name",
                "tls-scache-timeout", "listen-ssmtp", "outlook-tls-bug", "BindSmtpS", "rcvd-tls-mode", "rcvd-tls-peer",
                "rcvd-tls-ccert", "no-rcvd-tls-mode", "no-rcvd-tls-peer",
            ])
        + unavailable(
            "authentication",
            [
                "smtp-auth", "no-smtp-auth", "AUTH-LOGIN-also-without-TLS", "smtp-auth-sasl", "no-smtp-auth-sasl",
                "sasl-mechanisms", "smtp-mechanisms", "MSA-mode", "SMTP-auth-pipe", "no-smtp-auth-on-25",
                "no-smtp-auth-on-port-25", "smtp-auth-username-prompt", "smtp-auth-password-prompt", "auth-failrate",
                "BindSubmit", "rcvd-auth-user", "no-rcvd-auth-user",
            ])
        + unavailable(
            "TCP wrappers: the policy database decides", ["use-tcp-wrapper"])
        + unavailable("rates of several servers together", ["tracking-cluster", "report-auth-file"])
        + unavailable(
            "content filters",
            [
                "contentfilter", "contentfilter-maxpar", "debug-contentfilter", "perl-hook",
            ]) + unavailable("ETRN", ["NoETRN", "ETRN-OK", "etrn-cluster"])
        + unavailable(
            "ident and whoson queries",
            [
                "rcvd-ident", "rcvd-whoson", "no-rcvd-ident", "no-rcvd-whoson",
            ]) + unavailable("delivery by a deadline (RFC 2852)", ["deliverby"])
        + unavailable("parameter groups", ["newgroup"])
        + unavailable("source routes: they are dropped", ["allowsourceroute"])
        + unavailable("the space check over all recipients", ["sum-sizeoption-value"])
        + unavailable("the debug verb", ["DEBUGcmd", "no-DEBUGcmd"])
        + unavailable("a pool of routers: the policy service is one process", ["enable-router-maxpar"])

    private static func unavailable(
        _ feature: String, _ names: [String]
    ) -> [(name: String, parameter: Parameter)] {
        names.map { ($0, .unavailable(feature)) }
    }
}
