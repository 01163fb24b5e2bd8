import MilterAgent

@main enum Main {
    static func main() { FilterMilterProgram.run(CommandLine.arguments) }
}
