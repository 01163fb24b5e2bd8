import SASL
import Tables

extension TableVerifier {
    /// What a client needs to begin. Nobody can tell from it whether the user exists.
    func parameters(_ user: UserName, saltKey path: String) -> CredentialVerdict {
        do throws(TableTrouble) {
            let finding = try table.find(user)
            // Read for users who need none, too: its trouble must not show who exists.
            let key: SaltKey
            do throws(SaltKey.Trouble) { key = try SaltKey(path: path) } catch {
                return .unavailable(.table, error.description)
            }
            if let verifier = Self.verifier(finding) {
                return CredentialVerdict(.scramParameters(verifier.parameters), .table)
            }
            let sample = finding.profile.sample(seed: key.seed(user)) { if case .scram = $0 { true } else { false } }
            guard case .scram(let model) = sample,
                let parameters = SCRAMParameters(
                    salt: key.salt(user, length: model.parameters.salt.count), iterations: model.parameters.iterations)
            else { return .unavailable(.table, "\(table.path) has no \(SCRAMVerifier.scheme) line") }
            let detail = finding.isKnown ? "no \(SCRAMVerifier.scheme) line, pretended" : "unknown user, pretended"
            return CredentialVerdict(.scramParameters(parameters), .table, detail)
        } catch {
            return .unavailable(.table, error.description)
        }
    }

    func check(_ user: UserName, proof: [UInt8], of authMessage: [UInt8]) -> CredentialVerdict {
        do throws(TableTrouble) {
            let finding = try table.find(user)
            guard let verifier = Self.verifier(finding) ?? Self.nobody else {
                return .unavailable(.table, "internal error: no keys")
            }
            guard let isAccepted = SCRAMKeys.accepts(proof, authMessage, verifier),
                let signature = SCRAMKeys.signature(authMessage, verifier)
            else { return .unavailable(.table, "OpenSSL cannot make signatures") }
            guard Self.verifier(finding) != nil else {
                return .refused(.table, finding.isKnown ? "no \(SCRAMVerifier.scheme) line" : "unknown user")
            }
            guard isAccepted else { return .refused(.table, "wrong password") }
            return CredentialVerdict(.scramAccepted(serverSignature: signature), .table)
        } catch {
            return .unavailable(.table, error.description)
        }
    }

    private static func verifier(_ finding: CredentialTable.Finding) -> SCRAMVerifier? {
        for case .scram(let verifier) in finding.credentials { return verifier }
        return nil
    }

    /// Keys for the same computations where there are none. Their proof is never asked for: a user without keys is refused.
    private static var nobody: SCRAMVerifier? {
        let zeros = [UInt8](repeating: 0, count: 32)
        return SCRAMParameters(salt: [0], iterations: SCRAMParameters.iterationCounts.lowerBound)
            .flatMap { SCRAMVerifier($0, storedKey: zeros, serverKey: zeros) }
    }
}
