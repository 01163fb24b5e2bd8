import ExpirerAgent

@main enum Main {
    static func main() { ExpirerProgram.main(CommandLine.arguments) }
}
