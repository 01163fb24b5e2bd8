import MailModel
import Testing

@testable import SASL

@Suite("SCRAM-SHA-256") struct SCRAMExchangeTests {
    @Test("the example of RFC 7677 §3, message by message")
    func example() throws {
        let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ==".utf8))
        let signature = try #require(Base64.decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".utf8))
        let proof = try #require(Base64.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".utf8))
        let found = try #require(SCRAMParameters(salt: salt, iterations: 4096))
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        var conversation = Conversation(
            SASLServerExchange(.scramSHA256, nonce: ServerNonce(text: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")),
            answers: [.scramParameters(found), .scramAccepted(serverSignature: signature)])
        let last = conversation.run([
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "c=biws,r=\(nonce),p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "",
        ])
        #expect(last == .succeeded(user: name("user")))
        let serverFirst = "r=\(nonce),s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        #expect(
            conversation.challenges == [serverFirst, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="])
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\(serverFirst),c=biws,r=\(nonce)"
        #expect(
            conversation.questions == [
                .scramParameters(user: name("user")),
                .scramProof(user: name("user"), authMessage: Array(message.utf8), clientProof: proof),
            ])
    }

    /// With a client whose nonce is `c`.
    private func run(
        _ messages: [String?], _ mechanism: SASLMechanism = .scramSHA256, _ bindings: ChannelBindings = .none,
        answers: [CredentialAnswer] = [.scramParameters(parameters()), .scramAccepted(serverSignature: digest)]
    ) -> SASLServerExchange.Action {
        var conversation = Conversation(exchange(mechanism, bindings), answers: answers)
        return conversation.run(messages)
    }

    private static let final = "c=biws,r=cserver,p=\(proofText)"

    @Test("without an initial response the server's first challenge is empty")
    func noInitialResponse() {
        var conversation = Conversation(
            exchange(.scramSHA256), answers: [.scramParameters(parameters()), .scramAccepted(serverSignature: digest)])
        #expect(conversation.run([nil, "n,,n=alice,r=c", Self.final, ""]) == .succeeded(user: alice))
        #expect(conversation.challenges == ["", "r=cserver,s=c2FsdA==,i=4096", "v=\(proofText)"])
    }

    @Test(
        "= and comma in a name are written =3D and =2C",
        arguments: [("a=2Cb", "a,b"), ("a=3Db", "a=b"), ("=2C=3D=2C", ",=,"), ("=3D2C", "=2C"), ("ü", "ü")])
    func escapes(written: String, text: String) {
        var exchange = exchange(.scramSHA256)
        #expect(
            exchange.begin(initialResponse: Array("n,a=\(written),n=\(written),r=c".utf8))
                == .check(.scramParameters(user: name(text))))
    }

    @Test("extensions that may be passed over are, and are part of what is signed")
    func extensions() {
        var conversation = Conversation(
            exchange(.scramSHA256), answers: [.scramParameters(parameters()), .scramAccepted(serverSignature: digest)])
        let final = "c=biws,r=cserver,x=1,Y=a=b,p=\(proofText)"
        #expect(conversation.run(["n,,n=alice,r=c,f=1,z==,", final, ""]) == .failed(.malformed(.extensionField)))
        conversation = Conversation(
            exchange(.scramSHA256), answers: [.scramParameters(parameters()), .scramAccepted(serverSignature: digest)])
        #expect(conversation.run(["n,,n=alice,r=c,f=1,z==", final, ""]) == .succeeded(user: alice))
        let message = "n=alice,r=c,f=1,z==,r=cserver,s=c2FsdA==,i=4096,c=biws,r=cserver,x=1,Y=a=b"
        #expect(
            conversation.questions.last
                == .scramProof(user: alice, authMessage: Array(message.utf8), clientProof: digest))
    }

