import DeliveryStatus
import Glibc
import ProgramKit

/// The forms of an instance: `$MAILSHARE/forms/<name>`, where the name is the host of a recipient of channel `error`.
struct FormLibrary: Sendable {
    let directory: String

    /// Octets of a form.
    static let maximumSize = 65536

    enum Finding: Hashable, Sendable {
        case found(ReportForm)
        /// With the reason.
        case missing(String)
    }

    func form(_ name: String) -> Finding {
        // A name is one file of the directory: nothing that leads out of it.
        guard Self.isName(name) else { return .missing("'\(name)' is no name of a form") }
        do throws(FileOctets.Failure) {
            let octets = try FileOctets.read("\(directory)/\(name)", limit: Self.maximumSize)
            return .found(ReportForm(parsing: String(decoding: octets, as: UTF8.self)))
        } catch {
            return .missing(error.description)
        }
    }

    static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { octet in
                (0x30...0x39).contains(octet) || (0x61...0x7a).contains(octet | 0x20) || octet == UInt8(ascii: "-")
                    || octet == UInt8(ascii: "_")
            }
    }

    /// What a form says in the language of programs (RFC 3463).
    static func reason(_ name: String) -> (status: String, text: String) {
        switch name {
        case "nosuchuser": ("5.1.1", "there is no such user here")
        case "unresolvable": ("5.1.2", "the address leads nowhere")
        case "envelope": ("5.1.3", "the address cannot be read")
        case "acctexpired": ("5.2.1", "the account has expired")
        case "expansion": ("5.2.4", "the mailing list or alias cannot be expanded")
        case "loopexceeded": ("5.4.6", "the message went round in a loop")
        case "expired": ("5.4.7", "the message could not be delivered in time")
        default: ("5.0.0", "the mail system could not route the message")
        }
    }
}
