import AgentKit
import AgentProtocol
import ChildProcesses
import Configuration
import ProgramKit
import SpoolFormat

/// What the end of a program means for the recipients of its run (transport-agents.md §4).
enum StreamResult {
    static func of(_ outcome: ProgramRun.Outcome, _ mailer: StreamMailer) -> RecipientResult {
        switch outcome.end {
        case .timeOut: temporary("4.3.0", "\(mailer.name) took too long and was ended")
        case .exit(.signal(let number)): temporary("4.3.0", "\(mailer.name) was killed by signal \(number)")
        case .exit(.code(0)): success(outcome.firstLine, mailer)
        case .exit(.code(let code)): failure(code, outcome.firstLine, mailer)
        }
    }

    /// Given to another mail system it is relayed: whether it arrives, that one knows.
    static func success(_ line: String, _ mailer: StreamMailer) -> RecipientResult {
        let isRelay = mailer.flags.isRelay
        let status = isRelay || mailer.program == StreamMailer.nowhere ? "2.0.0" : "2.2.0"
        var result = RecipientResult(
            .ok, isRelay ? .relayed : .delivered, status: status,
            text: line.isEmpty ? "\(isRelay ? "given" : "delivered") to \(mailer.name)" : line,
            diagnostic: "x-local; 250 \(status) (\(isRelay ? "Given to" : "Delivered by") \(mailer.name))")
        // RFC 3461 §5.2.1: what the sender wants to be told went along.
        result.isReportedElsewhere = mailer.flags.contains(.notaryBatch)
        return result
    }

    private static func failure(_ code: Int32, _ line: String, _ mailer: StreamMailer) -> RecipientResult {
        var text = line.isEmpty ? "\(mailer.name) ended with exit code \(code)" : line
        guard let status = permanentStatus(code) else { return temporary("4.3.0", text) }
        let remark = DeliveryResult.exitCode(code).remark
        if !remark.isEmpty { text += " \(remark)" }
        return refused(status, text)
    }

    /// Every other code is tried again.
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

    static func refused(_ status: String, _ text: String) -> RecipientResult {
        .failed(status: status, text: text, diagnostic: "x-local; 500 \(status) \(text)")
    }

    static func temporary(_ status: String, _ text: String) -> RecipientResult {
        .deferred(status: status, text: text, diagnostic: "x-local; 400 \(status) \(text)")
    }
}
