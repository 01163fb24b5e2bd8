import MailModel
import Testing

@testable import SASL

@Suite("PLAIN and LOGIN") struct PasswordExchangeTests {
    @Test("PLAIN asks for the user and the password that the message has, with or without an initial response")
    func plain() {
        for messages in [["\0alice\0sesame"], [nil, "\0alice\0sesame"], ["alice\0alice\0sesame"]] as [[String?]] {
            var conversation = Conversation(exchange(.plain), answers: [.accepted(canonicalName: nil)])
            #expect(conversation.run(messages) == .succeeded(user: alice))
            #expect(conversation.questions == [.password(user: alice, secret("sesame"))])
            #expect(conversation.challenges == (messages.count == 2 ? [""] : []))
        }
    }

    @Test("LOGIN asks for both, one after the other; the user's name may come with the command")
    func login() {
        for (messages, challenges) in [
            ([nil, "alice", "sesame"], ["Username:", "Password:"]), (["alice", "sesame"], ["Password:"]),
        ] as [([String?], [String])] {
            var conversation = Conversation(exchange(.login), answers: [.accepted(canonicalName: nil)])
            #expect(conversation.run(messages) == .succeeded(user: alice))
            #expect(conversation.questions == [.password(user: alice, secret("sesame"))])
            #expect(conversation.challenges == challenges)
        }
    }

    @Test("the prompts of LOGIN are the operator's")
    func prompts() {
        var exchange = SASLServerExchange(
            .login, nonce: ServerNonce(text: "n"), prompts: LoginPrompts(user: "Wer?", password: "Wort?"))
        #expect(exchange.begin(initialResponse: nil) == .challenge(Array("Wer?".utf8)))
        #expect(exchange.received(Array("alice".utf8)) == .challenge(Array("Wort?".utf8)))
    }

    @Test(
        "what the verifier says is the end",
        arguments: [
            (CredentialAnswer.accepted(canonicalName: nil), SASLServerExchange.Action.succeeded(user: alice)),
            (.accepted(canonicalName: name("Alice")), .succeeded(user: name("Alice"))),
            (.refused, .failed(.invalidCredentials)),
            (.unavailable(reason: "no PAM"), .failed(.unavailable(reason: "no PAM"))),
            (
                .scramParameters(parameters()),
                .failed(.unavailable(reason: "the answer does not fit the question"))
            ),
            (
                .scramAccepted(serverSignature: digest),
                .failed(.unavailable(reason: "the answer does not fit the question"))
            ),
        ])
    func answers(answer: CredentialAnswer, expected: SASLServerExchange.Action) {
        for (mechanism, messages) in [(SASLMechanism.plain, ["\0alice\0x"]), (.login, ["alice", "x"])] {
            var conversation = Conversation(exchange(mechanism), answers: [answer])
            #expect(conversation.run(messages) == expected)
            #expect(conversation.exchange.claimedUser == alice)
            // Nothing moves an exchange that is over.
            #expect(conversation.exchange.received([]) == .failed(.outOfSequence))
            #expect(conversation.exchange.answered(.accepted(canonicalName: nil)) == .failed(.outOfSequence))
            #expect(conversation.exchange.begin(initialResponse: nil) == .failed(.outOfSequence))
        }
    }

    private static let long = String(repeating: "a", count: 256)

