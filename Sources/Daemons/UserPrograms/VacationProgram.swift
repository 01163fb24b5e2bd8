import Configuration
import Glibc
import ProgramKit
import Submission

/// `vacation`: tells who writes to a user that he is away, once in a while (vacation(1), RFC 3834). It runs as the user, out of his
/// `.forward`; whatever happens the message itself is none of its business, so that nearly all trouble ends with 0.
public enum VacationProgram {
    private static let summary = """
        usage: vacation [-a alias] [-r days|-t time] [-j] [-s sender] [-m file] [-f file] [-d] [login]
               vacation -i [-r days|-t time] | -l | -x
        Tells the sender of the message on standard input that login is away; -i begins anew.
        """

    /// - Parameter arguments: the program's name first.
    public static func run(_ arguments: [String]) -> Never {
        signal(SIGPIPE, SIG_IGN)
        let options: VacationArguments
        do throws(VacationArguments.Failure) {
            options = try VacationArguments(Array(arguments.dropFirst()))
        } catch {
            Program.fail("vacation: \(error)\n\(summary)", .usage)
        }
        if options.onlyPrintsHelp {
            Program.print(summary)
            exit(0)
        }
        let environment = Program.environment(options.environmentFile ?? Program.variable("ZCONFIG"))
        let answers = !options.initializes && !options.lists && !options.excludes
        let user = account(options.user, environment, answers: answers)
        let absence = Absence(options, environment, user)
        let code: ExitCode =
            if options.initializes {
                absence.initialize()
            } else if options.lists {
                absence.list()
            } else if options.excludes {
                absence.exclude()
            } else {
                absence.answer()
            }
        exit(code.rawValue)
    }

    private static func account(_ name: String?, _ environment: ZEnvironment, answers: Bool) -> UserIdentity {
        guard let name else { return UserIdentity.own(environment) }
        do throws(SystemAccount.Failure) {
            guard let found = try SystemAccount.named(name) else {
                Program.fail("vacation: '\(name)' is no account of this host", .noUser)
            }
            return UserIdentity(environment, found)
        } catch {
            Program.print("vacation: \(error)", to: 2)
            SystemLog.write("\(name): nobody is told: \(error)", isTrouble: true)
            // Of a message that was delivered there must be no report because an answer to it is missing.
            exit(answers ? ExitCode.ok.rawValue : ExitCode.temporaryFailure.rawValue)
        }
    }
}