    @Test(
        "a first message that is none is refused before anybody is asked",
        arguments: [
            ("", .malformed(.gs2Header)), ("n", .malformed(.gs2Header)), ("x,,n=alice,r=c", .malformed(.gs2Header)),
            ("N,,n=alice,r=c", .malformed(.gs2Header)), (",,n=alice,r=c", .malformed(.gs2Header)),
            ("nn,,n=alice,r=c", .malformed(.gs2Header)), ("n=,,n=alice,r=c", .malformed(.gs2Header)),
            ("p,,n=alice,r=c", .malformed(.gs2Header)), ("p=,,n=alice,r=c", .malformed(.gs2Header)),
            ("p=tls_x,,n=alice,r=c", .malformed(.gs2Header)), ("p=tls x,,n=alice,r=c", .malformed(.gs2Header)),
            ("p=\(String(repeating: "t", count: 65)),,n=alice,r=c", .malformed(.gs2Header)),
            ("n,x=alice,n=alice,r=c", .malformed(.gs2Header)), ("n,a=,n=alice,r=c", .malformed(.gs2Header)),
            ("n,alice,n=alice,r=c", .malformed(.gs2Header)), ("n,n=alice,r=c", .malformed(.gs2Header)),
            ("n,", .malformed(.userNameField)), ("n,,", .malformed(.userNameField)),
            ("n,,n=,r=c", .malformed(.userNameField)), ("n,,alice,r=c", .malformed(.userNameField)),
            ("n,,N=alice,r=c", .malformed(.userNameField)), ("n,,r=c,n=alice", .malformed(.userNameField)),
            ("n,,n=al=ice,r=c", .malformed(.userNameField)), ("n,,n=alice=,r=c", .malformed(.userNameField)),
            ("n,,n=alice=2,r=c", .malformed(.userNameField)), ("n,,n=alice=2c,r=c", .malformed(.userNameField)),
            ("n,,n=alice=3E,r=c", .malformed(.userNameField)), ("n,a=b=,n=alice,r=c", .malformed(.userNameField)),
            ("n,,n=al\nice,r=c", .userNameRefused), ("n,,n=al\0ice,r=c", .userNameRefused),
            ("n,,n=\(String(repeating: "=2C", count: 257)),r=c", .userNameRefused),
            ("n,a=bob,n=alice,r=c", .authorizationIdentityRefused), ("n,,n=alice", .malformed(.nonceField)),
            ("n,,n=alice,", .malformed(.nonceField)), ("n,,n=alice,r=", .malformed(.nonceField)),
            ("n,,n=alice,c", .malformed(.nonceField)), ("n,,n=alice,R=c", .malformed(.nonceField)),
            ("n,,n=alice,r=a b", .malformed(.nonceField)), ("n,,n=alice,r=a\u{7f}", .malformed(.nonceField)),
            ("n,,n=alice,r=ü", .malformed(.nonceField)), ("n,,n=alice,r=c\0", .malformed(.nonceField)),
            ("n,,m=x,n=alice,r=c", .malformed(.mandatoryExtension)),
            ("n,,n=alice,r=c,m=x", .malformed(.mandatoryExtension)),
            ("n,,n=alice,r=c,", .malformed(.extensionField)), ("n,,n=alice,r=c,x=", .malformed(.extensionField)),
            ("n,,n=alice,r=c,1=x", .malformed(.extensionField)), ("n,,n=alice,r=c,x", .malformed(.extensionField)),
            ("n,,n=alice,r=c,x=\0", .malformed(.extensionField)),
            ("n,,n=alice,r=c,n=bob", .malformed(.extensionField)),
            ("n,,n=alice,r=c,r=d", .malformed(.extensionField)),
            (String(repeating: "n", count: 1601), .messageTooLong(limit: 1600)),
        ] as [(String, SASLFailure)])
    func malformedFirst(message: String, failure: SASLFailure) {
        var exchange = exchange(.scramSHA256)
        #expect(exchange.begin(initialResponse: Array(message.utf8)) == .failed(failure))
        #expect(exchange.received(Array("n,,n=alice,r=c".utf8)) == .failed(.outOfSequence))
    }

