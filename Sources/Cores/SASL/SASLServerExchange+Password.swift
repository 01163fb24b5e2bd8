import MailModel

extension SASLServerExchange {
    /// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` (RFC 4616 §2).
    ///
    /// *Deviates:* a password need not be UTF-8, and is taken as it is: it is compared with hashes that other programs made.
    static func plain(_ message: [UInt8]) throws(SASLFailure) -> (UserName, Secret) {
        let fields = Octets.split(message[...], at: 0)
        guard fields.count == 3 else { throw .malformed(.plainFields) }
        guard let user = UserName(fields[1]) else { throw .userNameRefused }
        guard fields[0].isEmpty || fields[0].elementsEqual(fields[1]) else { throw .authorizationIdentityRefused }
        guard Password.lengths.contains(fields[2].count) else { throw .malformed(.password) }
        return (user, Secret(fields[2]))
    }

    static func loginPassword(_ message: [UInt8]) throws(SASLFailure) -> Secret {
        // Somebody who enters nothing makes no mistake of grammar.
        guard !message.isEmpty else { throw .invalidCredentials }
        guard Password.lengths.contains(message.count), !message.contains(0) else { throw .malformed(.password) }
        return Secret(message)
    }
}
