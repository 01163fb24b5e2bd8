import AgentKit
import AgentProtocol
import ChildProcesses
import Glibc
import ProgramKit
import SpoolFormat

/// Gives a message to a program on its standard input and waits for its end, with a limit on time and memory.
struct CommandDelivery {
    let command: CommandText
    let environment: [String]
    /// `nil`: the agent's own.
    let identity: ChildRequest.Identity?
    let directory: String
    let limits: Limits

    struct Limits: Hashable, Sendable {
        /// From the start to the end of the program; then it is told to end, and killed five seconds later.
        var time = Duration.seconds(600)
        /// Octets of address space.
        var memory: UInt64 = 2 << 30
        /// Seconds of processor time.
        var processor: UInt64 = 300
        /// Octets of a file that it writes.
        var file: UInt64 = 1 << 30
        /// Between SIGTERM and SIGKILL.
        var grace = Duration.seconds(5)
    }

    func run(_ copy: LocalCopy) throws(DeliveryProblem) -> RecipientResult {
        var request = ChildRequest(path: command.path, arguments: command.arguments, environment: environment)
        request.identity = identity
        request.directory = directory
        request.processorLimit = limits.processor
        request.fileLimit = limits.file
        var bounds = ProgramRun.Limits()
        bounds.time = limits.time
        bounds.memory = limits.memory
        bounds.grace = limits.grace
        var problem: DeliveryProblem?
        do throws(ProgramRun.Failure) {
            let outcome = try ProgramRun(request, limits: bounds).run { () throws(FileError) in
                do throws(DeliveryProblem) { return try copy.piece().map(Array.init) } catch {
                    problem = error
                    throw FileError(call: "read", path: "a message", code: EIO)
                }
            }
            return Self.result(outcome)
        } catch {
            throw problem ?? .temporary("4.3.0", error.description)
        }
    }

    private static func result(_ outcome: ProgramRun.Outcome) -> RecipientResult {
        let output = outcome.firstLine
        switch outcome.end {
        case .timeOut: return DeliveryProblem.temporary("4.3.0", "the program took too long and was ended").result
        case .exit(.code(0)):
            return RecipientResult(
                .ok, .delivered, status: "2.2.0", text: output.isEmpty ? "delivered to a program" : output,
                diagnostic: "x-local; 250 2.2.0 (Delivered successfully)")
        case .exit(.signal(let number)):
            return DeliveryProblem.temporary("4.3.0", "the program was killed by signal \(number)").result
        case .exit(.code(let code)):
            let text = output.isEmpty ? "the program ended with exit code \(code)" : output
            guard let status = permanentStatus(code) else {
                return DeliveryProblem.temporary("4.3.0", text).result
            }
            return DeliveryProblem.refused(status, text).result
        }
    }

    /// Of transport-agents.md §3; every other code is tried again.
    private static func permanentStatus(_ code: Int32) -> String? {
        switch ExitCode(rawValue: code) {
        case .noUser: "5.1.1"
        case .noHost: "5.1.2"
        case .dataError: "5.6.0"
        case .noPermission: "5.7.1"
        case .unavailable: "5.3.0"
        case .ok, .usage, .noInput, .software, .osError, .osFile, .cannotCreate, .ioError, .temporaryFailure, .protocol,
            .configuration, nil:
            nil
        }
    }
}
