import AgentProtocol
import ArgumentParser
import Supervisor

struct ETRN: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "etrn",
        abstract: "Tries everything now that waits for a host, also what waits for its ETRN only.",
        discussion: """
            With --node the scheduler of another machine is asked, by mailq of version 2 (scheduler.auth(5)).
            Exit code 0: asked, whether or not something waits; 75: no answer, 77: not allowed.
            """)

    @OptionGroup var instance: Instance
    @Flag(help: "One JSON object.") var json = false
    @Option(
        help: ArgumentHelp(
            "Ask this scheduler: HOST, HOST/PORT (default 174), or the path of a socket.", valueName: "node"))
    var node: String?
    @Option(help: ArgumentHelp("The account there.", valueName: "user")) var user: String?
    @Option(
        help: ArgumentHelp("A file whose first line is its password; '-': standard input.", valueName: "file"))
    var passwordFile: String?
    @Argument(help: "A host, @domain for it and all names below it, or #channel.") var target: String

    func validate() throws {
        guard ETRNTarget(target) != nil else {
            throw ValidationError("'\(target)' is no target; valid are a host, @domain, #channel")
        }
        guard let node else {
            if user != nil || passwordFile != nil { throw ValidationError("--user and --password-file need --node") }
            return
        }
        guard MailqClient.Node(node) != nil else {
            throw ValidationError("--node \(node): valid are HOST, HOST/PORT and /PATH")
        }
        guard user != nil, passwordFile != nil else {
            throw ValidationError("--node needs --user and --password-file: there is no account that everybody knows")
        }
        if json { throw ValidationError("--json: another scheduler answers with words") }
    }

    func run() throws {
        guard let target = ETRNTarget(target) else { return }
        guard let node = node.flatMap(MailqClient.Node.init), let user, let passwordFile else {
            return try finish(QueueCommand.etrn(instance.environment, target: target, json: json))
        }
        try finish(QueueCommand.etrn(at: node, target: target, user: user, passwordFile: passwordFile))
    }
}
