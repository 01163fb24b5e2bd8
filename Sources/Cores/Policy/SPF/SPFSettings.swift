/// The limits of RFC 7208 §4.6.4 and what a receiver may add of its own.
public struct SPFSettings: Hashable, Sendable {
    /// Terms that ask the DNS: include, a, mx, ptr, exists, redirect, and `%{p}` once. More: permerror.
    public var maximumTerms = 10
    /// Terms whose questions were all answered with "no such name" or "no such record". More: permerror.
    public var maximumVoidLookups = 2
    /// Exchangers of one mx. More: permerror.
    public var maximumExchangers = 10
    /// Reverse names that are looked at; the others are ignored.
    public var maximumNames = 10
    /// Terms of our own, put before the `all` of the first record.
    public var localPolicy: SPFLocalPolicy?

    public init() {}

    /// Octets. Longer texts are cut: they must fit a reply line (RFC 5321 §4.5.3.1.5) with its code.
    public static let maximumExplanationLength = 450
}
