import Foundation
import Glibc
import Testing

/// Programs that accounts of this host start, with our sendmail where such programs look for it.
struct AccountPrograms {
    let instance: Instance
    /// Has `bin` and `sbin`, for everybody to execute.
    let folder: String

    init(_ instance: Instance) {
        self.instance = instance
        folder = (instance.settings.zenv["MAILBIN"] ?? Programs.libexec) + "/.."
    }

    var sendmail: String { "\(folder)/sbin/sendmail" }

    /// The file of a text, for standard input.
    func input(_ text: String) throws -> String {
        let name = "input.\(UUID().uuidString)"
        try instance.write(text, to: name)
        return "\(instance.directory)/\(name)"
    }

    /// Runs a program as an account.
    @discardableResult
    func run(
        as account: TestAccounts.Account, _ program: String, _ arguments: [String], input text: String = "",
        environment: [String: String] = [:]
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        let words = ["--reuid=\(account.uid)", "--regid=\(account.gid)", "--clear-groups", program] + arguments
        let variables = ["ZCONFIG": instance.configuration].merging(environment) { $1 }
        return try await instance.run("/usr/bin/setpriv", words, environment: variables, input: try input(text))
    }

    /// Runs a program of Debian's as an account, with our sendmail as /usr/sbin/sendmail in a mount namespace of its own.
    @discardableResult
    func runPeer(
        as account: TestAccounts.Account, _ program: String, _ arguments: [String], input text: String = ""
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        let layer = "\(instance.directory)/usr-sbin"
        try FileManager.default.createDirectory(atPath: layer, withIntermediateDirectories: true)
        symlink(sendmail, "\(layer)/sendmail")
        let home = String(cString: getpwnam(account.name).pointee.pw_dir)
        // Copies: accounts may not look into the folder of the peers, which is root's.
        let peers = "\(instance.directory)/peers"
        let script = """
            mkdir -p '\(peers)/lib' && cp -L '\(program)' '\(peers)/program' || exit 99
            for folder in $(echo '\(Programs.userLibraries)' | tr : ' '); do
                [ ! -d "$folder" ] || cp -RL "$folder/." '\(peers)/lib/' || exit 99
            done
            mount -t overlay overlay -o 'lowerdir=\(layer):/usr/sbin' /usr/sbin && cd '\(home)' && exec "$@"
            """
        let words =
            ["--mount", "--propagation", "private", "--fork", "/bin/sh", "-c", script, "sh", "/usr/bin/setpriv"]
            + ["--reuid=\(account.uid)", "--regid=\(account.gid)", "--clear-groups", "\(peers)/program"] + arguments
        let variables = [
            "ZCONFIG": instance.configuration, "HOME": home, "USER": account.name, "LOGNAME": account.name,
            "LD_LIBRARY_PATH": "\(peers)/lib",
        ]
        return try await instance.run("/usr/bin/unshare", words, environment: variables, input: try input(text))
    }

    /// A file in the home directory of an account.
    static func write(
        _ text: String, _ name: String, of account: TestAccounts.Account, mode: mode_t = 0o644
    ) throws {
        let path = "\(home(of: account))/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try #require(chmod(path, mode) == 0 && chown(path, account.uid, account.gid) == 0)
    }

    static func home(of account: TestAccounts.Account) -> String {
        String(cString: getpwnam(account.name).pointee.pw_dir)
    }

    static func maildir(_ account: TestAccounts.Account) -> Maildir { Maildir(path: "\(home(of: account))/Maildir") }

    /// That many, and not one more once nothing is left to be delivered.
    func waitForMail(of account: TestAccounts.Account, _ count: Int) async throws {
        let maildir = Self.maildir(account)
        try await waitUntil("\(count) messages of \(account.name)", details: { instance.report }) {
            maildir.count >= count
        }
        try await instance.waitForEmptySpool()
        #expect(maildir.count == count, "\(maildir.texts)\n\(instance.report)")
    }
}
