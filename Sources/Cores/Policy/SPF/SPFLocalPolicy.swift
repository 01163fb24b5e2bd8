/// Terms that a receiver puts before the `all` of the first record of a check, or at its end if it has none (ZMailer's
/// `spf-localpolicy`): mostly senders that it trusts to forward.
///
/// They have limits of their own, so that a record at its limit stays valid. An error in them means that they do not match;
/// a DNS failure is a temporary error of the check.
public struct SPFLocalPolicy: Hashable, Sendable {
    let directives: [SPFDirective]

    /// `include:spf.example.org ip4:192.0.2.0/24`: mechanisms between spaces; no modifiers.
    public init(parsing text: String) throws(SPFSyntaxError) {
        let record = try SPFRecord(terms: Array(text.utf8)[...])
        guard record.redirect == nil, record.explanation == nil else {
            throw SPFSyntaxError(.notAllowedHere, Array(text.utf8)[...])
        }
        directives = record.directives
    }
}
