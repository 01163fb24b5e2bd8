import MailModel
import SASL
import Tables

/// Answers the questions of SASL exchanges. It blocks: for as long as PAM or a program wants, a program until its deadline.
///
/// The table decides about its users; about others the program, where one is configured, else PAM.
public struct CredentialChecker: Sendable {
    public let settings: CredentialSettings

    public init(settings: CredentialSettings) { self.settings = settings }

    public func verdict(on request: CredentialRequest) -> CredentialVerdict { verdict(on: request, unless: nil) }

    /// When it is cancelled, a program is ended at once, with what it has started.
    func verdict(on request: CredentialRequest, unless cancellation: Cancellation?) -> CredentialVerdict {
        switch request.question {
        case .password(let user, let secret):
            return password(user, secret, request.client, cancellation)
        case .scramParameters(let user):
            guard let path = settings.table, let key = settings.saltKey else { return Self.noTable }
            return TableVerifier(table: CredentialTable(path: path)).parameters(user, saltKey: key)
        case .scramProof(let user, let message, let proof):
            guard let path = settings.table, settings.saltKey != nil else { return Self.noTable }
            return TableVerifier(table: CredentialTable(path: path)).check(user, proof: proof, of: message)
        }
    }

    private static let noTable = CredentialVerdict.unavailable(
        .none, "SCRAM needs a table of credentials and a file for the key of its salts")

    private func password(
        _ user: UserName, _ secret: Secret, _ client: IPAddress?, _ cancellation: Cancellation?
    ) -> CredentialVerdict {
        var profile: CredentialProfile?
        if let path = settings.table {
            do throws(TableVerifier.Unknown) {
                return try TableVerifier(table: CredentialTable(path: path)).check(user, secret)
            } catch {
                profile = error.profile
            }
        }
        if let program = settings.pipeProgram {
            return PipeVerifier(program: program, settings: settings).check(user, secret, cancellation)
        }
        if let service = settings.pamService {
            return PAMVerifier(service: service, directory: settings.pamDirectory).check(user, secret, client: client)
        }
        guard let profile else { return .unavailable(.none, "there is nobody to ask: no table, no program, no PAM") }
        TableVerifier.pretend(user, secret, profile)
        return .refused(.table, "unknown user")
    }
}
