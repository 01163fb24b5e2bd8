import HoldAgent

@main enum Main {
    static func main() { HoldProgram.main(CommandLine.arguments) }
}
