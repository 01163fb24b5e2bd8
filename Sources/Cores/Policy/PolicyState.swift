import MailModel

/// What earlier answers of a session say to later ones (policy.md §8): travels with ``PolicyAnswer/state`` and
/// ``PolicyQuestion/state``. Printable ASCII, at most ``maximumLength`` octets.
struct PolicyState: Hashable {
    struct Flags: OptionSet, Hashable {
        let rawValue: Int
        /// `rejectnet +`.
        static let alwaysReject = Flags(rawValue: 1 << 0)
        /// `freezenet +`.
        static let alwaysFreeze = Flags(rawValue: 1 << 1)
        /// `relaycustnet +`: may relay.
        static let alwaysAccept = Flags(rawValue: 1 << 2)
        /// `fulltrustnet +`: nothing is checked.
        static let fullTrust = Flags(rawValue: 1 << 3)
        /// `trustrecipients +`: recipients are not checked.
        static let trustsRecipients = Flags(rawValue: 1 << 4)
        static let senderReject = Flags(rawValue: 1 << 5)
        static let senderFreeze = Flags(rawValue: 1 << 6)
        /// `sendernorelay +`.
        static let senderNoRelay = Flags(rawValue: 1 << 7)
        /// `submit +`.
        static let submits = Flags(rawValue: 1 << 8)
        /// `spf +`.
        static let checksSPF = Flags(rawValue: 1 << 9)
        /// `filtering +`.
        static let filters = Flags(rawValue: 1 << 10)
        /// `filtering -`.
        static let doesNotFilter = Flags(rawValue: 1 << 11)
        /// The reverse name could have given rights, but the DNS did not answer.
        static let lacksName = Flags(rawValue: 1 << 12)
        /// The HELO name was looked at.
        static let checkedHello = Flags(rawValue: 1 << 13)
        /// The sender was looked at.
        static let checkedSender = Flags(rawValue: 1 << 14)

        /// `trust-whoson -`: no login that a whoson server knows of counts.
        static let revokesWhoson = Flags(rawValue: 1 << 15)
        /// `trust-whoson +` of the sender: recipients are not checked.
        static let whosonSender = Flags(rawValue: 1 << 16)

        /// In the order of the bits.
        static let letters = Array("RFATCrfnSPlLNHMWw".utf8)
        /// The same in words, as steps name them.
        private static let names = [
            "always_reject", "always_freeze", "always_accept", "full_trust", "trust_recipients", "sender_reject",
            "sender_freeze", "sender_norelay", "submits", "check_spf", "filtering +", "filtering -", "lacks_name",
            "checked_hello", "checked_sender", "whoson -", "whoson_sender",
        ]
        var names: String {
            Self.names.enumerated().filter { contains(Flags(rawValue: 1 << $0.offset)) }.map(\.element)
                .joined(separator: " ")
        }
    }
    var flags: Flags = []
    /// Octets of a message; 0: no limit.
    var maximumSize = 0
    /// The value of `ratelimitmsgs`, and its message.
    var rates = ""
    var rateText = ""
    /// What `rcpt-dns-rbl` found; empty: nothing.
    var listText = ""
    /// What the client is told if it, or its sender, is rejected; empty: the standard text.
    var rejectText = ""
    /// Which entry rejects or freezes the client, or gives it rights.
    var reason = ""
    /// Which entry rejects or freezes the sender, trusts it, or freezes the message for a recipient's sake.
    var senderReason = ""
    /// Seconds, from the client's network; 0: none.
    var greylist = 0
    /// Which entries ask for SPF, for patience, for a limit of rates.
    var spfReason = ""
    var greylistReason = ""
    /// The text in front of `greylist`; empty: the standard one.
    var greylistText = ""
    var rateReason = ""

    /// Octets of ``text``.
    static let maximumLength = 2000
    /// Octets of each text and each reason in it, so that all together stay below the limit.
    static let textLimit = 250
    static let reasonLimit = 150

    init() {}

    /// A new MAIL: what was found out about the last sender is gone.
    mutating func beginTransaction() {
        flags.subtract([.senderReject, .senderFreeze, .senderNoRelay, .checkedSender, .whosonSender])
        senderReason = ""
    }

    /// Why what comes is frozen.
    var freezeReason: String { flags.contains(.alwaysFreeze) ? reason : senderReason }

