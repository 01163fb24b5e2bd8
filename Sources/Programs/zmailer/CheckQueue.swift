import ArgumentParser
import Supervisor

struct CheckQueue: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue",
        abstract: "Looks for mail that has no owner, no next event or no end, and puts it in order.",
        discussion: """
            Safe beside running daemons, which are asked what they have; it takes a few seconds. What cannot be put in order is moved \
            to postman/ or named. The scheduler does the same hourly (QUEUECHECK in zmailer.conf). Exit code 0: nothing is left to be \
            done; 65: something is, or would be done; 75: a daemon runs and does not answer.
            """)
    @OptionGroup var instance: Instance
    @Flag(help: "Only say what would be done.") var dryRun = false
    @Flag(help: "One JSON object a line.") var json = false
    func run() throws { try finish(QueueCheckCommand.run(instance.environment, repairs: !dryRun, json: json)) }
}
