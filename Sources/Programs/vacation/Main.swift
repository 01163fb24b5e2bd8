import UserPrograms

@main enum Main {
    static func main() { VacationProgram.run(CommandLine.arguments) }
}
