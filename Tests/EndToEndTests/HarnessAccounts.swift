import Foundation
import Glibc
import Synchronization

/// Accounts of this host for one test, which only root can have; removed with the last reference.
final class TestAccounts {
    static let canBeMade = geteuid() == 0 && access("/usr/sbin/useradd", X_OK) == 0

    struct Account: Sendable {
        let name: String
        let uid: uid_t
        let gid: gid_t
    }

    /// The user of the daemons.
    let trusted: Account
    let alice: Account
    let bob: Account
    /// uid below MINUID.
    let low: Account
    private let names: [String]

    /// Makers of accounts come one after the other: each looks for a name and a number that nobody has.
    private static let made = Mutex(0)

    /// `home` gets a folder a user.
    convenience init(home: String) throws {
        let accounts = try Self.made.withLock { count in
            count += 1
            return try TestAccounts.make(home: home, number: count)
        }
        self.init(accounts)
    }

    private struct Made: Sendable {
        let trusted: Account
        let alice: Account
        let bob: Account
        let low: Account
        let names: [String]
    }

    private init(_ made: Made) {
        trusted = made.trusted
        alice = made.alice
        bob = made.bob
        low = made.low
        names = made.names
    }

    private static func make(home: String, number: Int) throws -> Made {
        let prefix = "zmt\(getpid() % 100_000)n\(number)"
        var made: [String] = []
        func make(_ suffix: String, _ arguments: [String]) throws -> Account {
            let name = prefix + suffix
            let options = ["--user-group", "--no-create-home", "--home-dir", "\(home)/\(suffix)"]
            try Self.run("/usr/sbin/useradd", options + arguments + [name])
            made.append(name)
            guard let entry = getpwnam(name) else { throw HarnessError("useradd made no account \(name)") }
            return Account(name: name, uid: entry.pointee.pw_uid, gid: entry.pointee.pw_gid)
        }
        do {
            let trusted = try make("t", ["--system"])
            let alice = try make("a", [])
            let bob = try make("b", [])
            let free = (40..<100).first { getpwuid(uid_t($0)) == nil && getgrgid(gid_t($0)) == nil }
            guard let free else { throw HarnessError("no free uid below 100") }
            let low = try make("l", ["--uid", String(free)])
            for account in [alice, bob] {
                let path = "\(home)/\(account.name.suffix(1))"
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                guard chmod(path, 0o700) == 0, chown(path, account.uid, account.gid) == 0 else {
                    throw HarnessError("\(path): \(String(cString: strerror(errno)))")
                }
            }
            return Made(trusted: trusted, alice: alice, bob: bob, low: low, names: made)
        } catch {
            for name in made { try? Self.run("/usr/sbin/userdel", [name]) }
            throw error
        }
    }

    deinit { for name in names { try? Self.run("/usr/sbin/userdel", [name]) } }

    /// Somebody else may have the account files locked for a moment.
    private static func run(_ program: String, _ arguments: [String]) throws {
        let output = "\(NSTemporaryDirectory())/zm-account-\(UUID().uuidString)"
        defer { unlink(output) }
        for attempt in 0..<10 {
            let process = try TestProcess(program, arguments, outputPath: output)
            var status: TestProcess.ExitStatus?
            while status == nil {
                status = process.poll()
                usleep(2000)
            }
            if status == .exited(0) { return }
            if attempt == 9 { throw HarnessError("\(program) \(arguments): \(process.output)") }
            usleep(200_000)
        }
    }
}

extension ProcessTable {
    /// Effective uid and gid of a living process.
    static func identity(_ pid: pid_t) -> (uid: uid_t, gid: gid_t)? {
        let text = String(
            decoding: FileManager.default.contents(atPath: "/proc/\(pid)/status") ?? Data(), as: UTF8.self)
        func number(_ key: String) -> UInt32? {
            text.split(separator: "\n").first { $0.hasPrefix("\(key):") }?.split(whereSeparator: \.isWhitespace)
                .dropFirst(2).first.flatMap { UInt32($0) }
        }
        guard let uid = number("Uid"), let gid = number("Gid") else { return nil }
        return (uid, gid)
    }
}
