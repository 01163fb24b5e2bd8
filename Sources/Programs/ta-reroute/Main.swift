import RerouteAgent

@main enum Main {
    static func main() { RerouteProgram.main(CommandLine.arguments) }
}
