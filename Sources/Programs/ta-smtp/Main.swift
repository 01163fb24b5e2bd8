import SMTPAgent

@main
enum Main {
    static func main() { SMTPAgentProgram.main(CommandLine.arguments) }
}
