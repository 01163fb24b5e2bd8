import AgentProtocol
import SpoolFormat

/// What became of one recipient.
public struct RecipientResult: Hashable, Sendable {
    public var result: DeliveryResult
    public var action: Notary.Action
    /// `5.1.1` (RFC 3463 §2).
    public var status: String
    /// For people: the log, the report, mailq. One line; the runner cleans and bounds it.
    public var text: String
    /// RFC 3464 §2.3.6: `smtp; 550 5.1.1 …`, `x-local; 250 …`. Empty: none.
    public var diagnostic: String
    /// `mail.example.com (192.0.2.1)`; empty: none.
    public var remoteHost: String
    /// The next hop took the sender's wish for a report over (RFC 3461 §5.2.1): nothing is to be reported here.
    public var isReportedElsewhere = false
    /// A relay that the sender is told of though he did not ask for successes (RFC 2852 §4.1.4).
    public var tellsSender = false
    /// For the log: how the connection was protected, `none` or `TLSv1.3/TLS_AES_256_GCM_SHA384/verified`; empty: there was none.
    public var tls = ""

    public init(
        _ result: DeliveryResult, _ action: Notary.Action, status: String, text: String, diagnostic: String = "",
        remoteHost: String = ""
    ) {
        self.result = result
        self.action = action
        self.status = status
        self.text = text
        self.diagnostic = diagnostic
        self.remoteHost = remoteHost
    }

    /// Not now; the scheduler tries again.
    public static func deferred(
        _ result: DeliveryResult = .deferred, status: String, text: String, diagnostic: String = "",
        remoteHost: String = ""
    ) -> RecipientResult {
        RecipientResult(
            result, .delayed, status: status, text: text, diagnostic: diagnostic, remoteHost: remoteHost)
    }

    /// Never.
    public static func failed(
        status: String, text: String, diagnostic: String = "", remoteHost: String = ""
    ) -> RecipientResult {
        RecipientResult(
            .failed, .failed, status: status, text: text, diagnostic: diagnostic, remoteHost: remoteHost)
    }

    /// What the log calls it: `delivered`, `relayed`, `deferred`, `failed`.
    public var logWord: String {
        switch result {
        case .ok: action.rawValue
        case .failed: "failed"
        case .deferred, .deferredAll, .deferredBack, .retry: "deferred"
        }
    }
}

/// Text of others on its way into reports and logs.
public enum ReportText {
    /// Octets of one field.
    public static let maximumLength = 1000

    /// One line: control characters (TAB, CR, LF and the 0x01 between notary fields among them) and Unicode's line separators
    /// become blanks; what is longer than `maximumLength` is cut and ends in `...`.
    public static func cleaned(_ text: String, maximumLength: Int = maximumLength) -> String {
        if text.utf8.count <= maximumLength, text.utf8.allSatisfy({ (0x20..<0x7f).contains($0) }) {
            return text
        }
        var result = String.UnicodeScalarView()
        var length = 0
        for scalar in text.unicodeScalars {
            length += UTF8.width(scalar)
            if length > maximumLength {
                result.append(contentsOf: "...".unicodeScalars)
                break
            }
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            result.append(isControl || scalar == "\u{2028}" || scalar == "\u{2029}" ? " " : scalar)
        }
        return String(result)
    }
}
