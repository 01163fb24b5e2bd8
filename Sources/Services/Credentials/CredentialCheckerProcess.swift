import CPosix
import Glibc
import MailModel
import ProgramKit
import SASL
import Telemetry

/// The process behind one connection of `$POSTOFFICE/.auth`: it reads one question, answers once, and ends (docs/protocols.md §7).
/// What PAM modules leak or break goes with it.
public enum CredentialCheckerProcess {
    /// For the question, which its asker has ready.
    static let questionMilliseconds: Int64 = 5000
    /// For the verification, beyond the deadline that a program has.
    static let graceMilliseconds: Int64 = 5000

    /// - Parameter descriptor: the connection.
    public static func run(descriptor: Int32, settings: CredentialSettings, log: EventLog) -> Never {
        // No core file, and nobody of the same user looks into our memory.
        _ = cposix_no_dump()
        signal(SIGPIPE, SIG_IGN)
        let code = serve(descriptor, settings, log)
        // Not exit(3): a module that hangs in its thread must not be waited for.
        _exit(code.rawValue)
    }

    static func serve(_ descriptor: Int32, _ settings: CredentialSettings, _ log: EventLog) -> ExitCode {
        let connection = CheckerConnection(descriptor: descriptor)
        let request: CredentialRequest
        do throws(CheckerConnection.Trouble) {
            request = try connection.question(milliseconds: questionMilliseconds)
        } catch {
            log.warning("auth-question", ["reason": error.rawValue])
            if error == .malformed { connection.answer(.unavailable(reason: error.rawValue)) }
            return error == .malformed ? .protocol : .noInput
        }
        let checker = CredentialChecker(settings: settings)
        let cancellation = Cancellation()
        let work = BackgroundWork { checker.verdict(on: request, unless: cancellation) }
        let limit = Int64(settings.deadline) * 1000 + graceMilliseconds
        switch work.wait(milliseconds: limit, unlessHangUpOf: descriptor) {
        case .done(let verdict):
            record(verdict, request, log)
            return connection.answer(verdict.answer) ? .ok : .ioError
        case .hangUp:
            // The client has gone, and the worker with it: nobody would hear the answer.
            record(.unavailable(.none, "nobody waits for the answer any more"), request, log)
            // A program goes first; PAM goes with the process.
            cancellation.cancel()
            _ = work.wait(milliseconds: 1000)
            return .ioError
        case .late:
            let verdict = CredentialVerdict.unavailable(.none, "no answer within \(limit / 1000) s")
            record(verdict, request, log)
            connection.answer(verdict.answer)
            return .temporaryFailure
        }
    }

    private static func record(_ verdict: CredentialVerdict, _ request: CredentialRequest, _ log: EventLog) {
        let fields: KeyValuePairs<StaticString, String> = [
            "user": request.question.user.text, "client": request.client?.description ?? "-",
            "by": verdict.source.rawValue, "result": verdict.result, "detail": verdict.detail,
        ]
        switch verdict.answer {
        case .unavailable: log.warning("auth-check", fields)
        case .scramParameters: log.debug("auth-check", fields)
        case .accepted, .refused, .scramAccepted: log.info("auth-check", fields)
        }
    }
}
