import AgentProtocol
import Configuration
import Glibc
import ProgramKit

extension MailqAccounts {
    /// Reads scheduler.auth. It holds passwords: it must be root's or ours, and nobody else's to read.
    static func read(_ path: String) throws(ConfigurationErrors) -> MailqAccounts {
        func failure(_ line: Int, _ reason: String) -> ConfigurationError {
            ConfigurationError(file: path, line: line, key: "", reason: reason)
        }
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(path, limit: 1 << 20)
        } catch {
            throw ConfigurationErrors([failure(0, String(cString: strerror(error.code)))])
        }
        var information = stat()
        guard stat(path, &information) == 0 else {
            throw ConfigurationErrors([failure(0, String(cString: strerror(errno)))])
        }
        guard information.st_mode & 0o077 == 0 else {
            let mode = String(information.st_mode & 0o7777, radix: 8)
            throw ConfigurationErrors([failure(0, "has mode \(mode) and holds passwords; chmod 600 it")])
        }
        guard information.st_uid == 0 || information.st_uid == geteuid() else {
            throw ConfigurationErrors([
                failure(0, "is owned by uid \(information.st_uid); valid are root and uid \(geteuid())")
            ])
        }
        do throws(SyntaxErrors) {
            return try MailqAccounts(parsing: octets)
        } catch {
            throw ConfigurationErrors(error.errors.map { failure($0.line, $0.reason) })
        }
    }
}
