import UserPrograms

@main enum Main {
    static func main() { SendmailProgram.run(CommandLine.arguments) }
}
