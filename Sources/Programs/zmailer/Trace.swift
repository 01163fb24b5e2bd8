import ArgumentParser
import Supervisor

struct Trace: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Follows a message through all programs: who brought it, where it went, what comes next.",
        discussion: """
            ID is a queue id, a session (the word behind session= in the log), ZMailer's spool id, or a Message-ID; without one,
            --from and --to find the newest messages. It reads the logs of LOGDIR, rotated and .gz ones too, and asks the scheduler.
            Exit code 1: nothing is known of it.
            """)

    @OptionGroup var instance: Instance
    @Flag(help: "One JSON object; zmailer(8) has its keys.") var json = false
    @Option(help: ArgumentHelp("The sender; '' or '<>': the null sender.", valueName: "address")) var from: String?
    @Option(help: ArgumentHelp("A recipient, as given or as routed.", valueName: "address")) var to: String?
    @Option(help: ArgumentHelp("With --from and --to: so many, the newest.", valueName: "n")) var last = 10
    @Option(
        help: ArgumentHelp(
            "Read this log too; '-': standard input, for 'journalctl -o cat'. Repeatable.", valueName: "file"))
    var log: [String] = []
    @Flag(help: "Read everything: without it the newest 4 GiB of logs.") var all = false
    @Argument(help: "What to follow.") var id: String?

    func validate() throws {
        guard let id else {
            if from == nil, to == nil { throw ValidationError("an ID, --from or --to is needed") }
            if !(1...500).contains(last) { throw ValidationError("--last \(last): must be from 1 to 500") }
            return
        }
        if from != nil || to != nil { throw ValidationError("an ID and addresses at once: give one of both") }
        guard TraceSubject(id) != nil else {
            throw ValidationError("'\(id)' is nothing that can be followed; valid are \(TraceSubject.valid)")
        }
    }

    func run() throws {
        let subject = id.flatMap { TraceSubject($0) } ?? TraceSubject(from: from, to: to)
        let code = TraceCommand.run(
            instance.environment, subject,
            TraceCommand.Options(logs: log, json: json, readsAll: all, newest: last))
        if code != 0 { throw ArgumentParser.ExitCode(code) }
    }
}
