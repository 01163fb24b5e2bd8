import AgentProtocol
import ProgramKit

extension DeliveryResult {
    /// What the exit code of a delivery program means for a recipient, and what it adds to the text (transport-agents.md §1).
    public static func exitCode(_ code: Int32) -> (result: DeliveryResult, remark: String) {
        guard let status = ExitCode(rawValue: code) else { return (.failed, "Unknown sysexits error code \(code)!") }
        switch status {
        case .ok: return (.ok, "")
        case .temporaryFailure, .ioError, .osError, .cannotCreate, .software: return (.deferred, "")
        case .noUser, .noHost, .unavailable: return (.failed, "")
        case .noPermission, .protocol, .usage: return (.failed, "(this is abnormal, investigate!)")
        case .dataError, .noInput, .osFile, .configuration: return (.failed, "Unknown sysexits error code \(code)!")
        }
    }
}
