import MailModel

/// What came of checking an identity (RFC 7208 §2.6).
public struct SPFResult: Hashable, Sendable {
    /// RFC 7208 §2.6; `rawValue` is the word of the Received-SPF field (§9.1).
    public enum Level: String, Hashable, Sendable, CaseIterable {
        case none
        case neutral
        case pass
        case fail
        case softfail
        case tempError = "temperror"
        case permError = "permerror"
    }
    /// Which of the two identities of RFC 7208 §2.2 was checked.
    public enum Identity: String, Hashable, Sendable {
        /// The HELO argument, alone or because the reverse-path is null (§2.4).
        case helo
        case mailFrom = "mailfrom"
    }
    public let level: Level
    public let identity: Identity
    /// The domain whose record was asked for first, as it came.
    public let identityDomain: String
    /// Printable US-ASCII, at most ``SPFSettings/maximumExplanationLength`` octets; empty unless the level is `fail`.
    public let explanation: String
    /// The domain whose words the explanation is (RFC 7208 §6.2): text of a stranger. `nil`: it is our own.
    public let explainer: String?
    /// The term that matched, as published; `default` if none did, empty if there was no record to evaluate. Of a stranger.
    public let mechanism: String
    /// The domain that the matching record belongs to: another than ``identityDomain`` after `redirect`.
    public let domain: String
    /// Why it is `temperror` or `permerror`, or `none`, in words for the log; empty otherwise.
    public let problem: String
    /// Terms counted against the limit of RFC 7208 §4.6.4.
    public let lookups: Int
    public let voidLookups: Int
    /// The header field without its line end (RFC 7208 §9.1), unfolded; no word of it has more than 900 octets.
    public let receivedSPF: String
    /// Each term that was evaluated and what it gave, if asked for.
    public let steps: [PolicyStep]

    /// For a reply that refuses because of this result (RFC 7208 §8.4, §6.2: the words of the domain are marked as such).
    /// Printable US-ASCII.
    public var replyLines: [String] {
        let checked =
            "SPF \(identity == .helo ? "HELO" : "MAIL FROM") check of \(SPFText.plain(identityDomain)): \(level.rawValue)"
        if let explainer { return [checked, "The domain \(SPFText.plain(explainer)) explains:", explanation] }
        if level == .fail { return [checked, explanation] }
        return problem.isEmpty ? [checked] : [checked, SPFText.plain(problem)]
    }
}
