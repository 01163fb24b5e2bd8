import Glibc
import ProgramKit

/// Looks into the file of a PAM service. Without `account` rules PAM takes those of the service `other`, which on some systems deny
/// everybody: an `auth` line alone, all that ZMailer's newer code needs, would let nobody in.
enum PAMServiceFile {
    /// Where PAM looks (pam.conf(5)), first one first.
    private static let folders = ["/etc/pam.d", "/usr/lib/pam.d"]
    private static let maximumSize = 1 << 20

    /// Whether PAM shall be asked for the account: if the file has a rule for it, or includes others, or cannot be read (then PAM knows
    /// better).
    static func hasAccountRules(_ service: String, directory: String?) -> Bool {
        for folder in directory.map({ [$0] }) ?? folders {
            do throws(FileOctets.Failure) {
                return hasAccountRules(try FileOctets.read("\(folder)/\(service)", limit: maximumSize))
            } catch {
                continue
            }
        }
        return true
    }

    static func hasAccountRules(_ octets: [UInt8]) -> Bool {
        // A backslash at its end joins a line with the next.
        var isContinued = false
        for line in octets.split(separator: 0x0a) {
            defer { isContinued = line.last == UInt8(ascii: "\\") && !line.contains(UInt8(ascii: "#")) }
            if isContinued { continue }
            let words = line.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }
            guard var type = words.first.map({ String(decoding: $0, as: UTF8.self).lowercased() }) else { continue }
            if type.hasPrefix("-") { type.removeFirst() }
            if type == "account" || type == "@include" { return true }
        }
        return false
    }
}
