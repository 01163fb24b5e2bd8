import MailModel

/// A request or an answer as one line: fields between TABs, the variable ones in base64, LF at the end (docs/protocols.md §6).
/// A value has one line only, and nothing else is taken for one.
public enum CredentialLine {
    /// Octets, LF included.
    public static let maximumLength = 8192
    /// SHA-256 gives as many octets.
    static let digestLength = 32
    private static let tab: UInt8 = 0x09
    private static let end: UInt8 = 0x0a

    /// The fields, without LF; `nil` unless the octets are one line within the limit.
    static func fields(_ octets: some Collection<UInt8>) -> [ArraySlice<UInt8>]? {
        guard octets.count <= maximumLength else { return nil }
        let line = Array(octets)
        guard let last = Octets.index(of: end, in: line[...]), last == line.count - 1 else { return nil }
        return Octets.split(line[..<last], at: tab)
    }

    static func assemble(_ keyword: String, plain: [String] = [], encoded: [[UInt8]] = []) -> [UInt8] {
        var line: [UInt8] = []
        // All at once: what is left behind by growing would hold a part of the password.
        line.reserveCapacity(maximumLength)
        line.append(contentsOf: keyword.utf8)
        for field in plain {
            line.append(tab)
            line.append(contentsOf: field.utf8)
        }
        for field in encoded {
            line.append(tab)
            Base64.append(field, to: &line)
        }
        return line
    }

    static func close(_ line: inout [UInt8], with secret: Secret? = nil) {
        if let secret {
            line.append(tab)
            secret.withOctets { Base64.append($0, to: &line) }
        }
        line.append(end)
    }
}

extension CredentialRequest {
    /// For the checker. With a password in it: wipe it when it is sent.
    public var line: [UInt8] {
        let client = [client?.description ?? ""]
        var line: [UInt8]
        switch question {
        case .password(let user, let secret):
            line = CredentialLine.assemble("password", plain: client, encoded: [user.octets])
            CredentialLine.close(&line, with: secret)
        case .scramParameters(let user):
            line = CredentialLine.assemble("scram-parameters", plain: client, encoded: [user.octets])
            CredentialLine.close(&line)
        case .scramProof(let user, let message, let proof):
            line = CredentialLine.assemble("scram-proof", plain: client, encoded: [user.octets, message, proof])
            CredentialLine.close(&line)
        }
        return line
    }

    /// `nil` unless the octets are such a line, its LF included.
    public init?(line: some Collection<UInt8>) {
        guard let fields = CredentialLine.fields(line), fields.count >= 3,
            let user = Base64.decode(fields[2]).flatMap({ UserName($0) })
        else { return nil }
        client = fields[1].isEmpty ? nil : IPAddress(Octets.text(fields[1]))
        guard fields[1].elementsEqual((client?.description ?? "").utf8) else { return nil }
        switch (Octets.text(fields[0]), fields.count) {
        case ("password", 4):
            guard var octets = Base64.decode(fields[3]), Password.lengths.contains(octets.count), !octets.contains(0)
            else { return nil }
            question = .password(user: user, Secret(octets))
            Secret.wipe(&octets)
        case ("scram-parameters", 3):
            question = .scramParameters(user: user)
        case ("scram-proof", 5):
            guard let message = Base64.decode(fields[3]), let proof = Base64.decode(fields[4]),
                (1...Self.maximumAuthMessageLength).contains(message.count),
                proof.count == CredentialLine.digestLength
            else { return nil }
            question = .scramProof(user: user, authMessage: message, clientProof: proof)
        default:
            return nil
        }
    }
}

extension CredentialAnswer {
    /// From the checker. A reason is cut to ``maximumReasonLength``.
    public var line: [UInt8] {
        var line: [UInt8]
        switch self {
        case .accepted(let name):
            line = CredentialLine.assemble("accepted", encoded: [name?.octets ?? []])
        case .refused:
            line = CredentialLine.assemble("refused")
        case .unavailable(let reason):
            line = CredentialLine.assemble("unavailable", encoded: [Array(Self.shortened(reason).utf8)])
        case .scramParameters(let parameters):
            line = CredentialLine.assemble(
                "scram-parameters", plain: [String(parameters.iterations)], encoded: [parameters.salt])
        case .scramAccepted(let signature):
            line = CredentialLine.assemble("scram-accepted", encoded: [signature])
        }
        CredentialLine.close(&line)
        return line
    }

    /// `nil` unless the octets are such a line, its LF included.
    public init?(line: some Collection<UInt8>) {
        guard let fields = CredentialLine.fields(line) else { return nil }
        switch (Octets.text(fields[0]), fields.count) {
        case ("accepted", 2):
            if fields[1].isEmpty {
                self = .accepted(canonicalName: nil)
            } else {
                guard let name = Base64.decode(fields[1]).flatMap({ UserName($0) }) else { return nil }
                self = .accepted(canonicalName: name)
            }
        case ("refused", 1):
            self = .refused
        case ("unavailable", 2):
            guard let octets = Base64.decode(fields[1]), let reason = String(validating: octets, as: UTF8.self),
                reason == Self.shortened(reason)
            else { return nil }
            self = .unavailable(reason: reason)
        case ("scram-parameters", 3):
            guard let iterations = Octets.decimal(fields[1]), fields[1].elementsEqual("\(iterations)".utf8),
                let parameters = Base64.decode(fields[2]).flatMap({ SCRAMParameters(salt: $0, iterations: iterations) })
            else { return nil }
            self = .scramParameters(parameters)
        case ("scram-accepted", 2):
            guard let signature = Base64.decode(fields[1]), signature.count == CredentialLine.digestLength else {
                return nil
            }
            self = .scramAccepted(serverSignature: signature)
        default:
            return nil
        }
    }

    /// One line of at most ``maximumReasonLength`` octets.
    private static func shortened(_ reason: String) -> String {
        let clean = Octets.cleaned(reason)
        guard clean.utf8.count > maximumReasonLength else { return clean }
        var cut = clean.utf8.index(clean.utf8.startIndex, offsetBy: maximumReasonLength)
        while String.Index(cut, within: clean.unicodeScalars) == nil { cut = clean.utf8.index(before: cut) }
        return String(clean[..<cut])
    }
}
