import MailModel

/// The short texts around the results of recipients: by `LBL name text` lines of forms they speak another language
/// (docs/man/forms.5). `%` stands for what belongs there.
public struct ReportWording: Hashable, Sendable {
    /// A text by its name.
    public enum Label: String, CaseIterable, Hashable, Sendable {
        /// The first line; `%`: our host name.
        case intro
        /// Titles of the lists.
        case failed, delayed, delivered, relayed, expanded
        /// `%`: the address that the sender gave.
        case originally
        /// `%`: the server whose words follow.
        case said
        /// Words that no server has said follow.
        case reason
        /// `%`: until when it is tried.
        case until
        /// `%`: how many recipients are not shown.
        case more
    }

    private var labels: [Label: String]
    /// By a status code, or `subject.detail` of one (RFC 3463).
    private var meanings: [String: String]

    /// English.
    public init() {
        labels = Self.english
        meanings = Self.englishMeanings
    }

    public subscript(label: Label) -> String { labels[label] ?? "" }

    /// `label` with `value` in the place of `%`.
    func text(_ label: Label, _ value: String) -> String {
        let parts = self[label].unicodeScalars.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return "\(self[label]) \(value)" }
        return "\(String(Substring(parts[0])))\(value)\(String(Substring(parts[1])))"
    }

    /// What a status code means, in a sentence; `nil`: there is no better text than the code itself.
    func meaning(_ status: String) -> String? {
        guard let code = EnhancedStatusCode(status), code.class != 2 else { return nil }
        // For now only: greylisting and the like, about which nothing in general can be said.
        if code.class == 4, code.subject == 7 { return nil }
        return meanings[status] ?? meanings["\(code.subject).\(code.detail)"]
    }

    /// Takes one `LBL` line; `false`: there is no text of that name.
    mutating func set(_ name: String, _ text: String) -> Bool {
        if let label = Label(rawValue: name) {
            labels[label] = text
            return true
        }
        let parts = name.utf8.split(separator: 0x2e, omittingEmptySubsequences: false)
        let isCode =
            (2...3).contains(parts.count) && parts.allSatisfy { (1...3).contains($0.count) && Octets.isNumber($0) }
        if isCode { meanings[name] = text }
        return isCode
    }

    private static let english: [Label: String] = [
        .intro: "This is the mail system at %.", .failed: "FAILED:", .delayed: "DELAYED (still in queue):",
        .delivered: "DELIVERED (successfully):",
        .relayed: "RELAYED (to another mail system, which may tell you nothing more):",
        .expanded: "EXPANDED (to several recipients):", .originally: "(originally to: %)",
        .said: "The mail server % said:", .reason: "Details:", .until: "It is tried again until %.",
        .more: "... and % more; the second part of this report lists all of them.",
    ]

    private static let englishMeanings: [String: String] = [
        "1.1": "There is no such mailbox.",
        "1.2": "There is no such domain, or no mail server for it.",
        "1.3": "The address is not written correctly.",
        "1.4": "The address fits more than one mailbox.",
        "1.6": "The mailbox has moved and left no new address.",
        "1.10": "The domain says that it takes no mail.",
        "2.1": "The mailbox is disabled and takes no mail.",
        "2.2": "The mailbox is full.",
        "2.3": "The message is too large for the mailbox.",
        "2.4": "The mailing list or alias could not be expanded.",
        "3.1": "The mail system of the recipient has no room left.",
        "3.2": "The mail system of the recipient takes no mail at the moment.",
        "3.4": "The message is too large for the mail system of the recipient.",
        "4.1": "The mail server of the recipient does not answer.",
        "4.2": "The connection to the mail server of the recipient broke.",
        "4.3": "The domain of the recipient could not be looked up.",
        "4.4": "There is no way to the domain of the recipient.",
        "4.5": "The mail system of the recipient is overloaded.",
        "4.6": "The message went round in a loop.",
        "4.4.7": "The message could not be delivered yet.",
        "4.7": "The message could not be delivered in time.",
        "5.3": "The message has too many recipients.",
        "6.1": "The mail system of the recipient cannot take this kind of content.",
        "6.3": "The content would have to be converted, which is not possible.",
        "6.7": "The mail system of the recipient cannot take internationalized addresses.",
        "7.0": "The mail system of the recipient refuses the message.",
        "7.1": "The mail system of the recipient does not take this message from you.",
        "7.2": "You may not send to this mailing list.",
        "7.10": "The connection to the mail server could not be encrypted as it must be.",
        "7.30": "The message asks for an encrypted way, which there is not.",
    ]
}

extension Octets {
    /// Decimal digits only, at least one.
    fileprivate static func isNumber(_ octets: some Collection<UInt8>) -> Bool {
        !octets.isEmpty && octets.allSatisfy { (0x30...0x39).contains($0) }
    }
}
