import ChildProcesses
import Glibc
import ProgramKit

/// Who submits mail on this host, as the system tells of the other end of a Unix socket (SO_PEERCRED, unix(7)).
struct LocalAccount: Hashable, Sendable {
    let uid: uid_t
    /// The account's; `uid-N` where there is none of that uid, or its name could not stand in a header, and before it was looked up.
    let name: String
    /// There is an account of that uid.
    let exists: Bool
    /// May submit in any sender's name.
    var isTrusted = false

    init(uid: uid_t, name: String? = nil) {
        self.uid = uid
        exists = name != nil
        if let name, Self.isPlain(name) { self.name = name } else { self.name = "uid-\(uid)" }
    }

    /// The uid at the other end of a Unix socket; `nil`: it is none, or the system does not say. (Of a TCP socket it says 4294967295.)
    static func peer(of descriptor: Int32) -> uid_t? {
        var domain: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0, domain == AF_UNIX else {
            return nil
        }
        return UnixSocket.peer(descriptor)
    }

    /// Asks the name service. Blocks.
    static func lookedUp(_ uid: uid_t, _ settings: Settings) -> Result<LocalAccount, SystemAccount.Failure> {
        do throws(SystemAccount.Failure) {
            var account = LocalAccount(uid: uid, name: try SystemAccount.with(uid: uid)?.name)
            account.isTrusted = settings.isTrusted(uid, account.name)
            return .success(account)
        } catch {
            return .failure(error)
        }
    }

    /// Letters, digits, `.`, `_`, `-`, and a `$` as samba's machines have: all that is an atom in a header, and no separator anywhere.
    private static func isPlain(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { octet in
                (48...57).contains(octet) || (65...90).contains(octet) || (97...122).contains(octet)
                    || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "$")].contains(octet)
            }
    }
}
