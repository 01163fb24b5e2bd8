/// Known ways to make somebody else's server relay, for sessions of a client that nobody trusts. Ours are example.test and the
/// literal [192.0.2.25]; backup.test and all below gateway.test are relay targets; aother.test and mxother.test lead elsewhere.
public struct RelayTrick: Hashable, Sendable, CustomStringConvertible {
    public let recipient: String
    public let sender: String
    public let helo: String
    public let client: String

    public init(
        recipient: String, sender: String = "u@client.test", helo: String = "client.test",
        client: String = "203.0.113.9"
    ) {
        self.recipient = recipient
        self.sender = sender
        self.helo = helo
        self.client = client
    }

    public var description: String { "RCPT TO:<\(recipient)> MAIL FROM:<\(sender)> HELO \(helo) from \(client)" }

    private static let recipients = [
        // Plainly.
        "u@aother.test", "u@mxother.test", "U@AOTHER.TEST", "u@aother.test.", "u@aother.test..",
        "u@example.test.aother.test",
        "u@backup.test.aother.test", "u@notexample.test", "u@xbackup.test", "u@sub.backup.test", "u@notgateway.test",
        "postmaster@aother.test", "abuse@mxother.test",
        // Percent.
        "u%aother.test@example.test", "u%aother.test@backup.test", "u%aother.test@x.gateway.test",
        "u%aother.test@[192.0.2.25]", "u%aother.test@mail.example.test", "u%AOTHER.TEST@BACKUP.TEST",
        "u%aother.test.@backup.test", "u%%aother.test@backup.test", "u+x%aother.test@backup.test",
        "u%aother.test%example.test@backup.test", "u%example.test%aother.test@backup.test",
        "u%aother.test%backup.test@x.gateway.test", "u%backup.test%aother.test%backup.test@x.gateway.test",
        "u%aother%2Etest@backup.test", "u%[198.51.100.41]@backup.test", "\"u%[198.51.100.41]\"@backup.test",
        "\"u%aother.test\"@example.test", "\"u%aother.test\"@backup.test", "\"u\"%aother.test@backup.test",
        "u%\"aother.test\"@backup.test", "postmaster%aother.test@example.test", "postmaster%aother.test@backup.test",
        "u%backup.test@aother.test", "alice%aother.test@example.test",
        // Bang.
        "aother.test!u", "aother.test!u@example.test", "aother.test!u@backup.test", "AOTHER.TEST!u@BACKUP.TEST",
        "backup.test!aother.test!u@backup.test", "example.test!aother.test!u@backup.test",
        "aother.test!backup.test!u@backup.test", "aother.test.!u@backup.test", "\"aother.test!u\"@backup.test",
        "\"aother.test!u\"@example.test", "aother.test!u@[192.0.2.25]", "aother.test!postmaster@backup.test",
        "backup.test!u@aother.test", "[198.51.100.41]!u@backup.test",
        // Both, and both with an @.
        "aother.test!u%backup.test@backup.test", "backup.test!u%aother.test@backup.test",
        "backup.test!u%aother.test@example.test", "u%backup.test!aother.test@backup.test",
        "\"aother.test!u\"%backup.test@backup.test",
        // @ within, escaped, doubled.
        "\"u@aother.test\"@example.test", "\"u@aother.test\"@backup.test", "\"u@aother.test\"@[192.0.2.25]",
        "\"u\\@aother.test\"@backup.test", "u\\@aother.test@backup.test", "u@aother.test@example.test",
        "u@aother.test@backup.test", "u@aother.test%backup.test", "\"postmaster@aother.test\"@backup.test",
        "\"\\\"u@aother.test\\\"@x\"@backup.test", "\"u%aother.test@backup.test\"", "u@aother.test!backup.test",
        // Source routes.
        "@example.test:u@aother.test", "@backup.test:u@aother.test", "@example.test,@backup.test:u@aother.test",
        "@[192.0.2.25]:u@aother.test", "@example.test:u%aother.test@backup.test", "@aother.test:u@mxother.test",
        "@example.test:@backup.test:u@aother.test", "\"@aother.test:u\"@backup.test",
        // Literals.
        "u@[198.51.100.41]", "u@[IPv6:2001:db8:ffff::41]", "u@[IPv6:::ffff:198.51.100.41]", "u@198.51.100.41",
        "u@[198.51.100.41", "u@#3325256745", "u@[203.0.113.9]",
        // Hosts of those who may relay.
        "u@[10.60.0.9]", "postmaster@[10.60.0.9]", "u@[IPv6:::ffff:10.60.0.9]", "u%[10.60.0.9]@backup.test",
        // What is no address, or more than one.
        "u@backup.test,u@aother.test", "u@aother.test (backup.test)", "u(@backup.test)@aother.test", "@aother.test",
        "u@",
        "",
    ]

