import ProgramKit
import SASL

/// `zmailer password [--scram] [--iterations N] [user]`: a line for a table of credentials.
public enum PasswordCommand {
    /// Asks for the password and prints the line. What is wrong with the name is said before anything is asked.
    public static func run(user: String?, _ kind: PasswordLine.Kind) -> ExitCode {
        if let user {
            do throws(PasswordLine.Mistake) { try PasswordLine.check(user) } catch {
                return fail(error.description, .usage)
            }
        }
        let secret: Secret
        do throws(PasswordInput.Trouble) {
            secret = try PasswordInput(descriptor: 0, prompts: 2).password()
        } catch {
            return fail(error.description, error == .interrupted ? .noInput : .dataError)
        }
        do throws(PasswordLine.Mistake) {
            Program.print(try PasswordLine.make(secret, kind, user: user))
            return .ok
        } catch {
            return fail(error.description, .dataError)
        }
    }

    private static func fail(_ reason: String, _ code: ExitCode) -> ExitCode {
        Program.print("zmailer: \(reason)", to: 2)
        return code
    }
}
