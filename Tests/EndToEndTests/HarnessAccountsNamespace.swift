import Foundation
import Glibc

/// System accounts that only the programs of one test know: an /etc with more lines in passwd and group, in a mount namespace
/// of theirs. Mail systems of Debian insist on accounts by name, and this host need not have them.
struct PeerAccounts {
    /// Whether this process may make such a namespace.
    static let canBeMade: Bool = {
        guard geteuid() == 0, access(unshare, X_OK) == 0 else { return false }
        let output = "\(NSTemporaryDirectory())/zm-mount-\(UUID().uuidString)"
        defer { unlink(output) }
        let arguments = ["--mount", "--propagation", "private", "/bin/true"]
        guard let process = try? TestProcess(unshare, arguments, outputPath: output) else { return false }
        while process.isRunning { usleep(2000) }
        return process.poll() == .exited(0)
    }()
    /// For the list of skipped tests.
    static let requirement = "needs root, unshare(1), and a kernel that gives mount namespaces"

    private static let unshare = "/usr/bin/unshare"

    /// Where its files are.
    private let folder: String
    private let names: [String]

    /// Each name is a user and a group.
    init(_ names: [String], in folder: String) throws {
        self.folder = folder
        self.names = names
        for file in ["passwd", "group"] {
            var lines = try String(contentsOfFile: "/etc/\(file)", encoding: .utf8).split(separator: "\n")
                .filter { line in !names.contains { line.hasPrefix("\($0):") } }.map(String.init)
            for name in names {
                let id = Self.id(of: name, among: names)
                lines.append(
                    file == "passwd" ? "\(name):x:\(id):\(id)::/nonexistent:/usr/sbin/nologin" : "\(name):x:\(id):")
            }
            try (lines.joined(separator: "\n") + "\n").write(
                toFile: "\(folder)/\(file)", atomically: true, encoding: .utf8)
            chmod("\(folder)/\(file)", 0o644)
        }
    }

    /// User and group id of one of them.
    func id(of name: String) -> uid_t { Self.id(of: name, among: names) }

    private static func id(of name: String, among names: [String]) -> uid_t {
        64100 + uid_t(names.firstIndex(of: name) ?? 0)
    }

    /// How to start a program that knows them; `mounting` puts a folder at another place, where they may look.
    func command(
        _ program: String, _ arguments: [String], mounting folders: [(folder: String, place: String)] = []
    ) -> (program: String, arguments: [String]) {
        // Files that go while they are copied are not missed. A whole /etc: where another test replaces /etc/passwd, as useradd does, the kernel takes away what is mounted on that file.
        let copy =
            "cp -aT /etc '\(folder)/etc-view-'$$ 2>/dev/null; cp '\(folder)/passwd' '\(folder)/group' '\(folder)/etc-view-'$$/ && "
        let mount = "mount --bind '\(folder)/etc-view-'$$ /etc && "
        let others = folders.map { "mount --bind '\($0.folder)' '\($0.place)' && " }.joined()
        let script = copy + mount + others + "exec \"$@\""
        // Forked, so that it leads no process group and may begin a session.
        let start = ["--mount", "--propagation", "private", "--fork", "/bin/sh", "-c", script, "sh", program]
        return (Self.unshare, start + arguments)
    }
}
