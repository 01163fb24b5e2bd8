import SMTPServer

@main
enum Main {
    static func main() { SMTPServerProgram.run(CommandLine.arguments) }
}
