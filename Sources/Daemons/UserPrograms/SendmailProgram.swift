import ChildProcesses
import Configuration
import Glibc
import LocalSubmission
import MailModel
import ProgramKit
import SMTPProtocol
import Submission

/// `sendmail`, and `newaliases` under that name: a message of this host's user goes to smtpserver, over a socket that tells whose it
/// is (sendmail(1)). Nothing here has rights of its own.
public enum SendmailProgram {
    private static let summary = """
        usage: sendmail [-t] [-i] [-f address] [-F name] [-N dsn] [-R full|hdrs] [-V id] [-B type] [-v] [recipient ...]
               sendmail -bs | -bp | -bi | -bv address ... | -q
               newaliases
        A message on standard input goes to the recipients, and with -t to those of its To, Cc and Bcc.
        """

    /// - Parameter arguments: the program's name first.
    public static func run(_ arguments: [String]) -> Never {
        signal(SIGPIPE, SIG_IGN)
        let name = arguments.first?.split(separator: "/").last.map(String.init) ?? "sendmail"
        var options: SendmailArguments
        do throws(SendmailArguments.Failure) {
            options = try SendmailArguments(Array(arguments.dropFirst()))
        } catch {
            Program.fail("\(name): \(error)\n\(summary)", .usage)
        }
        if options.onlyPrintsHelp {
            Program.print(summary)
            exit(0)
        }
        if name == "newaliases" { options.mode = .rebuildAliases }
        let environment = Program.environment(options.environmentFile ?? Program.variable("ZCONFIG"))
        let user = UserIdentity.own(environment)
        switch options.mode {
        case .submit: exit(SendmailSubmission(name, options, environment, user).run().rawValue)
        case .dialogue: exit(dialogue(name, environment, user).rawValue)
        case .verify: exit(verify(name, options, environment, user).rawValue)
        case .rebuildAliases: exit(AliasCheck.run(name, environment).rawValue)
        case .listQueue: become("mailq", ["-Z", environment["ZCONFIG"] ?? ""], name)
        case .runQueue: become("zmailer", ["queue", "retry", "--all", "-Z", environment["ZCONFIG"] ?? ""], name)
        }
    }

    /// The rest is another program's, which is installed beside this one.
    private static func become(_ program: String, _ arguments: [String], _ name: String) -> Never {
        let own = Program.executablePath()
        let folder = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "."
        var last: Int32 = ENOENT
        for path in ["\(folder)/\(program)", "\(folder)/../bin/\(program)"] {
            var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
            execv(path, &words)
            last = errno
            for word in words { free(word) }
            if last != ENOENT { break }
        }
        Program.fail("\(name): \(folder)/\(program): \(String(cString: strerror(last)))", .osFile)
    }

    private static func dialogue(_ name: String, _ environment: ZEnvironment, _ user: UserIdentity) -> ExitCode {
        let client = SubmissionClient(path: environment.submissionSocket, helloName: user.host)
        do throws(SubmissionFailure) {
            try client.relay(input: 0, output: 1)
            return .ok
        } catch {
            // Who speaks SMTP with us is told in its words, as the greeting; later there are the server's own.
            if case .unreachable = error { Program.print("421 4.3.0 \(user.host) no mail can be taken now\r") }
            return tell(name, error)
        }
    }

    private static func verify(
        _ name: String, _ options: SendmailArguments, _ environment: ZEnvironment, _ user: UserIdentity
    ) -> ExitCode {
        guard !options.recipients.isEmpty else { Program.fail("\(name): -bv: an address is missing", .usage) }
        var client = SubmissionClient(path: environment.submissionSocket, helloName: user.host)
        if options.isVerbose { client.witness = Witness.print }
        do throws(SubmissionFailure) {
            var code = ExitCode.ok
            for (address, reply) in zip(options.recipients, try client.verify(options.recipients)) {
                Program.print("\(address): \(TextLine.printable(reply.summary))")
                if !reply.isPositive { code = reply.isPermanent ? .noUser : .temporaryFailure }
            }
            return code
        } catch {
            return tell(name, error)
        }
    }

    static func tell(_ name: String, _ failure: SubmissionFailure) -> ExitCode {
        Program.print("\(name): \(TextLine.printable(failure.description))", to: 2)
        return failure.isTemporary ? .temporaryFailure : .unavailable
    }
}

/// Shows a dialogue on standard output (`-v`).
enum Witness {
    static func print(_ isOurs: Bool, _ octets: [UInt8]) {
        for line in Octets.split(octets[...], at: 0x0a) where !line.isEmpty {
            Program.print("\(isOurs ? ">>>" : "<<<") \(TextLine.printable(Octets.text(line)))")
        }
    }
}

/// What others have written, on its way to a terminal.
enum TextLine {
    /// Control characters become blanks.
    static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) ? " " : scalar
                }))
    }
}
