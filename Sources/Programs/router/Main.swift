import Router

@main enum Main {
    static func main() { RouterProgram.run(CommandLine.arguments) }
}
