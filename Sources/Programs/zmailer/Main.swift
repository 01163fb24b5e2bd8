import ArgumentParser
import Configuration
import DatabaseTools
import Glibc
import ProgramKit
import Supervisor

@main
struct ZMailer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zmailer", abstract: "Controls an instance of the mail system.", version: Program.version,
        subcommands: [
            Init.self, Start.self, Stop.self, Reload.self, Status.self, Check.self, NewDatabase.self, Queue.self,
            Flush.self, Reroute.self, Resubmit.self, Freezer.self, ETRN.self, Metrics.self, Explain.self, Trace.self,
            Password.self,
        ])
}

/// `-Z`, which every command takes.
struct Instance: ParsableArguments {
    @Option(name: .customShort("Z"), help: ArgumentHelp("The instance's zmailer.conf.", valueName: "file"))
    var file = ZEnvironment.defaultPath

    var environment: ZEnvironment {
        // The daemons have another working directory.
        guard let absolute = realpath(file, nil) else { return Program.environment(file) }
        defer { free(absolute) }
        return Program.environment(String(cString: absolute))
    }
}

func finish(_ code: ProgramKit.ExitCode) throws {
    if code != .ok { throw ArgumentParser.ExitCode(code.rawValue) }
}

struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Starts router, scheduler and smtpserver, and starts again what dies.",
        discussion:
            "A second start takes over from the first. Without --foreground it returns when everything is ready.")

    @OptionGroup var instance: Instance
    @Flag(help: "Stay, with the log on standard error; SIGTERM and SIGINT stop everything, SIGHUP reloads.")
    var foreground = false
    @Flag(help: .hidden) var logFiles = false
    @Option(help: ArgumentHelp("Print this when everything is ready.", valueName: "text")) var announce: String?

    func run() throws {
        let environment = instance.environment
        guard foreground else { return try finish(Control.startDetached(environment)) }
        var options = Supervisor.Options()
        options.logsToFiles = logFiles
        options.announcement = announce
        try finish(Control.startInForeground(environment, options))
    }
}

struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Stops everything and waits for the end.")
    @OptionGroup var instance: Instance
    func run() throws { try finish(Control.stop(instance.environment)) }
}

struct Reload: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Has the daemons read their configuration again and open their logs again.")
    @OptionGroup var instance: Instance
    func run() throws { try finish(Control.reload(instance.environment)) }
}

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says of each program whether it is up; exit code 69 if one is not.")
    @OptionGroup var instance: Instance
    @Flag(help: "One JSON object a line.") var json = false
    func run() throws { try finish(Control.status(instance.environment, json: json)) }
}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reads the configuration of every program and reports all mistakes; exit code 78 if there are any.",
        subcommands: [CheckQueue.self, CheckScheduler.self])
    @OptionGroup var instance: Instance
    func run() throws {
        let mistakes = ConfigurationCheck.mistakes(instance.environment) { Program.print($0, to: 2) }
        for mistake in mistakes { Program.print(mistake, to: 2) }
        try finish(mistakes.isEmpty ? .ok : .configuration)
    }
}

struct Flush: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tries everything now that waits for its next attempt.")
    @OptionGroup var instance: Instance
    @Argument(help: "Only destinations that match channel/host, for example 'smtp/*.example.org'.") var pattern = ""
    func run() throws { try finish(QueueCommand.flush(instance.environment, pattern: pattern)) }
}

struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes a new instance in a folder: configuration, tables, spool, mail of alice, bob and postmaster.")
    @Option(help: "TCP port of smtpserver on 127.0.0.1.") var port: UInt16 = 2525
    @Option(help: "The domain whose mail is delivered here.") var domain = "example.test"
    @Option(help: ArgumentHelp("Folder of the programs.", valueName: "dir")) var libexec: String?
    @Option(help: ArgumentHelp("Folder with the samples proto/ and db/.", valueName: "dir")) var samples: String?
    @Argument(help: "The folder; made if it is missing.") var directory: String

    func validate() throws {
        if port == 0 { throw ValidationError("--port 0: must be from 1 to 65535") }
    }

    func run() throws {
        let prefix = self.prefix
        let maker = InstanceMaker(
            directory: absolute(directory), port: port, domain: domain,
            programs: absolute(libexec ?? "\(prefix)/libexec/zmailer"),
            samples: absolute(samples ?? "\(prefix)/share/zmailer"))
        do throws(InstanceMaker.Failure) {
            try maker.make()
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            try finish(error.code)
        }
        // smtpserver refuses mail without a policy.
        let configuration = "\(maker.directory)/zmailer.conf"
        try finish(NewDatabases.build(Program.environment(configuration), isSilent: true))
        Program.print(configuration)
    }

    /// Programs and samples are beside us in an installation: bin/, libexec/zmailer/, share/zmailer/. A link to us counts
    /// as we do, if the samples are beside it.
    private var prefix: String {
        let paths = [absolute(CommandLine.arguments[0]), Program.executablePath()]
        let prefixes = paths.map { $0.split(separator: "/").dropLast(2).map { "/\($0)" }.joined() }
        return prefixes.first { access("\($0)/share/zmailer/proto", F_OK) == 0 } ?? prefixes[1]
    }

    private func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let current = getcwd(nil, 0) else { return path }
        defer { free(current) }
        return "\(String(cString: current))/\(path)"
    }
}
