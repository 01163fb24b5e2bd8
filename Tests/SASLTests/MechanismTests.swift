import Testing

@testable import SASL

@Suite("Mechanisms and failures") struct MechanismTests {
    @Test(
        "a mechanism is known by its name in any case",
        arguments: [
            ("PLAIN", SASLMechanism.plain), ("plain", .plain), ("Login", .login), ("SCRAM-SHA-256", .scramSHA256),
            ("scram-sha-256-plus", .scramSHA256Plus), ("CRAM-MD5", nil), ("", nil), ("PLAIN ", nil), ("PLAİN", nil),
            ("SCRAM-SHA-256-PLUS-PLUS", nil),
        ])
    func names(name: String, mechanism: SASLMechanism?) {
        #expect(SASLMechanism(name: name) == mechanism)
    }

    @Test("the strongest comes first, and only PLAIN and LOGIN show the password")
    func order() {
        #expect(SASLMechanism.allCases.map(\.name) == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"])
        #expect(SASLMechanism.allCases.filter(\.sendsPasswordInClear) == [.plain, .login])
        #expect(SASLMechanism.allCases.filter(\.needsChannelBinding) == [.scramSHA256Plus])
    }

    @Test("a failure is one line for the log, and one of three kinds for the client")
    func failures() {
        let failures: [SASLFailure] =
            SASLSyntaxError.allCases.map { .malformed($0) } + [
                .messageTooLong(limit: 1), .userNameRefused, .authorizationIdentityRefused, .channelBinding(.downgrade),
                .channelBinding(.missing), .channelBinding(.unexpected), .channelBinding(.unsupported(name: "x")),
                .channelBinding(.mismatch), .nonceMismatch, .invalidCredentials, .unavailable(reason: "x"),
                .outOfSequence,
            ]
        #expect(Set(failures.map(\.description)).count == failures.count)
        #expect(failures.allSatisfy { $0.description.utf8.count < 200 && !$0.description.contains("\n") })
        #expect(SASLFailure.malformed(.plainFields).consequence == .syntaxError)
        #expect(SASLFailure.invalidCredentials.consequence == .rejection)
        #expect(SASLFailure.unavailable(reason: "x").consequence == .temporaryFailure)
    }

    @Test("random octets make a nonce that a SCRAM message can hold")
    func nonce() {
        let nonce = ServerNonce(random: Array(0...255))
        #expect(SCRAMMessage.isNonce(Array(nonce.text.utf8)[...]))
        #expect(nonce.text.utf8.count == 344)
    }
}
