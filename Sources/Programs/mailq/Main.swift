import ArgumentParser
import Configuration
import Glibc
import ProgramKit
import Supervisor

@main
struct MailQ: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mailq", abstract: "Lists what has not yet been delivered.", version: Program.version)

    @Option(name: .customShort("Z"), help: ArgumentHelp("The instance's zmailer.conf.", valueName: "file"))
    var file = ZEnvironment.defaultPath
    @Flag(help: "One JSON object a line.") var json = false
    @Flag(help: "By destination (channel/host) and not by message.") var threads = false

    func run() throws {
        let code = QueueCommand.list(Program.environment(file), json: json, threads: threads)
        if code != .ok { throw ArgumentParser.ExitCode(code.rawValue) }
    }
}
