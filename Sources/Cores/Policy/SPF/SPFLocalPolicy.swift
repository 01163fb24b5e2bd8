/// Terms that a receiver puts before the `all` of the first record of a check, or at its end if it has none (ZMailer's
/// `spf-localpolicy`): mostly senders that it trusts to forward.
///
/// They have limits of their own, so that a record at its limit stays valid. An error in them means that they do not match;
/// a DNS failure is a temporary error of the check.
public struct SPFLocalPolicy: Hashable, Sendable {
    let directives: [SPFDirective]

    /// `include:spf.example.org ip4:192.0.2.0/24`: directives between spaces. Modifiers are refused: they would do nothing.
    public init(parsing text: String) throws(SPFSyntaxError) {
        var directives: [SPFDirective] = []
        for term in Array(text.utf8).split(separator: 0x20) { directives.append(try SPFDirective(parsing: term)) }
        self.directives = directives
    }
}
