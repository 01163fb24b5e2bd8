import Configuration
import Glibc
import ProgramKit

/// Where smtp-tls.conf is found.
enum TLSConfigurationFile {
    /// Octets; ten thousand destinations with long options.
    private static let maximumSize = 4 << 20

    /// Reads `path` (`-S`), or `folder`'s smtp-tls.conf. Only the latter may be missing: then the defaults hold.
    static func read(
        _ path: String?, folder: String
    ) throws(ConfigurationErrors) -> (file: String, configuration: SMTPTLSConfiguration) {
        let file = path ?? "\(folder)/smtp-tls.conf"
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(file, limit: maximumSize)
        } catch {
            if path == nil, error.code == ENOENT { return (file, SMTPTLSConfiguration()) }
            let reason = "cannot be read: \(String(cString: strerror(error.code)))"
            throw ConfigurationErrors([ConfigurationError(file: file, line: 0, key: "", reason: reason)])
        }
        return (file, try SMTPTLSConfiguration.parse(String(decoding: octets, as: UTF8.self), file: file))
    }
}