    @Test(
        "a last message that is none, or none of this exchange, is refused before its proof is looked at",
        arguments: [
            ("", .malformed(.channelBindingField)), ("c=biws", .malformed(.nonceField)),
            ("c=,r=cserver,p=\(proofText)", .malformed(.channelBindingField)),
            ("c=biw,r=cserver,p=\(proofText)", .malformed(.channelBindingField)),
            ("C=biws,r=cserver,p=\(proofText)", .malformed(.channelBindingField)),
            ("r=cserver,c=biws,p=\(proofText)", .malformed(.channelBindingField)),
            ("p=\(proofText)", .malformed(.channelBindingField)),
            ("m=x,c=biws,r=cserver,p=\(proofText)", .malformed(.mandatoryExtension)),
            ("c=biws,r=cserver,m=x,p=\(proofText)", .malformed(.mandatoryExtension)),
            ("c=biws,r=,p=\(proofText)", .malformed(.nonceField)),
            ("c=biws,r=c server,p=\(proofText)", .malformed(.nonceField)),
            ("c=biws,r=cserver", .malformed(.proofField)), ("c=biws,r=cserver,", .malformed(.proofField)),
            ("c=biws,r=cserver,p=", .malformed(.proofField)), ("c=biws,r=cserver,p=AAAA", .malformed(.proofField)),
            ("c=biws,r=cserver,p=\(proofText)A", .malformed(.proofField)),
            ("c=biws,r=cserver,p=\(proofText),x=1", .malformed(.proofField)),
            ("c=biws,r=cserver,p=\(proofText),p=\(proofText)", .malformed(.extensionField)),
            ("c=biws,r=cserver,c=biws,p=\(proofText)", .malformed(.extensionField)),
            ("c=biws,r=cserver,,p=\(proofText)", .malformed(.extensionField)),
            ("c=biws,r=c,p=\(proofText)", .nonceMismatch), ("c=biws,r=server,p=\(proofText)", .nonceMismatch),
            ("c=biws,r=cserverx,p=\(proofText)", .nonceMismatch), ("c=biws,r=cServer,p=\(proofText)", .nonceMismatch),
            ("c=eSws,r=cserver,p=\(proofText)", .channelBinding(.mismatch)),
            ("c=\(Base64.encode(Array("n,a=alice,".utf8))),r=cserver,p=\(proofText)", .channelBinding(.mismatch)),
            ("c=\(Base64.encode(Array("n,,x".utf8))),r=cserver,p=\(proofText)", .channelBinding(.mismatch)),
            (String(repeating: "c", count: 1601), .messageTooLong(limit: 1600)),
        ] as [(String, SASLFailure)])
    func malformedFinal(message: String, failure: SASLFailure) {
        #expect(run(["n,,n=alice,r=c", message]) == .failed(failure))
    }

    @Test("the server's signature must be taken with an empty response, and nothing succeeds before")
    func acknowledgement() {
        #expect(run(["n,,n=alice,r=c", Self.final]) == .challenge(Array("v=\(proofText)".utf8)))
        #expect(run(["n,,n=alice,r=c", Self.final, "x"]) == .failed(.malformed(.acknowledgement)))
    }

    @Test("whatever the verifier says instead of the signature is no success")
    func refusals() {
        let fit = SASLServerExchange.Action.failed(.unavailable(reason: "the answer does not fit the question"))
        let known = CredentialAnswer.scramParameters(parameters())
        for (answers, expected) in [
            ([.refused], .failed(.invalidCredentials)),
            ([.unavailable(reason: "x")], .failed(.unavailable(reason: "x"))),
            ([.accepted(canonicalName: nil)], fit), ([.scramAccepted(serverSignature: digest)], fit),
            ([known, .refused], .failed(.invalidCredentials)),
            ([known, .unavailable(reason: "x")], .failed(.unavailable(reason: "x"))),
            ([known, .accepted(canonicalName: nil)], fit), ([known, known], fit),
        ] as [([CredentialAnswer], SASLServerExchange.Action)] {
            #expect(run(["n,,n=alice,r=c", Self.final, ""], answers: answers) == expected)
        }
    }

    // MARK: Channel binding

    private static let bound = ChannelBindings(
        ["tls-exporter": digest, "tls-server-end-point": [1, 2, 3]], isOffered: true)

    private func final(_ header: String, _ data: [UInt8]) -> String {
        "c=\(Base64.encode(Array(header.utf8) + data)),r=cserver,p=\(proofText)"
    }

    @Test("an exchange that is bound to this connection succeeds, whichever kind the client takes")
    func bound() {
        for (kind, data) in [("tls-exporter", digest), ("tls-server-end-point", [1, 2, 3])] as [(String, [UInt8])] {
            let messages = ["p=\(kind),,n=alice,r=c", final("p=\(kind),,", data), ""]
            #expect(run(messages, .scramSHA256Plus, Self.bound) == .succeeded(user: alice))
        }
        let named = ["p=tls-exporter,a=alice,n=alice,r=c", final("p=tls-exporter,a=alice,", digest), ""]
        #expect(run(named, .scramSHA256Plus, Self.bound) == .succeeded(user: alice))
    }

