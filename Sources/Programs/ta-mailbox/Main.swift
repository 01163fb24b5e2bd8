import MailboxAgent

@main enum Main {
    static func main() { MailboxProgram.main(CommandLine.arguments) }
}
