/// An attribute of the policy language, with its number in compiled records (policy.md §3). Numbers below 64 are ZMailer's.
public enum PolicyAttribute: UInt8, CaseIterable, Hashable, Sendable {
    /// `= _tag`: the record of the tag stands here.
    case alias = 1
    case rejectnet = 2
    case freezenet = 3
    case rejectsource = 4
    case freezesource = 5
    /// Compiled, but without effect: it would have made a sender's word open the relay.
    case relaycustomer = 6
    case relaycustnet = 7
    case relaytarget = 8
    case acceptifmx = 9
    case acceptifdns = 10
    case senderokwithdns = 11
    case freeze = 12
    case sendernorelay = 13
    case testDNSRBL = 14
    case message = 15
    case localdomain = 16
    case maxinsize = 17
    case maxoutsize = 18
    case fulltrustnet = 19
    case trustrecipients = 20
    case trustWhoson = 21
    case rcptDNSRBL = 22
    case testRcptDNSRBL = 23
    /// A name only, as in ZMailer: compiled, but without effect.
    case warnRcptDNSRBL = 24
    case filtering = 25
    case maxsameipsource = 26
    case spf = 27
    case ratelimitmsgs = 28
    /// Ours: seconds that the first mail of an unknown sender to a recipient has to wait.
    case greylist = 64
    /// Ours: mail of the network is a submission, its header is completed.
    case submit = 65
    /// Ours: not of the language, but of compiled records: the `file:line` of the pairs behind it.
    case origin = 127

    /// As the source language spells it.
    public var name: String {
        switch self {
        case .alias: "="
        case .testDNSRBL: "test-dns-rbl"
        case .trustWhoson: "trust-whoson"
        case .rcptDNSRBL: "rcpt-dns-rbl"
        case .testRcptDNSRBL: "test-rcpt-dns-rbl"
        case .warnRcptDNSRBL: "warn-rcpt-dns-rbl"
        case .rejectnet: "rejectnet"
        case .freezenet: "freezenet"
        case .rejectsource: "rejectsource"
        case .freezesource: "freezesource"
        case .relaycustomer: "relaycustomer"
        case .relaycustnet: "relaycustnet"
        case .relaytarget: "relaytarget"
        case .acceptifmx: "acceptifmx"
        case .acceptifdns: "acceptifdns"
        case .senderokwithdns: "senderokwithdns"
        case .freeze: "freeze"
        case .sendernorelay: "sendernorelay"
        case .message: "message"
        case .localdomain: "localdomain"
        case .maxinsize: "maxinsize"
        case .maxoutsize: "maxoutsize"
        case .fulltrustnet: "fulltrustnet"
        case .trustrecipients: "trustrecipients"
        case .filtering: "filtering"
        case .maxsameipsource: "maxsameipsource"
        case .spf: "spf"
        case .ratelimitmsgs: "ratelimitmsgs"
        case .greylist: "greylist"
        case .submit: "submit"
        case .origin: "origin"
        }
    }

    /// By a name of the source language, in lower case; `trustrecipient`, as the man page prints it, is `trustrecipients`.
    public init?(name: some StringProtocol) {
        guard let found = Self.byName[String(name)] else { return nil }
        self = found
    }

    private static let byName: [String: PolicyAttribute] = {
        var names = ["trustrecipient": PolicyAttribute.trustrecipients]
        for attribute in allCases where attribute != .origin { names[attribute.name] = attribute }
        return names
    }()

    /// All names of the source language, for messages about a wrong one.
    public static let names = allCases.filter { $0 != .origin }.map(\.name)

    /// What stands behind it.
    public enum ValueKind: Hashable, Sendable {
        case tag
        /// `+` or `-`.
        case sign
        case text
        /// Octets, sessions or seconds, 0 or more.
        case number
        /// `n` or `n,m`, possibly negative.
        case rate
        /// `-`, or zones between `:`.
        case zones
        /// The same, or the name of a text that begins with `_`.
        case zonesOrText
        case origin
    }

    public var valueKind: ValueKind {
        switch self {
        case .alias: .tag
        case .message: .text
        case .maxinsize, .maxoutsize, .maxsameipsource, .greylist: .number
        case .ratelimitmsgs: .rate
        case .testDNSRBL: .zones
        case .rcptDNSRBL: .zonesOrText
        case .origin: .origin
        case .rejectnet, .freezenet, .rejectsource, .freezesource, .relaycustomer, .relaycustnet, .relaytarget,
            .acceptifmx,
            .acceptifdns, .senderokwithdns, .freeze, .sendernorelay, .localdomain, .fulltrustnet, .trustrecipients,
            .trustWhoson, .testRcptDNSRBL, .warnRcptDNSRBL, .filtering, .spf, .submit:
            .sign
        }
    }
}
