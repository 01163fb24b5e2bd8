import ArgumentParser
import Supervisor

struct Metrics: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the metrics of all running programs as Prometheus reads them; exit code 69 if there are none."
    )
    @OptionGroup var instance: Instance
    func run() throws { try finish(MetricsCommand.run(instance.environment)) }
}
