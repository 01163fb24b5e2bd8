import Configuration
import Glibc
import Postoffice
import SpoolFormat

/// The folders that must be there before the first pid file and log line.
enum InstanceFolders {
    /// Makes the spool and the folder of the logs if they are missing. What is wrong with them; nil: nothing.
    static func prepare(_ environment: ZEnvironment) -> String? {
        let isNew = access("\(environment.postoffice)/router", F_OK) != 0
        do throws(PostofficeError) {
            _ = try Postoffice(environment.postoffice, creating: true)
        } catch {
            return error.description
        }
        let logIsNew = mkdir(environment.logdir, 0o750) == 0
        if !logIsNew, errno != EEXIST { return "\(environment.logdir): \(String(cString: strerror(errno)))" }
        // Started by root the daemons are somebody else. Folders that were there before keep the owner they have.
        guard geteuid() == 0, let name = environment["TRUSTEDUSER"] else { return nil }
        guard let account = getpwnam(name) else { return "TRUSTEDUSER: '\(name)' is no user of this system" }
        let spool =
            [environment.postoffice] + SpoolDirectory.allCases.map { "\(environment.postoffice)/\($0.rawValue)" }
        // POSTOFFICE last: once it is his, its folders could be replaced by links that lead elsewhere.
        for path in (isNew ? spool.reversed() : []) + (logIsNew ? [environment.logdir] : []) {
            if lchown(path, account.pointee.pw_uid, account.pointee.pw_gid) != 0 {
                return "\(path): \(String(cString: strerror(errno)))"
            }
        }
        // The router becomes whoever owns the spool: a spool of root's would make it root.
        var info = stat()
        guard lstat(environment.postoffice, &info) == 0 else {
            return "\(environment.postoffice): \(String(cString: strerror(errno)))"
        }
        guard info.st_uid == account.pointee.pw_uid else {
            return "\(environment.postoffice) belongs to uid \(info.st_uid), not to TRUSTEDUSER \(name); "
                + "valid is: chown -R \(name) \(environment.postoffice)"
        }
        return nil
    }
}
