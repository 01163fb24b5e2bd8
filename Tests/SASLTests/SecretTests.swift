import Testing

@testable import SASL

@Suite("Secrets") struct SecretTests {
    @Test("a password is in no description, dump or reflection of anything that carries it")
    func descriptions() {
        let value = secret("sesame")
        let question = CredentialQuestion.password(user: alice, value)
        let verifier = SCRAMVerifier(parameters(), storedKey: digest, serverKey: digest)
        var exchange = exchange(.plain)
        let action = exchange.begin(initialResponse: Array("\0alice\0sesame".utf8))
        for any in [
            value, question, CredentialRequest(client: nil, question), action, exchange, verifier as Any,
            StoredCredential("{SCRAM-SHA-256}4096:c2FsdA==:x".utf8) as Any,
        ] as [Any] {
            var text = "\(any) \(String(reflecting: any))"
            dump(any, to: &text)
            #expect(!text.contains("sesame") && !text.contains("115, 101, 115") && !text.contains("7, 7, 7"))
        }
        #expect("\(value) \(String(reflecting: value))" == "(secret) (secret)")
    }

    @Test("secrets are equal if their octets are")
    func equality() {
        #expect(secret("sesame") == secret("sesame"))
        #expect(secret("sesame") != secret("sesamf"))
        #expect(secret("sesame") != secret("sesame2"))
        #expect(Set([secret("a"), secret("b"), secret("a")]).count == 2)
        #expect(secret("").count == 0 && secret("") == Secret([]))
        #expect(secret("sesame").withOctets { Array($0) } == Array("sesame".utf8))
    }

    @Test("a wiped array is empty, and so is the memory that it had")
    func wiped() {
        var octets = Array("sesame".utf8)
        Secret.wipe(&octets)
        #expect(octets.isEmpty && octets.capacity >= 6)
        // What the array still owns.
        let rest = octets.withUnsafeMutableBufferPointer { buffer in
            (0..<6).map { buffer.baseAddress?[$0] ?? 0xff }
        }
        #expect(rest == [0, 0, 0, 0, 0, 0])
    }

    @Test("names are the same if their octets are, however they look")
    func names() {
        #expect(name("caf\u{e9}") != name("cafe\u{301}"))
        #expect(Set([name("caf\u{e9}"), name("cafe\u{301}"), name("caf\u{e9}")]).count == 2)
    }
}
