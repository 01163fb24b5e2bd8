import Scheduler

@main enum Main {
    static func main() { SchedulerProgram.main(CommandLine.arguments) }
}
