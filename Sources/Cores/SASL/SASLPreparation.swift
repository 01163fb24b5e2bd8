/// SASLprep (RFC 4013) as far as it can be done without the tables of Unicode 3.2: prohibited characters are those of today's
/// categories, and instead of normalizing a text we say whether it is known to be prepared.
public enum SASLPreparation {
    /// RFC 4013 §2.3 and §2.5: no control, invisible, private or unassigned characters, nothing that is not for plain text.
    public static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        if (0x20...0x7e).contains(scalar.value) { return true }
        switch scalar.properties.generalCategory {
        case .control, .format, .privateUse, .surrogate, .unassigned, .lineSeparator, .paragraphSeparator: return false
        default: break
        }
        switch scalar.value {
        // RFC 3454 C.6 to C.8: replacement characters, ideographic descriptions, deprecated accents.
        case 0xfffc, 0xfffd, 0x2ff0...0x2ffb, 0x340, 0x341: return false
        default: return true
        }
    }

    /// RFC 4013 §2.1: other spaces become U+0020, and these (RFC 3454 B.1) nothing at all.
    static func isMapped(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x20: false
        case 0x34f, 0x1806, 0x180b...0x180d, 0xfe00...0xfe0f: true
        default: scalar.properties.generalCategory == .spaceSeparator
        }
    }

    /// Whether every SASLprep, whatever its Unicode version, leaves the text as it is: letters, digits and signs, written from left
    /// to right, that NFKC neither changes nor joins with what stands beside them. `false` says only that it is not known.
    ///
    /// A SCRAM password must be so (RFC 5802 §2.2): client and server each prepare it, and only the result is ever compared.
    public static func isStable(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { scalar in stable.contains { $0.contains(scalar.value) } }
    }

    private static let stable: [ClosedRange<UInt32>] = [
        0x20...0x7e,  // ASCII
        0xa1...0xa7, 0xa9...0xa9, 0xab...0xac, 0xae...0xae, 0xb0...0xb1, 0xb6...0xb7, 0xbb...0xbb, 0xbf...0x131,
        0x134...0x13e, 0x141...0x148, 0x14a...0x17e,  // Latin
        0x388...0x38a, 0x38c...0x38c, 0x38e...0x3a1, 0x3a3...0x3ce,  // Greek
        0x400...0x481, 0x48a...0x4ce, 0x531...0x556, 0x561...0x586, 0x10d0...0x10f0,  // Cyrillic, Armenian, Georgian
        0x3041...0x3094, 0x30a1...0x30fa, 0x4e00...0x9fa5, 0xac00...0xd7a3,  // Kana, Han, Hangul
    ]
}
