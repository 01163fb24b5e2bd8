import Foundation
import Glibc

/// What a row may need: each is a configuration of smtpserver, and an instance of its own that runs it.
enum ConformanceServer: String, Hashable, Sendable, CaseIterable {
    /// smtpserver.conf as it is installed, a maximum size, and a next hop for `relay.test`.
    case plain
    /// As `plain`; sessions of `*.strict.test` in style `strict`.
    case strict
    /// VRFY and EXPN answer.
    case verify
    /// None of the extensions that can be turned off.
    case basic
    /// No EHLO.
    case ancient
    case lmtp
    /// STARTTLS.
    case tls
    /// TLS from the beginning.
    case smtps
    /// STARTTLS before anything else.
    case tlsEnforced = "tls-enforced"
    /// AUTH in clear text.
    case auth
    /// AUTH within TLS only.
    case tlsAuth = "tls-auth"
    /// SCRAM, and STARTTLS.
    case scram
    /// Nothing without AUTH.
    case submission
    case etrn
    case deliverby
    case futurerelease
    case priority
    case requiretls
    case limits
    case xclient
    case proxy

    /// Rows of these are read, and not played: smtpserver has not what they need. `ConformanceTests.awaited` fails when it
    /// has; then the line here goes.
    static let awaited: Set<ConformanceServer> = []

    /// What EHLO offers when the server has what is awaited; nil: its PARAMs are refused until then.
    var keyword: String? { self == .limits ? "LIMITS" : nil }

    /// Whether TLS begins with the connection.
    var hasImplicitTLS: Bool { self == .smtps }

    /// Octets; what SIZE announces.
    static let maximumSize = 100_000

    /// `PARAM` lines of smtpserver.conf; paths are relative to the instance's folder.
    var parameters: [String] {
        let tls = [
            "use-tls", "tls-cert-file $MAILVAR/cert.pem", "tls-key-file $MAILVAR/key.pem",
            "tls-CAfile $MAILVAR/cert.pem",
        ]
        let auth = ["smtp-auth", "SMTP-auth-pipe $MAILVAR/check-password"]
        let own: [String] =
            switch self {
            case .plain, .strict: []
            case .verify: ["VRFYcmd", "EXPNcmd", "enable-router"]
            case .basic: ["NoPIPELINING", "No8BITMIME", "NoCHUNKING", "NoDSN", "NoENHANCEDSTATUSCODES"]
            case .ancient: ["NoEHLO"]
            case .lmtp: ["lmtp-mode"]
            case .tls, .smtps, .requiretls: tls
            case .tlsEnforced: tls + ["tls-enforce-tls 1"]
            case .auth: auth + ["AUTH-LOGIN-also-without-TLS"]
            case .tlsAuth: tls + auth
            case .scram: tls + ["smtp-auth-sasl", "smtp-auth-table $MAILVAR/credentials"]
            case .submission: auth + ["AUTH-LOGIN-also-without-TLS", "MSA-mode"]
            case .futurerelease: auth + ["AUTH-LOGIN-also-without-TLS", "MSA-mode", "future-release 86400"]
            case .etrn: ["ETRN-OK"]
            case .deliverby: ["deliverby 60"]
            case .priority: ["mt-priority"]
            case .limits: []
            case .xclient: ["xclient 127.0.0.1"]
            case .proxy: ["proxy-protocol 127.0.0.1"]
            }
        return [
            "maxsize \(Self.maximumSize)", "MaxSameIpSource 1000", "MaxParallelConnections 1000", "RcptLimitCount 100",
        ] + own
    }

    /// HELO patterns in front of the sample's.
    var patterns: [String] { self == .strict ? ["*.strict.test 999 strict"] : [] }

    var needsCertificate: Bool { parameters.contains("use-tls") }
}

extension ConformanceServer {
    /// Makes the settings of an instance that runs it.
    func configure(_ settings: inout Instance.Settings, sinkPort: UInt16) {
        settings.relayDomains = ["relay.test"]
        settings.routes = ["relay.test smtpx![127.0.0.1]:\(sinkPort)"]
        settings.aliases = ["staff: alice, bob"]
        settings.prepare = { instance in
            var text = instance.read("share/smtpserver.conf")
            if hasImplicitTLS {
                // The only listener, on the port that clients are told.
                let listener = "PARAM BindSmtpS $SMTPADDRESS $SMTPPORT\n#"
                text = text.replacingOccurrences(of: "PARAM BindAddress", with: listener)
            }
            let own = patterns + parameters.map { "PARAM \($0)" }
            try instance.write(Self.insert(own, in: text), to: "share/smtpserver.conf")
            if needsCertificate { try TestCertificate.make(in: "\(instance.directory)/var") }
            try instance.install(Self.passwordChecker, as: "check-password", mode: 0o755)
            try instance.install(Self.credentials, as: "credentials", mode: 0o600)
        }
    }

    /// Behind the PARAMs of the sample and in front of its first pattern line.
    private static func insert(_ lines: [String], in text: String) -> String {
        let pattern = text.range(of: "\n*")?.lowerBound ?? text.endIndex
        return text[..<pattern] + "\n" + lines.joined(separator: "\n") + text[pattern...]
    }

    /// Keys of alice's password, `secret` (RFC 5802 §3).
    private static let credentials = """
        alice:{SCRAM-SHA-256}4096:YSBzYWx0IG9mIDE2IG9jdA==:esODDjOqetJHpK4/PQFjH/JC6OU4h0UjTB89kbQT/C4=:\
        PTawsS3cl2Z6CD7Xsqw5qmpkZGd04H/m+OlXy3eNZ2k=

        """

    /// Name as its argument, password on its input: alice has `secret`, bob one with all kinds of characters.
    private static let passwordChecker = """
        #!/bin/sh
        IFS= read -r password
        case $1 in
            alice) [ "$password" = secret ] ;;
            bob) [ "$password" = 'a b:c"d\\e' ] ;;
            *) exit 1 ;;
        esac

        """
}
