import MailModel

/// HELP (RFC 5321 §4.1.1.8).
extension ServerSession {
    func help(_ topic: String) -> Reply {
        let word = Array(topic.utf8.prefix { $0 != .space })
        return Reply(214, EnhancedStatusCode(2, 0, 0), Verb(word[...]).flatMap(usage) ?? general)
    }

    private var general: [String] {
        let values = configuration.values
        let verbs = "EHLO, HELO, MAIL, RCPT, DATA, BDAT, RSET, NOOP,"
        return ["ZMailer SMTP server \(values.version)"] + values.help + [
            "The following commands are recognized:",
            "    \(values.isLMTP ? "LHLO" + verbs.dropFirst(10) : verbs)",
            "    VRFY, EXPN, HELP, QUIT",
            "The normal sequence is: \(values.isLMTP ? "LHLO" : "EHLO") MAIL RCPT+ DATA (or BDAT+) QUIT.",
            "8-bit characters may occur in a message, and in addresses with SMTPUTF8.",
            "For local information contact: postmaster@\(values.hostName)",
            values.contactPointer.hasPrefix("Ask HELP") ? "End of HELP" : values.contactPointer,
        ]
    }

    private func usage(_ verb: Verb) -> [String]? {
        switch verb {
        case .ehlo: ["EHLO your.domain.name", "Introduces you, and asks for extensions (RFC 5321)."]
        case .helo: ["HELO your.domain.name", "Introduces you."]
        case .lhlo: ["LHLO your.domain.name", "Introduces you (LMTP, RFC 2033)."]
        case .mail:
            [
                "MAIL FROM:<sender> [SIZE=n] [BODY=7BIT|8BITMIME] [RET=FULL|HDRS] [ENVID=xtext] [SMTPUTF8]",
                "[AUTH=xtext] [BY=seconds;R|N[T]] [HOLDFOR=seconds] [HOLDUNTIL=time] [MT-PRIORITY=n] [REQUIRETLS]",
                "Begins a transaction.",
            ]
        case .rcpt:
            ["RCPT TO:<recipient> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;xtext]", "Adds a recipient."]
        case .data: ["DATA", "The message follows; it ends with a dot on a line of its own."]
        case .bdat: ["BDAT octets [LAST]", "That many octets of the message follow (RFC 3030)."]
        case .rset: ["RSET", "Ends the transaction; now \(situation)."]
        case .noop: ["NOOP", "Does nothing."]
        case .help: ["HELP [verb]", "Tells how things are used."]
        case .vrfy:
            ["VRFY address", configuration.values.enablesVRFY && style.contains(.verifies) ? "Verifies." : "Disabled."]
        case .expn:
            ["EXPN list", configuration.values.enablesEXPN && style.contains(.expands) ? "Expands." : "Disabled."]
        case .quit: ["QUIT", "Ends the session."]
        case .turn, .send, .soml, .saml: ["\(verb.rawValue) will never be implemented."]
        case .onex: ["ONEX", "Does nothing."]
        case .starttls where configuration.values.extensions.contains(.starttls):
            ["STARTTLS", "Begins TLS (RFC 3207)."]
        case .auth where !configuration.values.mechanisms.isEmpty:
            ["AUTH mechanism [response]", "Tells who you are (RFC 4954)."]
        case .etrn where configuration.values.extensions.contains(.etrn),
            .turnme where configuration.values.extensions.contains(.etrn):
            ["ETRN domain", "Has mail for the domain sent now (RFC 1985)."]
        case .verb: ["VERB", "Tells the server's version."]
        case .tick: ["TICK text", "Is repeated; the session is a batch."]
        case .starttls, .auth, .etrn, .turnme: ["\(verb.rawValue) is not enabled here."]
        case .xclient, .debug, .crash: nil
        }
    }

    private var situation: String {
        switch state {
        case .greeting, .refused, .awaitingHello, .askingHello: "waiting for a greeting"
        case .idle, .senderRefused, .chunksFailed, .asking, .startingTLS, .authenticating, .closed, .modifying:
            "waiting for MAIL"
        case .askingSender, .transaction, .opening: "in a transaction"
        case .data, .chunk, .betweenChunks, .discarding, .committing: "in a message"
        }
    }
}
