import StreamAgent

@main enum Main {
    static func main() { StreamProgram.main(CommandLine.arguments) }
}
