import MailModel

extension SASLServerExchange {
    /// `server-first-message = nonce "," salt "," iteration-count` (RFC 5802 §7).
    func serverFirst(_ first: SCRAMClientFirst, _ parameters: SCRAMParameters) -> [UInt8] {
        var message = Array("r=".utf8) + first.nonce + Array(nonce.text.utf8)
        message += Array(",s=\(Base64.encode(parameters.salt)),i=\(parameters.iterations)".utf8)
        return message
    }

    /// The question that the client's last message leads to, if it belongs to this exchange on this connection.
    func proof(
        _ message: [UInt8], _ first: SCRAMClientFirst, _ binding: [UInt8], _ serverFirst: [UInt8]
    ) throws(SASLFailure) -> CredentialQuestion {
        let final = try SCRAMClientFinal(message)
        guard final.nonce == first.nonce + Array(nonce.text.utf8) else { throw .nonceMismatch }
        guard final.binding == binding else { throw .channelBinding(.mismatch) }
        let authMessage = [first.bare, serverFirst, final.withoutProof].joined(separator: [SCRAMMessage.comma])
        return .scramProof(user: first.user, authMessage: Array(authMessage), clientProof: final.proof)
    }

    /// `verifier = "v=" base64` (RFC 5802 §7).
    static func serverFinal(_ signature: [UInt8]) -> [UInt8] { Array("v=\(Base64.encode(signature))".utf8) }
}
