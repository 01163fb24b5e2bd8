import ErrorMailAgent

@main enum Main {
    static func main() { ErrorMailProgram.main(CommandLine.arguments) }
}
