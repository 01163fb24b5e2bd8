import Configuration
import Glibc
import Postoffice
import ProgramKit
import Telemetry

/// The start that agents have in common.
public enum AgentProgram {
    /// Reads the command line, answers `--help` and `-V`, and runs `body`; ends the process with a code of sysexits.h.
    ///
    /// - Parameter summary: what the usage says behind the program's name.
    public static func main(
        _ name: String, _ arguments: [String], _ specs: [OptionSpec], summary: String,
        _ body: (CommandLineOptions) throws(UsageError) -> Void
    ) -> Never {
        do throws(UsageError) {
            let parsed = try CommandLineOptions.parse(arguments, specs)
            if parsed.has("help") {
                Program.print(CommandLineOptions.usage(name, summary, specs))
                exit(ExitCode.ok.rawValue)
            }
            if parsed.has("V") {
                Program.print("zmailer \(name) \(Program.version)")
                exit(ExitCode.ok.rawValue)
            }
            if let operand = parsed.operands.first {
                throw UsageError("'\(operand)': jobs are read from standard input")
            }
            try body(parsed)
            exit(ExitCode.ok.rawValue)
        } catch {
            Program.print("\(name): \(error.description) (see --help)", to: STDERR_FILENO)
            exit(ExitCode.usage.rawValue)
        }
    }

    /// zmailer.conf: `path` (`-Z`), else what `ZCONFIG` names, which the scheduler sets, else the default file, else nothing:
    /// an agent can be run by hand on a machine without a configuration. A file that is named and wrong ends the program with 78.
    public static func environment(_ path: String?) -> ZEnvironment {
        if let path = path ?? getenv("ZCONFIG").map({ String(cString: $0) }) { return Program.environment(path) }
        return access(ZEnvironment.defaultPath, F_OK) == 0 ? Program.environment(nil) : ZEnvironment()
    }

    /// The log: `file` (`-l`), else `$LOGDIR/<name>`; standard error when a person runs the agent at a terminal. Whoever asks
    /// for a log, by `-l`, by `T` in SYSLOGFLG or by running it by hand, gets a line for each result too.
    public static func log(
        _ name: String, _ environment: ZEnvironment, file: String?, isVerbose: Bool
    ) -> EventLog {
        let byHand = isatty(STDIN_FILENO) == 1
        let isCopied = copiesToSyslog(environment)
        let level: EventLog.Level = isVerbose || byHand || file != nil || isCopied ? .debug : .info
        do throws(EventLogError) {
            let path = file ?? (byHand ? nil : "\(environment.logdir)/\(name)")
            return try EventLog(
                program: name, destination: path.map { .file($0) } ?? .standardError, level: level,
                copiesToSyslog: isCopied, followsNameEvery: EventLog.lookInterval)
        } catch {
            // Mail goes on without its log file; whoever started us reads standard error.
            Program.print("\(name): \(error.description)", to: STDERR_FILENO)
        }
        do throws(EventLogError) {
            return try EventLog(program: name, destination: .standardError, level: level)
        } catch {
            Program.fail("\(name): \(error.description)", .cannotCreate)
        }
    }

    /// Whether agents log to syslog(3) too: `T` in SYSLOGFLG of zmailer.conf (transport-agents.md §1).
    public static func copiesToSyslog(_ environment: ZEnvironment) -> Bool {
        (environment["SYSLOGFLG"] ?? "").utf8.contains { $0 | 0x20 == UInt8(ascii: "t") }
    }

    /// The name by which this host is known: HOSTNAME of zmailer.conf, else the system's.
    public static func hostName(_ environment: ZEnvironment) -> String {
        if let name = environment["HOSTNAME"], !name.isEmpty { return name }
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension AgentProgram {
    /// For agents that give mail back to the router: opens the spool, as its owner if this is root. Ends the program if it cannot be had.
    public static func resubmission(_ name: String, _ environment: ZEnvironment, via: String) -> Resubmission {
        let postoffice: Postoffice
        do throws(ProcessIdentity.Failure) {
            // What it writes, the router must be able to read; and it needs no more than that.
            try ProcessIdentity.becomeOwner(of: environment.postoffice)
        } catch {
            Program.fail("\(name): \(error)", .osError)
        }
        do throws(PostofficeError) { postoffice = try Postoffice(environment.postoffice) } catch {
            Program.fail("\(name): \(error)", .cannotCreate)
        }
        return Resubmission(
            postoffice: postoffice,
            notice: NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router"),
            hostName: hostName(environment), via: via)
    }
}

extension CommandLineOptions {
    /// The value of an option that is a number; `nil` if it was not given.
    public func number(_ key: String, _ range: ClosedRange<Int>) throws(UsageError) -> Int? {
        guard let text = value(key) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            let option = key.count == 1 ? "-\(key)" : "--\(key)"
            throw UsageError("\(option) \(text): valid are \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