    @Test(
        "a PLAIN message that is none is refused before anybody is asked",
        arguments: [
            ("", .malformed(.plainFields)), ("alice", .malformed(.plainFields)), ("\0alice", .malformed(.plainFields)),
            ("\0", .malformed(.plainFields)), ("\0alice\0sesame\0", .malformed(.plainFields)),
            ("\0alice\0ses\0ame", .malformed(.plainFields)), ("\0\0\0", .malformed(.plainFields)),
            ("\0\0", .userNameRefused), ("\0\0sesame", .userNameRefused), ("alice\0\0sesame", .userNameRefused),
            ("\0al\nice\0sesame", .userNameRefused), ("\0al\tice\0sesame", .userNameRefused),
            ("\0al\u{7f}ice\0x", .userNameRefused), ("\0al\u{85}ice\0x", .userNameRefused),
            ("\0al\u{200b}ice\0x", .userNameRefused), ("\0al\u{a0}ice\0x", .userNameRefused),
            ("\0al\u{202e}ice\0x", .userNameRefused), ("\0al\u{2028}ice\0x", .userNameRefused),
            ("\0al\u{e000}ice\0x", .userNameRefused), ("\0al\u{378}ice\0x", .userNameRefused),
            ("\0al\u{ffff}ice\0x", .userNameRefused), ("\0al\u{fffd}ice\0x", .userNameRefused),
            ("\0al\u{ad}ice\0x", .userNameRefused), ("\0al\u{fe0f}ice\0x", .userNameRefused),
            ("\0\(long)a\0x", .userNameRefused), ("\0alice\0", .malformed(.password)),
            ("\0alice\0" + String(repeating: "x", count: 1025), .malformed(.password)),
            ("bob\0alice\0sesame", .authorizationIdentityRefused),
            ("Alice\0alice\0sesame", .authorizationIdentityRefused),
            ("\(long)b\0\(long)\0sesame", .authorizationIdentityRefused),
            ("alic\u{e9}\0alice\u{301}\0sesame", .authorizationIdentityRefused),
            (String(repeating: "\0", count: 1601), .messageTooLong(limit: 1600)),
        ] as [(String, SASLFailure)])
    func malformedPlain(message: String, failure: SASLFailure) {
        var conversation = Conversation(exchange(.plain))
        #expect(conversation.run([message]) == .failed(failure))
        #expect(conversation.exchange.received(Array("\0alice\0sesame".utf8)) == .failed(.outOfSequence))
    }

    @Test(
        "a LOGIN message that is none is refused before anybody is asked",
        arguments: [
            ([""], .userNameRefused), (["al\0ice"], .userNameRefused), (["\(long)a"], .userNameRefused),
            (["alice", ""], .invalidCredentials), (["alice", "ses\0ame"], .malformed(.password)),
            (["alice", String(repeating: "x", count: 1025)], .malformed(.password)),
            ([String(repeating: "x", count: 1601)], .messageTooLong(limit: 1600)),
            (["alice", String(repeating: "x", count: 1601)], .messageTooLong(limit: 1600)),
        ] as [([String?], SASLFailure)])
    func malformedLogin(messages: [String?], failure: SASLFailure) {
        var conversation = Conversation(exchange(.login))
        #expect(conversation.run(messages) == .failed(failure))
    }

    @Test("octets that are no UTF-8 can be a password and not a name")
    func octets() {
        var one = Conversation(exchange(.plain), answers: [.accepted(canonicalName: nil)])
        #expect(one.run([[0] + Array("alice".utf8) + [0, 0xfc, 0xff]]) == .succeeded(user: alice))
        #expect(one.questions == [.password(user: alice, Secret([0xfc, 0xff]))])
        var other = Conversation(exchange(.plain))
        #expect(other.run([[0, 0xfc, 0, 0x78]]) == .failed(.userNameRefused))
    }

    @Test("names and passwords of the greatest length pass")
    func greatest() {
        let password = String(repeating: "p", count: 1024)
        let long = Self.long
        var conversation = Conversation(exchange(.plain), answers: [.accepted(canonicalName: nil)])
        #expect(conversation.run(["\(long)\0\(long)\0\(password)"]) == .succeeded(user: name(long)))
        #expect(conversation.questions == [.password(user: name(long), secret(password))])
    }

    @Test(
        "names that people have pass",
        arguments: ["alice", "alice@example.org", "a", "Jörg Müller", "алиса", "愛麗絲", "😀", "a:b", "=,=", "-v", "../x"])
    func names(text: String) {
        #expect(UserName(text)?.text == text)
    }

    @Test("a message that nobody waits for ends the exchange")
    func outOfSequence() {
        var early = exchange(.plain)
        #expect(early.received([]) == .failed(.outOfSequence))
        var answered = exchange(.plain)
        #expect(answered.answered(.accepted(canonicalName: nil)) == .failed(.outOfSequence))
        var busy = exchange(.plain)
        #expect(busy.begin(initialResponse: Array("\0alice\0x".utf8)) == .check(.password(user: alice, secret("x"))))
        #expect(busy.received(Array("\0alice\0x".utf8)) == .failed(.outOfSequence))
        #expect(busy.answered(.accepted(canonicalName: nil)) == .failed(.outOfSequence))
        var twice = exchange(.login)
        #expect(twice.begin(initialResponse: nil) == .challenge(Array("Username:".utf8)))
        #expect(twice.begin(initialResponse: nil) == .failed(.outOfSequence))
    }
}
