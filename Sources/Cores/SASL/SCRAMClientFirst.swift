import MailModel

/// `client-first-message` (RFC 5802 §7): `gs2-header client-first-message-bare`.
struct SCRAMClientFirst: Hashable, Sendable {
    /// The first field: what the client says about channel binding.
    enum Binding: Hashable, Sendable {
        /// `n`: it can none.
        case none
        /// `y`: it could, and believes that we cannot.
        case notOffered
        /// `p=`
        case required(name: String)
    }

    let binding: Binding
    /// `gs2-header` as it came: it returns in the client's last message.
    let header: [UInt8]
    /// `client-first-message-bare` as it came: a part of `AuthMessage`.
    let bare: [UInt8]
    let user: UserName
    let nonce: [UInt8]

    init(_ message: [UInt8]) throws(SASLFailure) {
        let fields = Octets.split(message[...], at: SCRAMMessage.comma)
        guard fields.count >= 2, let binding = Self.binding(fields[0]) else { throw .malformed(.gs2Header) }
        self.binding = binding
        var identity: UserName?
        if !fields[1].isEmpty {
            guard let value = SCRAMMessage.value(fields[1], of: UInt8(ascii: "a")) else { throw .malformed(.gs2Header) }
            identity = try SCRAMMessage.name(value)
        }
        // Both fields and the commas behind them.
        let length = min(fields[0].count + fields[1].count + 2, message.count)
        header = Array(message[..<length])
        bare = Array(message[length...])
        var rest = fields.dropFirst(2)
        if rest.first?.first == UInt8(ascii: "m") { throw .malformed(.mandatoryExtension) }
        guard let name = SCRAMMessage.value(rest.popFirst(), of: UInt8(ascii: "n")) else {
            throw .malformed(.userNameField)
        }
        user = try SCRAMMessage.name(name)
        guard let nonce = SCRAMMessage.value(rest.popFirst(), of: UInt8(ascii: "r")), SCRAMMessage.isNonce(nonce) else {
            throw .malformed(.nonceField)
        }
        self.nonce = Array(nonce)
        try SCRAMMessage.checkExtensions(rest)
        if let identity, identity != user { throw .authorizationIdentityRefused }
    }

    /// `gs2-cbind-flag`
    private static func binding(_ field: ArraySlice<UInt8>) -> Binding? {
        if Octets.equal(field, "n") { return Binding.none }
        if Octets.equal(field, "y") { return .notOffered }
        guard let name = SCRAMMessage.value(field, of: UInt8(ascii: "p")), name.count <= 64,
            name.allSatisfy({
                (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
                    || $0 == 0x2e
            })
        else { return nil }
        return .required(name: Octets.text(name))
    }

    /// What `c=` of the client's last message has to be (`cbind-input`), or why this client does not get so far (RFC 5802 §6).
    func expectedBinding(
        _ mechanism: SASLMechanism, _ bindings: ChannelBindings
    ) throws(SASLFailure) -> [UInt8] {
        switch (binding, mechanism.needsChannelBinding) {
        case (.none, false): return header
        case (.notOffered, false):
            guard !bindings.isOffered else { throw .channelBinding(.downgrade) }
            return header
        case (.required, false): throw .channelBinding(.unexpected)
        case (.none, true), (.notOffered, true): throw .channelBinding(.missing)
        case (.required(let name), true):
            guard let data = bindings[name] else { throw .channelBinding(.unsupported(name: name)) }
            return header + data
        }
    }
}
