import CPosix
import Configuration
import Glibc
import Telemetry

/// What every program does at its start and end.
public enum Program {
    public static let version = "0.1.0"

    /// A variable of the environment; `nil` also in a program that has rights which its caller has not (set-user-id).
    public static func variable(_ name: String) -> String? { cposix_secure_getenv(name).map { String(cString: $0) } }

    /// Writes to standard error and ends.
    public static func fail(_ message: String, _ code: ExitCode) -> Never {
        print(message, to: 2)
        exit(code.rawValue)
    }

    /// One line on a descriptor, past any buffer.
    public static func print(_ text: String, to descriptor: Int32 = 1) {
        let bytes = Array((text.hasSuffix("\n") ? text : text + "\n").utf8)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                return
            }
        }
    }

    /// Reads the ZENV file; ends with 78 and all errors if it cannot be read or is wrong.
    public static func environment(_ path: String?) -> ZEnvironment {
        do throws(ConfigurationErrors) { return try readEnvironment(path) } catch {
            fail(error.description, .configuration)
        }
    }

    /// The same for a daemon that goes on with what it has if the file cannot be had.
    public static func readEnvironment(_ path: String?) throws(ConfigurationErrors) -> ZEnvironment {
        let file = path ?? ZEnvironment.defaultPath
        let octets: [UInt8]
        do throws(FileOctets.Failure) { octets = try FileOctets.read(file, limit: 1 << 20) } catch {
            let reason = "\(error) (give another with -Z file)"
            throw ConfigurationErrors([ConfigurationError(file: file, line: 0, key: "", reason: reason)])
        }
        var environment = try ZEnvironment.parse(String(decoding: octets, as: UTF8.self), file: file)
        environment["ZCONFIG"] = file
        return environment
    }

    /// The log of a daemon: `file`, which the command line names; else standard error in the foreground, else
    /// `$LOGDIR/<program>`; and syslog, where `SYSLOGFLG` of zmailer.conf has an `s`. A daemon in the foreground whose file cannot be opened goes on with standard error, and says so.
    public static func log(
        _ program: String, _ environment: ZEnvironment, file: String? = nil, isForeground: Bool, debug: Bool = false
    ) -> EventLog {
        let level = debug ? EventLog.Level.debug : .info
        let path = file ?? (isForeground ? nil : "\(environment.logdir)/\(program)")
        do throws(EventLogError) {
            let copiesToSyslog = environment["SYSLOGFLG"].map { $0.contains("s") || $0.contains("S") } ?? false
            return try EventLog(
                program: program, destination: path.map { .file($0) } ?? .standardError, level: level,
                copiesToSyslog: copiesToSyslog)
        } catch {
            guard isForeground else { fail("\(program): \(error.description)", .cannotCreate) }
            let log = EventLog(standardErrorOf: program, level: level)
            log.error("log-not-opened", ["reason": error.description, "instead": "standard error"])
            return log
        }
    }

    /// The absolute path of the running executable; after an upgrade that of the new one, which has the old one's name.
    public static func executablePath() -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return "" }
        let path = String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let mark = " (deleted)"
        return path.hasSuffix(mark) && access(path, F_OK) != 0 ? String(path.dropLast(mark.count)) : path
    }

    /// The process's environment as `NAME=value`.
    public static var inheritedEnvironment: [String] {
        var result: [String] = []
        var entry = environ
        while let text = entry.pointee {
            result.append(String(cString: text))
            entry += 1
        }
        return result
    }
}

/// Whole small files.
public enum FileOctets {
    public struct Failure: Error, CustomStringConvertible {
        public let path: String
        public let code: Int32
        public var description: String { "\(path): \(String(cString: strerror(code)))" }
    }

    /// All octets of a file of at most `limit` octets; EFBIG if it is larger.
    public static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        let fd = cposix_open(path, O_RDONLY, 0)
        guard fd >= 0 else { throw Failure(path: path, code: errno) }
        defer { close(fd) }
        var info = stat()
        guard fstat(fd, &info) == 0 else { throw Failure(path: path, code: errno) }
        guard info.st_size <= limit else { throw Failure(path: path, code: EFBIG) }
        var octets = [UInt8](repeating: 0, count: Int(info.st_size) + 1)
        var count = 0
        while true {
            if count == octets.count {
                guard count <= limit else { throw Failure(path: path, code: EFBIG) }
                octets.append(contentsOf: repeatElement(0, count: max(4096, count)))
            }
            let got = octets.withUnsafeMutableBytes { buffer in
                Glibc.read(fd, buffer.baseAddress?.advanced(by: count), buffer.count - count)
            }
            if got < 0 {
                if errno == EINTR { continue }
                throw Failure(path: path, code: errno)
            }
            if got == 0 { break }
            count += got
        }
        guard count <= limit else { throw Failure(path: path, code: EFBIG) }
        octets.removeLast(octets.count - count)
        return octets
    }
}