    public static let all: [RelayTrick] = {
        var tricks = recipients.map { RelayTrick(recipient: $0) }
        let senders = [
            "", "alice@example.test", "postmaster@example.test", "u@backup.test", "u@[127.0.0.1]", "u@[192.0.2.25]",
            "u@localhost", "postmaster", "u%example.test@client.test", "\"alice@example.test\"@client.test",
            "@example.test:u@client.test", "u@customer.test",
        ]
        tricks += senders.map { RelayTrick(recipient: "u@aother.test", sender: $0) }
        let greetings = [
            "example.test", "mail.example.test", "localhost", "[127.0.0.1]", "[192.0.2.25]", "[10.60.0.1]", ".",
        ]
        tricks += greetings.map { RelayTrick(recipient: "u@aother.test", helo: $0) }
        let clients = [
            "::ffff:203.0.113.9", "2001:db8:99::1", "127.0.0.1", "::1", "192.0.2.25", "0.0.0.0", "255.255.255.255",
        ]
        tricks += clients.map { RelayTrick(recipient: "u@aother.test", client: $0) }
        let rounds = String(repeating: "backup.test!", count: 30)
        tricks.append(RelayTrick(recipient: rounds + "aother.test!u@backup.test"))
        let percents = String(repeating: "%backup.test", count: 30)
        tricks.append(RelayTrick(recipient: "u%aother.test" + percents + "@backup.test"))
        return tricks
    }()

    /// What must be accepted all the same, so that the refusals mean something: ours, and relay targets.
    public static let honest = [
        "alice@example.test", "ALICE@Example.TEST", "postmaster@example.test", "postmaster", "u@backup.test",
        "u@x.gateway.test", "alice@[192.0.2.25]",
    ]
}

/// The configurations under which no trick may work: policy.md §6's default pairs but the fourth.
public enum RelayPolicies {
    /// Without a database and without `smtp-policy.src`.
    public static let none: [String: String] = tables
    public static let pairs: [(name: String, files: [String: String])] = [
        ("pair 1", source(". relaycustomer - relaytarget -", "[0.0.0.0]/0 relaycustomer - relaytarget -")),
        (
            "pair 2",
            source(
                ". relaycustomer - relaytarget - senderokwithdns - = _rbl1",
                "[0.0.0.0]/0 relaycustomer - relaytarget - senderokwithdns - = _rbl0")
        ),
        (
            "pair 3",
            source(
                ". relaycustomer - acceptifmx - senderokwithdns - = _rbl1",
                "[0.0.0.0]/0 relaycustomer - acceptifmx - senderokwithdns - = _rbl0")
        ),
    ]

    private static let tables = [
        "localnames": "example.test\n", "smtp-policy.relay": "[10.60.0.0]/24\n",
        "smtp-policy.mx": "backup.test\n.gateway.test\n",
    ]

    private static func source(_ dot: String, _ address: String) -> [String: String] {
        var files = tables
        files["smtp-policy.src"] = """
            \(dot)
            \(address)
            _rbl0 # Nothing
            _rbl1 # Nothing
            _full_rights rejectnet - relaycustnet + relaytarget + = _rbl1
            _localnames rejectnet - relaycustnet - localdomain + relaytarget + = _rbl1
            _relaytarget relaytarget + = _rbl1
            _bulk_mail rejectsource + rejectnet + relaytarget -

            """
        return files
    }
}
