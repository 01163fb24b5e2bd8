import MailModel

/// `client-final-message` (RFC 5802 §7).
struct SCRAMClientFinal: Hashable, Sendable {
    /// `cbind-input`
    let binding: [UInt8]
    let nonce: [UInt8]
    let proof: [UInt8]
    /// `client-final-message-without-proof` as it came: a part of `AuthMessage`.
    let withoutProof: [UInt8]

    init(_ message: [UInt8]) throws(SASLFailure) {
        let fields = Octets.split(message[...], at: SCRAMMessage.comma)
        var rest = fields[...]
        if rest.first?.first == UInt8(ascii: "m") { throw .malformed(.mandatoryExtension) }
        guard let binding = SCRAMMessage.value(rest.popFirst(), of: UInt8(ascii: "c")).flatMap({ Base64.decode($0) })
        else { throw .malformed(.channelBindingField) }
        self.binding = binding
        guard let nonce = SCRAMMessage.value(rest.popFirst(), of: UInt8(ascii: "r")), SCRAMMessage.isNonce(nonce) else {
            throw .malformed(.nonceField)
        }
        self.nonce = Array(nonce)
        guard let last = rest.popLast(),
            let proof = SCRAMMessage.value(last, of: UInt8(ascii: "p")).flatMap({ Base64.decode($0) }),
            proof.count == CredentialLine.digestLength
        else { throw .malformed(.proofField) }
        self.proof = proof
        withoutProof = Array(message[..<(last.startIndex - 1)])
        try SCRAMMessage.checkExtensions(rest)
    }
}
