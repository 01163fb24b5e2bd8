import Foundation
import Testing

/// What must not be found of a password.
extension Instance {
    /// In no log, no file of the spool, no process of ours, plain or in base64.
    func expectNowhere(_ secret: String) {
        expectInNoProcess(secret)
        let forms = Self.forms(secret)
        for folder in ["log", "postoffice", "mail", "zmailer.out"] {
            let names = FileManager.default.enumerator(atPath: "\(directory)/\(folder)")?.compactMap { $0 as? String }
            for name in (names ?? []).map({ "\(folder)/\($0)" }) + (folder == "zmailer.out" ? [folder] : []) {
                let content = FileManager.default.contents(atPath: "\(directory)/\(name)") ?? Data()
                for form in forms where content.range(of: form) != nil { Issue.record("\(name) has the password") }
            }
        }
    }

    /// Neither in an argument nor in the environment.
    func expectInNoProcess(_ secret: String) {
        for process in ProcessTable.processes(naming: directory) {
            for file in ["cmdline", "environ"] {
                let content = FileManager.default.contents(atPath: "/proc/\(process.pid)/\(file)") ?? Data()
                for form in Self.forms(secret) where content.range(of: form) != nil {
                    Issue.record("\(file) of \(process.command.prefix(100)) has the password")
                }
            }
        }
    }

    /// As it is, and as LOGIN and PLAIN (for alice) send it.
    private static func forms(_ secret: String) -> [Data] {
        [
            Data(secret.utf8), Data(Data(secret.utf8).base64EncodedString().utf8),
            Data(AuthenticationTests.plain(PeerLogin(user: "alice", password: secret)).utf8),
        ]
    }
}
