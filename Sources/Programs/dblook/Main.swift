import DatabaseTools

@main enum Main {
    static func main() { DblookProgram.run(CommandLine.arguments) }
}