    /// `nil`: not written by ``text``.
    init?(text: String) {
        let fields = Octets.split(Array(text.utf8)[...], at: UInt8(ascii: ";"))
        guard fields.count >= 2, Octets.equal(fields[0], "1"), Octets.equal(fields[fields.count - 1], ".") else {
            return nil
        }
        for field in fields.dropFirst().dropLast() {
            guard field.count >= 2, field[field.startIndex + 1] == UInt8(ascii: "=") else { return nil }
            let value = field.dropFirst(2)
            switch field[field.startIndex] {
            case UInt8(ascii: "f"):
                for letter in value {
                    guard let bit = Flags.letters.firstIndex(of: letter) else { return nil }
                    flags.insert(Flags(rawValue: 1 << bit))
                }
            case UInt8(ascii: "s"):
                guard let number = Octets.unsigned(value).flatMap({ Int(exactly: $0) }) else { return nil }
                maximumSize = number
            case UInt8(ascii: "g"):
                guard let number = Octets.unsigned(value).flatMap({ Int(exactly: $0) }) else { return nil }
                greylist = number
            case UInt8(ascii: "r"): rates = Self.plain(value)
            case UInt8(ascii: "R"): rateText = Self.plain(value)
            case UInt8(ascii: "l"): listText = Self.plain(value)
            case UInt8(ascii: "m"): rejectText = Self.plain(value)
            case UInt8(ascii: "w"): reason = Self.plain(value)
            case UInt8(ascii: "v"): senderReason = Self.plain(value)
            case UInt8(ascii: "p"): spfReason = Self.plain(value)
            case UInt8(ascii: "h"): greylistReason = Self.plain(value)
            case UInt8(ascii: "t"): greylistText = Self.plain(value)
            case UInt8(ascii: "q"): rateReason = Self.plain(value)
            default: return nil
            }
        }
    }

    /// `1;f=AS;s=1000;.`: version, fields, end mark: a cut text is not taken for a shorter state.
    var text: String {
        var text = "1"
        if !flags.isEmpty {
            text += ";f="
            for (bit, letter) in Flags.letters.enumerated() where flags.contains(Flags(rawValue: 1 << bit)) {
                text.unicodeScalars.append(Unicode.Scalar(letter))
            }
        }
        if maximumSize != 0 { text += ";s=\(maximumSize)" }
        if greylist != 0 { text += ";g=\(greylist)" }
        add("r", rates, to: &text, limit: 48)
        add("R", rateText, to: &text)
        add("l", listText, to: &text)
        add("t", greylistText, to: &text)
        add("m", rejectText, to: &text)
        for (key, reason) in [
            ("w", reason), ("v", senderReason), ("p", spfReason), ("h", greylistReason), ("q", rateReason),
        ] { add(key, reason, to: &text, limit: Self.reasonLimit) }
        return text + ";."
    }

    private func add(_ key: String, _ value: String, to text: inout String, limit: Int = textLimit) {
        guard !value.isEmpty else { return }
        text += ";\(key)="
        var count = 0
        for byte in value.utf8 {
            guard count < limit else { return }
            switch byte {
            case 0x20, 0x21, 0x23...0x24, 0x26...0x3a, 0x3c...0x7e:
                text.unicodeScalars.append(Unicode.Scalar(byte))
                count += 1
            default:
                guard count + 3 <= limit else { return }
                let digits = Array("0123456789ABCDEF".utf8)
                text.unicodeScalars.append("%")
                text.unicodeScalars.append(Unicode.Scalar(digits[Int(byte >> 4)]))
                text.unicodeScalars.append(Unicode.Scalar(digits[Int(byte & 15)]))
                count += 3
            }
        }
    }

    private static func plain(_ value: ArraySlice<UInt8>) -> String {
        guard value.contains(UInt8(ascii: "%")) else { return Octets.text(value) }
        var octets: [UInt8] = []
        var index = value.startIndex
        while index < value.endIndex {
            if value[index] == UInt8(ascii: "%"), index + 2 < value.endIndex, let high = nibble(value[index + 1]),
                let low = nibble(value[index + 2])
            {
                octets.append(high << 4 | low)
                index += 3
            } else {
                octets.append(value[index])
                index += 1
            }
        }
        return Octets.text(octets[...])
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        default: nil
        }
    }

    /// Whether the client may submit without a login.
    var trust: PolicyAnswer.Trust {
        if !flags.isDisjoint(with: [.alwaysAccept, .fullTrust]) { return .granted }
        return flags.contains(.lacksName) ? .unknown : .none
    }

    /// Whether content filters run (policy.md §8, DATA).
    var runsFilter: Bool {
        if !flags.isDisjoint(with: [.alwaysReject, .alwaysFreeze, .senderReject, .senderFreeze]) { return false }
        if flags.contains(.doesNotFilter) { return false }
        return flags.contains(.filters) || !flags.contains(.alwaysAccept)
    }
}
