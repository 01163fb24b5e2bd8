import ArgumentParser
import Supervisor

struct CheckScheduler: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scheduler",
        abstract: "Says which clauses of scheduler.conf hold for a channel and host, and which has set each value.",
        discussion: "Exit code 69: no clause has a command for one of them, its mail would wait.")
    @OptionGroup var instance: Instance
    @Option(
        name: .customShort("f"),
        help: ArgumentHelp("Another file than $MAILSHARE/scheduler.conf.", valueName: "file"))
    var file: String?
    @Argument(help: ArgumentHelp("For example smtp/mx.example.org.", valueName: "channel/host"))
    var destinations: [String]

    func run() throws { try finish(SchedulerCheck.run(instance.environment, destinations, file: file)) }
}