    @Test("a binding that is another connection's, of another kind, or left out, fails")
    func mismatch() {
        let first = "p=tls-exporter,,n=alice,r=c"
        for last in [
            final("p=tls-exporter,,", [1, 2, 3]), final("p=tls-exporter,,", []),
            final("p=tls-exporter,,", digest + [0]),
            final("p=tls-server-end-point,,", digest), final("n,,", []), final("y,,", digest), final("", digest),
        ] {
            #expect(run([first, last], .scramSHA256Plus, Self.bound) == .failed(.channelBinding(.mismatch)))
        }
    }

    @Test("flag and mechanism must agree: every downgrade fails before anybody is asked")
    func downgrades() {
        let unoffered = ChannelBindings(["tls-exporter": digest], isOffered: false)
        for (mechanism, bindings, flag, fault) in [
            (.scramSHA256, Self.bound, "y", .downgrade), (.scramSHA256, Self.bound, "p=tls-exporter", .unexpected),
            (.scramSHA256, .none, "p=tls-exporter", .unexpected), (.scramSHA256Plus, Self.bound, "n", .missing),
            (.scramSHA256Plus, Self.bound, "y", .missing), (.scramSHA256Plus, unoffered, "y", .missing),
            (.scramSHA256Plus, .none, "p=tls-exporter", .unsupported(name: "tls-exporter")),
            (.scramSHA256Plus, Self.bound, "p=tls-unique", .unsupported(name: "tls-unique")),
            (.scramSHA256Plus, Self.bound, "p=TLS-EXPORTER", .unsupported(name: "TLS-EXPORTER")),
        ] as [(SASLMechanism, ChannelBindings, String, ChannelBindingFault)] {
            var exchange = exchange(mechanism, bindings)
            #expect(
                exchange.begin(initialResponse: Array("\(flag),,n=alice,r=c".utf8)) == .failed(.channelBinding(fault)))
            #expect(exchange.claimedUser == alice)
        }
    }

    @Test("a client that cannot bind may go on without, and one that could may where none is offered")
    func unbound() {
        #expect(run(["n,,n=alice,r=c", final("n,,", []), ""], .scramSHA256, Self.bound) == .succeeded(user: alice))
        #expect(run(["y,,n=alice,r=c", final("y,,", []), ""], .scramSHA256, .none) == .succeeded(user: alice))
        #expect(
            run(["y,,n=alice,r=c", final("n,,", [])], .scramSHA256, .none) == .failed(.channelBinding(.mismatch)))
    }

    @Test("the longest question there can be fits into a line")
    func longest() throws {
        let user = String(repeating: "=2C", count: 256)
        let nonce = String(repeating: "n", count: SASLServerExchange.maximumMessageLength - user.utf8.count - 8)
        let found = try #require(SCRAMParameters(salt: [UInt8](repeating: 1, count: 64), iterations: 1_000_000))
        let server = ServerNonce(random: [UInt8](repeating: 255, count: 24))
        var exchange = SASLServerExchange(.scramSHA256, nonce: server)
        _ = exchange.begin(initialResponse: Array("n,,n=\(user),r=\(nonce)".utf8))
        guard case .challenge = exchange.answered(.scramParameters(found)) else {
            Issue.record("no challenge")
            return
        }
        // The nonce of the last message is longer than that of the first, and the message has the same limit.
        #expect(
            exchange.received(Array("c=biws,r=\(nonce)\(server.text),p=\(proofText)".utf8))
                == .check(
                    .scramProof(
                        user: name(String(repeating: ",", count: 256)),
                        authMessage: Array(
                            "n=\(user),r=\(nonce),r=\(nonce)\(server.text),s=\(Base64.encode(found.salt)),i=1000000,c=biws,r=\(nonce)\(server.text)"
                                .utf8), clientProof: digest)))
        let most = [UInt8](repeating: 0x61, count: CredentialRequest.maximumAuthMessageLength)
        let request = CredentialRequest(
            client: .v6(high: .max, low: .max),
            .scramProof(user: name(String(repeating: ",", count: 256)), authMessage: most, clientProof: digest))
        #expect(request.line.count <= CredentialLine.maximumLength)
        #expect(CredentialRequest(line: request.line) == request)
    }
}
