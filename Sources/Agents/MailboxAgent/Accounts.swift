import Glibc
import MailModel
import ProgramKit
import Synchronization

/// A user with a mailbox here.
struct Account: Hashable, Sendable {
    let name: String
    /// `nil`: mail is written under the agent's own identity.
    let identity: SystemAccount?
    /// Empty when accounts come from a file.
    let home: String
}

/// Who has a mailbox: `ACCOUNTS` of zmailer.conf.
enum Accounts: Sendable {
    /// passwd(5) and whatever else the name service knows.
    case system
    case file(AccountFile)
    /// These, by name.
    case list([String: SystemAccount])

    /// `nil`: no such user. The name is tried as given, then in lower case.
    func find(_ name: String) throws(DeliveryProblem) -> Account? {
        guard Self.isName(name) else { return nil }
        let lower = asciiLowercased(name)
        for candidate in lower == name ? [name] : [name, lower] {
            switch self {
            case .system:
                do throws(SystemAccount.Failure) {
                    guard let found = try SystemAccount.named(candidate) else { continue }
                    return Account(name: found.name, identity: found, home: found.home)
                } catch {
                    throw .temporary("4.3.0", error.description)
                }
            case .list(let accounts):
                guard let found = accounts[candidate] else { continue }
                return Account(name: found.name, identity: found, home: found.home)
            case .file(let file):
                if try file.contains(candidate) { return Account(name: candidate, identity: nil, home: "") }
            }
        }
        return nil
    }

    /// What may become part of a path.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty && !name.hasPrefix(".") && name.utf8.count <= 255
            && name.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "/") }
    }
}

/// A file with one user name a line; `#` begins a comment. Read again when it has changed.
final class AccountFile: Sendable {
    let path: String
    private let state = Mutex(State())

    private struct State {
        var stamp = Stamp()
        var names: Set<String> = []
        var isRead = false
    }

    private struct Stamp: Equatable {
        var inode: UInt64 = 0
        var size = 0
        var seconds = 0
        var nanoseconds = 0
    }

    /// Octets.
    static let maximumSize = 64 << 20

    init(_ path: String) { self.path = path }

    /// A file that cannot be read is our trouble: nobody's mail is refused for it.
    func contains(_ name: String) throws(DeliveryProblem) -> Bool {
        var information = stat()
        guard stat(path, &information) == 0 else { throw .temporary("4.3.0", Self.problem(path, errno)) }
        let stamp = Stamp(
            inode: UInt64(information.st_ino), size: Int(information.st_size), seconds: information.st_mtim.tv_sec,
            nanoseconds: information.st_mtim.tv_nsec)
        let outcome = state.withLock { state -> Result<Bool, DeliveryProblem> in
            if !state.isRead || state.stamp != stamp {
                do throws(FileOctets.Failure) {
                    state.names = Self.names(try FileOctets.read(path, limit: Self.maximumSize))
                    state.stamp = stamp
                    state.isRead = true
                } catch {
                    return .failure(.temporary("4.3.0", "ACCOUNTS: \(error.description)"))
                }
            }
            return .success(state.names.contains(name))
        }
        return try outcome.get()
    }

    private static func problem(_ path: String, _ code: Int32) -> String {
        "ACCOUNTS: \(path): \(String(cString: strerror(code)))"
    }

    static func names(_ octets: [UInt8]) -> Set<String> {
        var names: Set<String> = []
        for line in octets.split(separator: 0x0a) {
            let text = line.prefix { $0 != UInt8(ascii: "#") }.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }
            guard let first = text.first else { continue }
            let name = String(decoding: first, as: UTF8.self)
            if Accounts.isName(name) { names.insert(name) }
        }
        return names
    }
}
