import Configuration
import FilterKit
import Glibc
import MailModel
import MilterProtocol
import ProgramKit

/// filter-milter(8).
public enum FilterMilterProgram {
    private static let help = """
        usage: filter-milter [--check]

        A content filter of smtpserver that asks a milter. It reads $MAILSHARE/<name>.conf, where <name> is the
        name that it is started by, and MAILSHARE comes from the zmailer.conf that ZCONFIG names.

          --check    read the configuration, negotiate with the milter, tell the result, end
        """

    /// Ends the process: 0 at the end of the input, 64 for a wrong command line, 69 if `--check` finds no milter, 78 for a wrong
    /// configuration.
    public static func run(_ arguments: [String]) -> Never {
        var isCheck = false
        for argument in arguments.dropFirst() {
            switch argument {
            case "--check": isCheck = true
            case "--help":
                Program.print(help)
                exit(ExitCode.ok.rawValue)
            default: Program.fail("filter-milter: unknown argument '\(argument)'\n\(help)", .usage)
            }
        }
        let environment = Self.environment()
        let settings = Self.settings(environment, name: name(arguments.first ?? ""))
        let filter = MilterFilter(settings, hostName: hostName(environment))
        if isCheck { check(filter) }
        FilterProgram.run(credits: settings.maximumConnections) { try filter.judge($0) }
    }

    /// `filter-milter`, or what the program is called by.
    static func name(_ path: String) -> String {
        let name = Octets.text(Octets.split(Array(path.utf8)[...], at: UInt8(ascii: "/")).last ?? [])
        return name.isEmpty ? "filter-milter" : name
    }

    private static func environment() -> ZEnvironment {
        if let path = getenv("ZCONFIG").map({ String(cString: $0) }) { return Program.environment(path) }
        return Program.environment(nil)
    }

    private static func settings(_ environment: ZEnvironment, name: String) -> MilterSettings {
        let file = "\(environment.mailshare)/\(name).conf"
        do {
            let octets = try FileOctets.read(file, limit: 64 << 10)
            return try MilterSettings.parse(String(decoding: octets, as: UTF8.self), file: file)
        } catch {
            Program.fail("\(error)", .configuration)
        }
    }

    private static func hostName(_ environment: ZEnvironment) -> String {
        if let name = environment["HOSTNAME"], !name.isEmpty { return name }
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func check(_ filter: MilterFilter) -> Never {
        do throws(MilterFailure) {
            let options = try filter.probe()
            Program.print(
                "\(filter.settings.socket): version \(options.version),"
                    + " actions 0x\(String(options.actions.rawValue, radix: 16)),"
                    + " steps 0x\(String(options.steps.rawValue, radix: 16))")
            exit(ExitCode.ok.rawValue)
        } catch {
            Program.fail("milter \(filter.settings.socket): \(error)", .unavailable)
        }
    }
}
