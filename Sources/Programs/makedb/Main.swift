import DatabaseTools

@main enum Main {
    static func main() { MakedbProgram.run(CommandLine.arguments) }
}
