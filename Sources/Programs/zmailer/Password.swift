import ArgumentParser
import Credentials
import SASL

struct Password: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints a line for the table of credentials of smtpserver.",
        discussion: """
            The password is asked for twice and not shown; where standard input is no terminal, it is its first line.
            Without --scram the line holds a hash of crypt(3), for PLAIN and LOGIN; with it keys for SCRAM-SHA-256, which serve
            PLAIN and LOGIN, too.
            """)

    @Flag(help: "Keys for SCRAM-SHA-256.") var scram = false
    @Option(help: ArgumentHelp("How often a client has to hash the password for SCRAM.", valueName: "n"))
    var iterations: Int?
    @Argument(help: "Whose line it is; without a name the hash or the keys alone.") var user: String?

    func validate() throws {
        guard let iterations else { return }
        guard scram else { throw ValidationError("--iterations is for --scram") }
        let valid = SCRAMParameters.iterationCounts
        guard valid.contains(iterations) else {
            throw ValidationError(
                "--iterations \(iterations): must be from \(valid.lowerBound) to \(valid.upperBound)")
        }
    }

    func run() throws {
        let kind: PasswordLine.Kind =
            scram ? .scram(iterations: iterations ?? PasswordLine.defaultIterations) : .crypt
        try finish(PasswordCommand.run(user: user, kind))
    }
}
